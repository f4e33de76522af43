"""`churn data restore`: an earlier version as a new one."""

from pathlib import Path

import click

from churn_assets.cli.data.periods_in_words import in_words
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import lacking
from churn_assets.lake.restore import restore as restore_table
from churn_assets.orchestration.instance import instance_of, report_restored, require_no_run, untold
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.ownership import claim
from churn_assets.settings.company import Settings


@click.command()
@click.argument("table")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--period", "periods", multiple=True, help="Bring back only this period; may be given more than once.")
def restore(table: str, version: int, periods: tuple[str, ...]) -> None:
    """Bring VERSION of TABLE back as a new version, and tell Dagster, so that what hangs on it is made again."""
    settings = Settings.load()
    lake = Lake(settings.lake_url)
    with instance_of(Path.cwd()) as instance:
        claim(instance, settings.company, settings.lake_url)
        require_no_run(instance, table)
        before = lake.version(table)
        done = restore_table(lake, table, version, periods=periods)
        if done.version == before:
            told = untold(instance, table, done.periods, empty=None if periods else done.empty)
            told |= {period: done.periods[period] for period in lost(instance, lake, table) if period in done.periods}
            report_restored(instance, lake, table, told, of=version, version=done.version)
            click.echo(
                f"{table} holds the rows of version {version} already; nothing was written"
                + (f", but Dagster was told of {in_words(tuple(told))}" if told else "")
            )
            return
        report_restored(instance, lake, table, done.periods, of=version, version=done.version)
    click.echo(
        f"{table}: version {version} is back as version {done.version} ({in_words(tuple(done.periods))}). Dagster knows the new "
        "data versions; tables made from the former rows stay as they are until their assets are materialized again"
    )
    if empty := [period for period, back in done.periods.items() if not back.rows]:
        click.echo(f"version {version} had no rows of {', '.join(empty)}; materialize {table} for them to have them again")
    if lacking(lake, table):
        click.echo(
            f"version {version} is older than the columns {', '.join(lacking(lake, table))}: run `churn data migrate`"
        )
