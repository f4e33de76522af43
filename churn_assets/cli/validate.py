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
from churn_assets.settings.company import Settings
from churn_store.clock import parse_time

YAML = (".yaml", ".yml")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--table", type=click.Choice(("customers", "events", "payments")), help="Which table FILE is in place of.")
@click.option("--as-of", help="Look at the tables as if it were this time; default: by the clock.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def validate(file: Path | None, table: str | None, as_of: str | None, as_json: bool) -> None:
    """Say whether the tables fit, before anything runs; reads the source only, writes nothing.

    FILE may be another churn.yaml, or a file that is looked at in place of a configured one. Exit status 1 if something would
    be refused or stop a run.
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
    report = validate_company(settings, open_source(settings), now_s=now_s)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), "fits": report.fits}))
    else:
        click.echo("\n".join(lines(report)))
    sys.exit(0 if report.fits else 1)
