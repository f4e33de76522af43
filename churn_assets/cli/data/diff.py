"""`churn data diff`: by what two versions of a table differ."""

import click

from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import differences, require_version
from churn_assets.settings.company import Settings


@click.command()
@click.argument("table")
@click.argument("one", type=click.IntRange(min=0))
@click.argument("other", type=click.IntRange(min=0), required=False)
def diff(table: str, one: int, other: int | None) -> None:
    """Say by what version ONE of TABLE differs from version OTHER (default: the newest), period by period."""
    lake = Lake(Settings.load().lake_url)
    require_version(lake, table, one)
    until = lake.version(table) if other is None else other
    is_same = True
    for found in differences(lake, table, one, until):
        is_same = False
        columns = ", ".join(
            f"{name} ({rows:,})" if rows else f"{name} (in one only)" for name, rows in found.columns.items()
        )
        digests = f"{found.digests[0][:12]} -> {found.digests[1][:12]}"
        click.echo(
            f"{found.period}  {found.rows[0]:,} -> {found.rows[1]:,} rows: {found.added:,} added, {found.removed:,} removed, "
            f"{found.changed:,} changed{f' in {columns}' if columns else ''}  "
            f"{'the same rows in other files' if found.digests[0] == found.digests[1] else f'digest {digests}'}"
        )
    if is_same:
        click.echo(f"versions {one} and {until} of {table} hold the same rows")
