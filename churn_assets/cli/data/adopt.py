"""`churn data adopt`: whose history a Dagster instance has."""

from pathlib import Path

import click

from churn_assets.orchestration.instance import instance_in_words, instance_of
from churn_assets.orchestration.ownership import adopt as adopt_instance
from churn_assets.resources.tracking_identity import forget
from churn_assets.settings.company import Settings
from churn_store.redaction import without_password


@click.command()
def adopt() -> None:
    """Tell the Dagster instance that its history is this company's and this lake's, after a new name or place, or with a new MLflow."""
    settings = Settings.load()
    with instance_of(Path.cwd()) as instance:
        former = adopt_instance(instance, settings.company, settings.lake_url)
        forget(instance)
    was = (
        "" if former is None else f"; before, of company {former.company} with the lake {without_password(former.lake_url)}"
    )
    click.echo(
        f"{instance_in_words()} is of company {settings.company} with the lake {without_password(settings.lake_url)}{was}"
    )
