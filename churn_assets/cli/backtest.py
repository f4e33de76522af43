"""`churn backtest`: what the models would have been worth on every snapshot that followed them."""

import click

from churn_assets.backtest.default_family import family_of
from churn_assets.backtest.report_page import screen, write
from churn_assets.backtest.rolling import Backtester
from churn_assets.connectors.open_source import open_source
from churn_assets.features.feature_sets import company_features, features_in_use
from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings


@click.command()
@click.option("--family", help="Default: the family that serves, else the first of training.families.")
@click.option("--folds", type=click.IntRange(min=2), help="At least so many; default: evaluation.folds.")
def backtest(family: str | None, folds: int | None) -> None:
    """Test models on every snapshot that followed them, and follow them as they age; writes a page into the reports."""
    settings = Settings.load()
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    features = features_in_use(
        company_features(
            open_source(settings), settings.source, settings.features, settings.events.types, served=store.inputs
        ),
        settings.features,
    )
    as_of = settings.clock.now().date()
    asked = family_of(family, store, settings.training.families)
    found = Backtester(
        company=settings.company,
        calendar=settings.timeline,
        settings=settings.fitting,
        evaluation=settings.evaluation,
        family=asked,
        features=features,
    ).run(Lake(settings.lake_url), as_of=as_of, folds=folds)
    page, figures = write(found, settings.reports, as_of=as_of.isoformat(), floor=settings.gate.auc_floor)
    click.echo("\n".join([f"backtest of {asked}, {settings.company}", *screen(found), f"  {page}", f"  {figures}"]))
