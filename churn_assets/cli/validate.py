"""`churn validate`: whether the tables fit."""

import os
import sys
from pathlib import Path

import click
import msgspec

from churn_assets.connectors.open_source import open_source
from churn_assets.preflight.company import validate as validate_company
from churn_assets.preflight.replaced import with_file
from churn_assets.preflight.screen import lines
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.clock import parse_time

YAML = (".yaml", ".yml")
EXIT = {"fits": 0, "does not fit": 1, "decide": 3}
"""Exit statuses; click's own for a wrong use is 2."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--table", type=click.Choice(("customers", "events", "payments")), help="Which table FILE is in place of.")
@click.option("--as-of", help="Look at the tables as if it were this time; default: by the clock.")
@click.option("--strict", is_flag=True, help="Exit status 3 if the tables fit and something is left to decide.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def validate(file: Path | None, table: str | None, as_of: str | None, as_json: bool, strict: bool) -> None:
    """Say whether the tables fit, before anything runs: whether training can begin; writes nothing.

    FILE may be another churn.yaml, or a file that is looked at in place of a configured one. Exit status 1 if something would
    be refused or stop a run, 0 if training can begin; with --strict 3 if it can and somebody must decide something.
    """
    if file is not None and not file.exists():
        raise click.UsageError(f"{file} does not exist; name a churn.yaml, or a file in place of a configured one")
    is_configuration = file is not None and file.suffix in YAML
    if table is not None and (file is None or is_configuration):
        raise click.UsageError("--table says which configured table a FILE is in place of; name such a file")
    if is_configuration:
        os.environ["CHURN_CONFIG"] = str(file)
    settings = Settings.load()
    if file is not None and not is_configuration:
        settings = settings.model_copy(update={"source": with_file(settings.source, file.absolute(), table)})
    now_s = settings.clock.now_s() if as_of is None else int(parse_time(as_of, where="--as-of").timestamp())
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    report = validate_company(settings, open_source(settings), now_s=now_s, serving=serving)
    if as_json:
        shown = {**msgspec.to_builtins(report), "fits": report.fits, "verdict": report.verdict}
        click.echo(msgspec.json.encode(shown))
    else:
        click.echo("\n".join(lines(report)))
    sys.exit(EXIT[report.verdict] if strict or report.verdict != "decide" else 0)
