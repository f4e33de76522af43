"""`churn card`: what a model is, as a document."""

from pathlib import Path

import click

from churn_assets.champion.card.files import card_named, write_card
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings


@click.command()
@click.argument("named", metavar="[ID]", required=False)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to; default: the reports.")
def card(named: str | None, out: Path | None) -> None:
    """Write the model card of ID as HTML and Markdown.

    ID is an epoch, the first digits of a digest, or NAME/VERSION of the registry; default: the release that serves.
    """
    settings = Settings.load()
    digest, made = card_named(ServingStore(settings.database_url, settings.releases_url, settings.online_url), named)
    for file in write_card(made, digest, out or settings.reports):
        click.echo(file)
