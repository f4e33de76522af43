"""`churn data verify`: whether the lake holds the rows that were written."""

import sys
from pathlib import Path

import click

from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES, require_table
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.lake_records import verify as verify_table
from churn_assets.orchestration.lost_periods import (
    in_words,
    is_being_written,
    recorded,
    unknown,
    unknown_in_words,
    wait_for_writers,
)
from churn_assets.orchestration.ownership import claim
from churn_assets.settings.company import Settings


@click.command()
@click.argument("tables", nargs=-1)
def verify(tables: tuple[str, ...]) -> None:
    """Read every row of TABLES (default: all) and compare it with what was written. Exit status 1 if a period is lost or unknown.

    A table that a run is writing is read once that run has ended.
    """
    settings = Settings.load()
    lake = Lake(settings.lake_url)
    for table in tables:
        require_table(lake, table)
    is_whole, unknown_periods = True, {}
    with instance_of(Path.cwd()) as instance:
        claim(instance, settings.company, settings.lake_url)
        for table in tables or TABLES:
            if is_being_written(instance, lake, table):
                click.echo(f"{table}: a run writes it; waiting until that has ended", err=True)
                wait_for_writers(instance, lake, table)
            if number := len(unknown(recorded(instance, table), lake.files(table) or {})):
                unknown_periods[table] = number
            found = dict(verify_table(instance, lake, table))
            wrong = {period: said for period, said in found.items() if said}
            is_whole = is_whole and not wrong
            if wrong:
                click.echo(in_words(table, wrong))
            elif found:
                click.echo(f"{table}: {len(found)} {'period' if len(found) == 1 else 'periods'} as written")
    if unknown_periods:
        click.echo(unknown_in_words(unknown_periods))
    sys.exit(0 if is_whole and not unknown_periods else 1)
