"""`churn quality accept`: take for real what looks broken."""

import click

from churn_assets.lake.lake import Lake
from churn_assets.quality.acceptances import Acceptance
from churn_assets.quality.acceptances import accept as record
from churn_assets.quality.findings import KINDS, blocking_findings
from churn_assets.settings.company import Settings
from churn_store.errors import InputError


@click.command()
@click.argument("table")
@click.argument("period")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="Kind of what was found.")
@click.option("--reason", required=True, help="Why it is real; it stands in the lake for ever.")
@click.option("--by", required=True, metavar="NAME", help="Who says so; it stands in the lake for ever.")
def accept(table: str, period: str, kind: str, reason: str, by: str) -> None:
    """Accept what was found in PERIOD of TABLE as real, so that it blocks no longer; the sensors then ask for the period again."""
    settings = Settings.load()
    lake = Lake(settings.lake_url)
    blocking = blocking_findings(lake)
    if not any((one.table, one.period, one.kind) == (table, period, kind) for one in blocking):
        there = (
            "; ".join(f"{one.table} {one.period} --kind {one.kind}" for one in blocking if one.kind in KINDS) or "nothing"
        )
        raise InputError(f"nothing of kind {kind} blocks {table} {period}; what blocks and can be accepted: {there}")
    record(lake, Acceptance(settings.clock.now_s(), table, period, kind, reason, by))
    others = sorted({one.kind for one in blocking if (one.table, one.period) == (table, period)} - {kind})
    still = f"; it is still blocked by {', '.join(others)}" if others else ""
    click.echo(
        f"{kind} in {table} {period} is accepted by {by}{still}. The sensors ask for the period again, or materialize it; later periods are "
        "compared with it and those after it"
    )
