"""`churn data verify`: whether the lake holds the rows that were written."""

import sys
from pathlib import Path

import click

from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES, require_table
from churn_assets.orchestration.instance import instance_of, require_no_run
from churn_assets.orchestration.lake_records import verify as verify_table
from churn_assets.orchestration.lost_periods import in_words
from churn_assets.orchestration.ownership import claim
from churn_assets.settings.company import Settings


@click.command()
@click.argument("tables", nargs=-1)
def verify(tables: tuple[str, ...]) -> None:
    """Read every row of TABLES (default: all) and compare it with what was written. Exit status 1 if a period is lost."""
    settings = Settings.load()
    lake = Lake(settings.lake_url)
    for table in tables:
        require_table(lake, table)
    is_whole = True
    with instance_of(Path.cwd()) as instance:
        claim(instance, settings.company, settings.lake_url)
        require_no_run(instance, "the lake's tables")
        for table in tables or TABLES:
            found = dict(verify_table(instance, lake, table))
            wrong = {period: said for period, said in found.items() if said}
            is_whole = is_whole and not wrong
            if wrong:
                click.echo(in_words(table, wrong))
            elif found:
                click.echo(f"{table}: {len(found)} {'period' if len(found) == 1 else 'periods'} as written")
    sys.exit(0 if is_whole else 1)
