"""`churn data migrate`: an older lake in the present form."""

from pathlib import Path

import click

from churn_assets.connectors.open_source import open_source
from churn_assets.features.feature_sets import company_features
from churn_assets.features.lake_columns import outdated
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import migrate_lake
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.lake_records import record_files
from churn_assets.orchestration.lake_words import migrate_words
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.redaction import without_password


@click.command()
def migrate() -> None:
    """Give an older lake's tables the columns that came since, and its words the present writing; a second time does nothing."""
    settings = Settings.load()
    lake, source = Lake(settings.lake_url), open_source(settings)
    for table, added in migrate_lake(lake, {table: source.given(table) for table in settings.raw_tables}).items():
        click.echo(f"{table}: added {', '.join(added)}; rows that were there have nothing in them")
    with instance_of(Path.cwd()) as instance:
        for line in migrate_words(lake, settings.source, source, instance):
            click.echo(line)
        for table, periods in record_files(instance, lake).items():
            click.echo(f"{table}: recorded the files of {periods} {'period' if periods == 1 else 'periods'}")
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    features = company_features(source, settings.source, settings.features, settings.events.types, served=serving.inputs)
    complaints = outdated(lake, features, has_time=settings.has_time, has_kinds=settings.label.kinds is not None)
    for complaint in complaints:
        click.echo(complaint)
    if not complaints:
        click.echo(f"the lake {without_password(lake.url)} has the present columns")
