"""`churn validate` and `churn doctor`: whether the tables fit, and whether the set-up works."""

import os
import sys
from pathlib import Path

import click

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
    import msgspec  # noqa: PLC0415

    from churn_assets.connectors.open_source import open_source  # noqa: PLC0415
    from churn_assets.preflight.company import validate as validate_company  # noqa: PLC0415
    from churn_assets.preflight.replaced import with_file  # noqa: PLC0415
    from churn_assets.preflight.screen import lines  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

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


@click.command()
@click.option("--port", default=8000, show_default=True, help="Where the service listens, if it runs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for machines.")
def doctor(port: int, as_json: bool) -> None:
    """Say whether the set-up works, part by part, and what to do where it does not. Exit status 1 if a part fails."""
    import msgspec  # noqa: PLC0415

    from churn_assets.doctor.doctor import examine  # noqa: PLC0415

    states = set()
    for found in examine(Path.cwd(), port=port):
        states.add(found.state)
        click.echo(msgspec.json.encode(found) if as_json else f"{found.state:<8}{found.part:<18}{found.said}")
    sys.exit(1 if "failed" in states else 0)
