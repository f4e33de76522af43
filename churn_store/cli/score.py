"""`churn score`: turns a file of customers into a file of scores.

Belongs here: options and output. Does not belong here: the scoring (``batch``).
"""

import sys
import time
from pathlib import Path

import click

from churn_store.batch.score_file import Scored, ScoringRequest, score_file
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import InputError
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import newest
from churn_store.releases.resolve import find_manifest
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore

SHOWN_DIGITS = 12

EVERY_S, EVERY_LINE_S = 0.5, 10.0
"""Seconds between progress messages: on a screen (one line, overwritten), and elsewhere (a line each)."""


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--release", metavar="EPOCH|DIGEST", help="Score by this release; default: the champion.")
@click.option("--id", "id_column", metavar="COLUMN", help="The column of ids; default: customer_id where there is one.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Bring this column along; may be given again.")
@click.option("--separator", default=",", show_default=True, help="Of CSV files, IN and OUT.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@click.option(
    "--strict",
    is_flag=True,
    help="If any row can't be scored, leave no OUT, not even an earlier one, and end with exit status 2.",
)
def score(
    source: Path,
    target: Path,
    release: str | None,
    id_column: str | None,
    keep: tuple[str, ...],
    separator: str,
    force: bool,
    strict: bool,
) -> None:
    """Score every row of IN (.csv, .csv.gz or .parquet) by the release that serves, into OUT.

    IN has the columns that the model takes; others are left out. OUT has the id, probability, churn and release of each row
    that can be scored; the others are set aside, with the reason, in a file beside it.
    """
    asked = ScoringRequest(source, target, id_column, keep, separator, force, strict)
    bundle = _bundle(release)
    meter = _Meter()
    scored = score_file(bundle, asked, progress=meter.show)
    meter.end(scored.rows)
    _say(scored, asked, bundle)


def _bundle(named: str | None) -> Bundle:
    settings = ConfigFile.load()
    engine = connect(settings.database_url)
    require_migrated(engine)
    files = DigestStore(settings.releases_url)
    try:
        if named is not None:
            digest, _ = find_manifest(engine, files, named)
            return load_bundle(files, digest)
        row = newest(engine)
        if row is None:
            raise InputError("no release serves yet: `churn demo` or the job retrain makes one")
        return load_bundle(files, row.champion)
    finally:
        engine.dispose()


def _say(found: Scored, asked: ScoringRequest, bundle: Bundle) -> None:
    if found.rows == 0:
        click.echo(f"{asked.source} has no rows; {asked.target} has only the names of its columns", err=True)
    if found.unknown:
        listed = ", ".join(f"{name} {count:,}" for name, count in found.unknown.items())
        click.echo(f"rows with a word that training never saw, scored as unknown: {listed}", err=True)
    if found.rejected:
        warning = f"{found.rejected:,} of {found.rows:,} rows could not be scored: {asked.rejected} says why"
        if not found.written:
            raise InputError(f"{warning}; {asked.target} was not written (--strict)")
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"{asked.target}: {found.rows - found.rejected:,} rows scored by release {bundle.digest[:SHOWN_DIGITS]}, "
        f"{found.leaving:,} called churn"
    )


class _Meter:
    """Rows and rows a second, on standard error."""

    def __init__(self) -> None:
        self._screen = sys.stderr.isatty()
        self._start = "\r" if self._screen else ""
        self._began = self._shown = time.monotonic()

    def show(self, rows: int) -> None:
        """Show the progress if enough time has passed."""
        now = time.monotonic()
        if now - self._shown >= (EVERY_S if self._screen else EVERY_LINE_S):
            self._shown = now
            click.echo(f"{self._start}{self._said(rows, now)}", err=True, nl=not self._screen)

    def end(self, rows: int) -> None:
        """Show the final count."""
        click.echo(f"{self._start}{self._said(rows, time.monotonic())}", err=True)

    def _said(self, rows: int, now: float) -> str:
        return f"{rows:,} rows, {rows / max(now - self._began, 1e-9):,.0f} rows/s"
