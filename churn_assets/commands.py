"""The commands of the asset graph. What they need is imported when they run, so that `churn --help` stays fast."""

import sys
from pathlib import Path

import click

from churn_store.clock import parse_time


@click.command()
@click.option("--as-of", help="Fix the clock at this time first, so that the figures can be reproduced.")
def demo(as_of: str | None) -> None:
    """Materialize the whole graph, serve the release, ask it for predictions, and print one screen."""
    from churn_assets.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo(None if as_of is None else parse_time(as_of, where="--as-of")))


@click.command()
@click.option("--customers", default=2_000, show_default=True, help="Size of the small company.")
def checks(customers: int) -> None:
    """Materialize the graph on a small synthetic company; name every asset check that fails."""
    from churn_assets.small_company import run_checks  # noqa: PLC0415

    sys.exit(run_checks(customers))


@click.command()
@click.option("--ui-port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--port", default=8000, show_default=True, help="Port of the service.")
def dev(ui_port: int, port: int) -> None:
    """Run the Dagster UI with its daemon, and the service, until Ctrl-C."""
    from churn_assets.dev import run_dev  # noqa: PLC0415

    sys.exit(run_dev(Path.cwd(), ui_port=ui_port, port=port))
