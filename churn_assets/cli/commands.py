"""The commands of the asset graph. What they need is imported when they run, so that `churn --help` stays fast."""

import sys
from pathlib import Path
from typing import Literal

import click

from churn_store.clock import parse_time


@click.command()
@click.option("--as-of", help="Fix the clock at this time first, so that the figures can be reproduced.")
@click.option(
    "--anew", is_flag=True, help="Load a source that can't say when its rows became known as if for the first time."
)
def demo(as_of: str | None, anew: bool) -> None:
    """Materialize the whole graph, serve the release, ask it for predictions, and print one screen."""
    from churn_assets.cli.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo(None if as_of is None else parse_time(as_of, where="--as-of"), anew=anew))


@click.command()
@click.option("--customers", default=2_000, show_default=True, help="Size of the small company.")
def checks(customers: int) -> None:
    """Materialize the graph on a small synthetic company; name every asset check that fails."""
    from churn_assets.cli.smoke_test import run_checks  # noqa: PLC0415

    sys.exit(run_checks(customers))


@click.command()
@click.option("--ui-port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--port", default=8000, show_default=True, help="Port of the service.")
def dev(ui_port: int, port: int) -> None:
    """Run the Dagster UI with its daemon, and the service, until Ctrl-C."""
    from churn_assets.cli.dev import run_dev  # noqa: PLC0415

    sys.exit(run_dev(Path.cwd(), ui_port=ui_port, port=port))


@click.command()
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option("--customers", default=20_000, show_default=True, help="Who have signed up by the end.")
@click.option("--seed", default=42, show_default=True, help="Another seed: another company under the same law.")
@click.option("--months", default=24, show_default=True, help="Months of data, from 2024-01-01 on.")
@click.option(
    "--scenario",
    type=click.Choice(["none", "price_increase", "competitor", "tracking_bug", "new_country"]),
    default="none",
    show_default=True,
    help="What happens to the company's world.",
)
@click.option("--from", "since", metavar="DATE", help="First day of the scenario.")
@click.option("--dirt", default=0.0, show_default=True, help="Share of the rows that are hit by dirt.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Of the files.",
)
@click.option("--verify", is_flag=True, help="Print the best possible prediction, and that no model beats it.")
def simulate(
    out: Path | None,
    customers: int,
    seed: int,
    months: int,
    scenario: str,
    since: str | None,
    dirt: float,
    file_format: Literal["parquet", "csv"],
    *,
    verify: bool,
) -> None:
    """Write the tables of a synthetic company into the folder OUT, with a churn.yaml that reads them; or verify it."""
    from churn_assets.cli.simulate import company, run_simulate  # noqa: PLC0415

    if (scenario == "none") != (since is None):
        raise click.UsageError("--scenario and --from belong together: what happens, and its first day like 2025-03-01")
    settings = company(
        customers=customers, seed=seed, months=months, scenario={"kind": scenario, "start": since}, dirt=dirt
    )
    if verify:
        from churn_assets.cli.verify_simulator import run_verify  # noqa: PLC0415

        if out is not None:
            raise click.UsageError(f"--verify writes nothing; leave {out} out")
        sys.exit(run_verify(settings))
    if out is None:
        raise click.UsageError("name the folder to write to, or ask for --verify")
    run_simulate(settings, out, file_format)
