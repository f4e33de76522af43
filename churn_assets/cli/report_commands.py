"""`churn backtest` and `churn card`: what the models would have been worth, and what one of them is."""

from pathlib import Path

import click


@click.command()
@click.option("--family", help="Default: the family that serves, else the first of training.families.")
@click.option("--folds", type=click.IntRange(min=2), help="At least so many; default: evaluation.folds.")
def backtest(family: str | None, folds: int | None) -> None:
    """Test models on every snapshot that followed them, and follow them as they age; writes a page into the reports."""
    from churn_assets.backtest.default_family import family_of  # noqa: PLC0415
    from churn_assets.backtest.report_page import screen, write  # noqa: PLC0415
    from churn_assets.backtest.rolling import Backtester  # noqa: PLC0415
    from churn_assets.connectors.open_source import open_source  # noqa: PLC0415
    from churn_assets.features.feature_sets import company_features, features_in_use  # noqa: PLC0415
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.resources.serving import ServingStore  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    settings = Settings.load()
    features = features_in_use(
        company_features(open_source(settings), settings.source, settings.features), settings.features
    )
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
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
    page, figures = write(found, settings.reports, as_of=as_of.isoformat())
    click.echo("\n".join([f"backtest of {asked}, {settings.company}", *screen(found), f"  {page}", f"  {figures}"]))


@click.command()
@click.argument("named", metavar="[ID]", required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to; default: the reports.")
def card(named: str | None, out: Path | None) -> None:
    """Write the model card of ID as HTML and Markdown.

    ID is an epoch, the first digits of a digest, or NAME/VERSION of the registry; default: the release that serves.
    """
    from churn_assets.champion.card.files import card_named, write_card  # noqa: PLC0415
    from churn_assets.resources.serving import ServingStore  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    settings = Settings.load()
    digest, made = card_named(ServingStore(settings.database_url, settings.releases_url, settings.online_url), named)
    for file in write_card(made, digest, out or settings.reports):
        click.echo(file)
