"""`churn quality findings`: what was found in the newest periods."""

import click
import msgspec

from churn_assets.lake.lake import Lake
from churn_assets.quality.findings import quality_findings
from churn_assets.settings.company import Settings


@click.command()
@click.option("--periods", default=12, show_default=True, type=click.IntRange(min=1), help="How many newest periods.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for machines.")
def findings(periods: int, as_json: bool) -> None:
    """Print what was found in the newest periods of the raw tables and of the features, the oldest first."""
    found = quality_findings(Lake(Settings.load().lake_url), periods)
    for one in found:
        click.echo(
            msgspec.json.encode(one)
            if as_json
            else f"{'blocks' if one.blocking else 'told':<8}{one.kind:<18}{one.sentence}"
        )
    if not found and not as_json:
        click.echo("nothing is broken in the periods that were judged")
