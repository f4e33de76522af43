"""`churn init DATA...`: looks at a company's data, and writes the folder with which the platform reads it.

Belongs here: arguments, the files that are written, and what is said. Does not belong here: what is found in the data (``inspection``).
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from churn_assets.connectors.open_source import open_source
from churn_assets.connectors.postgres.connection import server
from churn_assets.inspection.company import drafted
from churn_assets.inspection.database import tables_in_database
from churn_assets.inspection.draft import Draft
from churn_assets.inspection.files import overlooked, tables_in_files
from churn_assets.inspection.folder import configured, instance_files, refuse_existing, write_all
from churn_assets.inspection.rendering import rendered
from churn_assets.inspection.series import most
from churn_assets.inspection.table import InspectedTable
from churn_assets.periods import day_of, epoch_s
from churn_assets.preflight.company import validate as validate_company
from churn_assets.preflight.report import Report
from churn_assets.preflight.screen import lines
from churn_assets.settings.company import Settings
from churn_assets.settings.postgres import PostgresSettings
from churn_assets.tables import Source
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.redaction import without_password

ADDRESS = re.compile(r"^postgres(ql)?(\+\w+)?://")


@click.command()
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder of the company; default: this one.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
def init(data: tuple[str, ...], into: Path, *, force: bool) -> None:
    """Look at DATA and write churn.yaml, dagster.yaml and workspace.yaml, with what is not sure as questions at the top.

    DATA are files (CSV or Parquet), folders, patterns, or the postgresql:// address of a database. Exit status 1 if something is
    left to decide before anything can run.
    """
    sys.exit(run_init(data, into, force=force))


def run_init(data: tuple[str, ...], into: Path, *, force: bool = False) -> int:
    """Write the folder of a company and validate it; the exit status.

    Raises:
        InputError: if the data can't be read or told apart, or a file is in the way; nothing is written then.
    """
    into = into.absolute()
    if not force:
        refuse_existing(into, {"churn.yaml": "", **instance_files()})
    looked_at = ", ".join(without_password(name) if ADDRESS.match(name) else name for name in data)
    tables, source = _looked_at(data, into)
    unread = overlooked(data)
    try:
        draft = drafted(tables, company=_company(into, data), source=source, into=into, looked_at=looked_at)
    except InputError as error:
        also = "; ".join(f"{file}: {reason}" for file, reason in unread.items())
        raise InputError(f"{error}. Beside them {also}" if also else str(error)) from error
    draft.unused |= unread
    text = rendered(draft, looked_at=looked_at)
    with configured(into, text):
        report, ended = _validated()
    write_all(into, {**instance_files(), "churn.yaml": text})
    _say(draft, into, report, ended)
    return 0 if report.fits else 1


def _looked_at(data: tuple[str, ...], into: Path) -> tuple[list[InspectedTable], dict[str, Any]]:
    addresses = [name for name in data if ADDRESS.match(name)]
    if not addresses:
        return tables_in_files(data, into=into), {"kind": "files"}
    if len(data) > 1:
        raise InputError("the address of a database stands alone; expected either one address, or files and folders")
    url = addresses[0]
    settings = PostgresSettings.model_construct(
        kind="postgres", url=SecretStr(url), statement_timeout_s=600, batch_rows=50_000
    )
    server(settings)  # an address that can't be one is refused before anything is asked
    tables = tables_in_database(settings)
    os.environ["CHURN_SOURCE__URL"] = url  # for this process alone, as a password is never written
    has_password = re.search(r"://[^/@]*:[^/@]*@", url) is not None or "password=" in url
    return tables, {"kind": "postgres"} if has_password else {"kind": "postgres", "url": url}


def _company(into: Path, data: tuple[str, ...]) -> str:
    """A name for the company: that of its folder, or of its data."""
    names = [into.name, *(Path(name).stem for name in data if not ADDRESS.match(name)), "company"]
    plain = (re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64] for name in names)
    return next(name for name in plain if name)


def _validated() -> tuple[Report, date | None]:
    """What `churn validate` says of the folder, and the day after the data where that lies in the past."""
    settings = Settings.load()
    source, now_s = open_source(settings), settings.clock.now_s()
    if settings.has_time and (end_s := _end_s(source, settings.tables, now_s)) < now_s - DAY_S:
        return validate_company(settings, source, now_s=end_s), day_of(end_s)
    return validate_company(settings, source, now_s=now_s), None


def _end_s(source: Source, tables: Iterable[Table], now_s: int) -> int:
    """The end of the last day with data."""
    known = [source.read(table, -(2**62), now_s).rows["known_s"] for table in tables]
    newest = max((int(most(times)) for times in known if times.len()), default=now_s)
    return epoch_s(day_of(newest) + timedelta(days=1))


def _say(draft: Draft, into: Path, report: Report, ended: date | None) -> None:
    shown = os.path.relpath(into)
    click.echo(f"wrote {', '.join(['churn.yaml', *instance_files()])} into {'this folder' if shown == '.' else shown}")
    for name, table in draft.tables.items():
        lies = table.described.get("path") or table.described.get("table") or "a query"
        named = {**table.columns, **table.described.get("event_times", {})}
        mapped = ", ".join(f"{canonical} <- {column}" for canonical, column in named.items())
        click.echo(f"  {name:<10} {lies}: {mapped}" + (f"; {len(table.attributes)} attributes" if table.attributes else ""))
        for column, reason in table.left_out.items():
            click.echo(f"  {'':<10} left out: {column}: {reason}")
    for unused, reason in draft.unused.items():
        click.echo(f"  not used: {unused}: {reason}")
    if draft.questions:
        click.echo(f"\n{len(draft.questions)} to answer, at the top of churn.yaml with the lines to change:")
        for number, question in enumerate(draft.questions, start=1):
            click.echo(f"  {number}. {question.text}")
    click.echo("\n" + "\n".join(lines(report)))
    there = "" if shown == "." else f"cd {shlex.quote(shown)} && "
    then = f" --as-of {ended}" if ended else ""
    if ended:
        click.echo(f"\nthe data ends in the past: `churn validate{then}` says this again")
    if report.fits:
        click.echo(f"\nnext: {there}{_command()} demo{then}")


def _command() -> str:
    """How this command is called: by its name, or by its path where no shell would find it."""
    own = Path(sys.executable).with_name("churn")
    return "churn" if shutil.which("churn") is not None or not own.exists() else shlex.quote(str(own))
