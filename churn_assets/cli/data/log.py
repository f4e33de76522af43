"""`churn data log`: the versions of a table."""

import click

from churn_assets.cli.data.periods_in_words import in_words
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import versions
from churn_assets.settings.company import Settings


@click.command()
@click.argument("table")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many versions.")
def log(table: str, limit: int) -> None:
    """List the versions of TABLE, newest first: when, by which run, which periods, made from what."""
    for found in versions(Lake(Settings.load().lake_url), table, limit=limit):
        made_from = ", ".join(f"{name} {version}" for name, version in sorted(found.sources.items()))
        click.echo(
            f"version {found.number:<4} {found.written:%Y-%m-%d %H:%M:%S}  {found.run_id or found.operation.lower()}  "
            f"{in_words(found.periods)}, {found.rows:,} rows written{f', made from {made_from}' if made_from else ''}"
        )
