"""The commands of releases: what served and serves."""

import click
import msgspec

from churn_store.migrate import require_migrated
from churn_store.releases import history
from churn_store.settings import ConfigFile
from churn_store.tables import connect


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def releases(as_json: bool) -> None:
    """List which release served from when on, newest first: who released it, and why."""
    engine = connect(ConfigFile.load().database_url)
    require_migrated(engine)
    for row in history(engine):
        if as_json:
            click.echo(msgspec.json.encode(row))
        else:
            click.echo(f"epoch {row.epoch}  {row.champion[:12]}  by {row.actor}  {row.reason}")
