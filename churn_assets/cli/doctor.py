"""`churn doctor`: whether the set-up works."""

import sys
from pathlib import Path

import click
import msgspec

from churn_assets.doctor.doctor import examine


@click.command()
@click.option("--port", type=int, help="Where the service listens, if it runs; default: service.port.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for machines.")
def doctor(port: int | None, as_json: bool) -> None:
    """Say whether the set-up works, part by part, and what to do where it does not. Exit status 1 if a part fails."""
    states = set()
    for found in examine(Path.cwd(), port=port):
        states.add(found.state)
        click.echo(msgspec.json.encode(found) if as_json else f"{found.state:<8}{found.part:<18}{found.said}")
    sys.exit(1 if "failed" in states else 0)
