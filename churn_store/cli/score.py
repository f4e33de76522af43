"""`churn score`: turns a file of customers into a file of scores.

Belongs here: options and output. Does not belong here: the scoring (``batch``).
"""

import sys
import time
from pathlib import Path

import click

from churn_store.batch.request import ScoringRequest
from churn_store.batch.score_file import Scored, score_file
from churn_store.batch.snapshot import SnapshotScored, installed_snapshots, score_snapshot
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import InputError
from churn_store.mapping.company import SourceConfig, customers_table
from churn_store.mapping.file_settings import FileTable
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import newest
from churn_store.releases.resolve import find_manifest
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore

SHOWN_DIGITS = 12

EVERY_S, EVERY_LINE_S = 0.5, 10.0
"""Seconds between progress messages: on a screen (one line, overwritten), and elsewhere (a line each)."""


IDS_ARE_SHOWN = (
    "note: a spreadsheet may run some of the ids as formulas. They stay as they are, for the join; look at the column beside them "
    "whose name ends with _shown"
)


@click.command()
@click.argument("files", metavar="[IN] OUT", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--release", metavar="EPOCH|DIGEST", help="Score by this release; default: the champion.")
@click.option("--snapshot", metavar="newest|DATE", help="Without IN: score everyone at risk at this snapshot of the lake.")
@click.option(
    "--like-release", is_flag=True, help="IN has the release's own names, whatever the mapping in churn.yaml says."
)
@click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    help="The column of ids; default: the mapped one, or customer_id where there is one.",
)
@click.option("--keep", multiple=True, metavar="COLUMN", help="Bring this column along; may be given again.")
@click.option("--separator", help="Of CSV files, IN and OUT; default: that of the mapping, or a comma.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@click.option(
    "--strict",
    is_flag=True,
    help="If any row can't be scored, leave no OUT, not even an earlier one, and end with exit status 2.",
)
def score(
    files: tuple[Path, ...],
    release: str | None,
    snapshot: str | None,
    like_release: bool,
    id_column: str | None,
    keep: tuple[str, ...],
    separator: str | None,
    force: bool,
    strict: bool,
) -> None:
    """Score every row of IN (.csv, .csv.gz or .parquet) by the release that serves, into OUT.

    IN is a file like the table of customers in churn.yaml, read by the same mapping. Without such a table, or with --like-release,
    IN has the columns that the model takes, by their own names; others are left out. OUT has the id, probability, churn and
    release of each row that can be scored; the others are set aside, with the reason, in a file beside it. Exit status 2 if no row
    can be scored. With --snapshot, OUT has the customer_id, probability, churn and snapshot of everyone at risk then.
    """
    if snapshot is not None:
        _require_files(files, ("OUT",), hint="with --snapshot the lake is read")
        if id_column is not None or keep or like_release or strict:
            raise click.UsageError(
                "--id, --keep, --like-release and --strict are for a file; leave them out with --snapshot"
            )
        rows = installed_snapshots()(snapshot)
        bundle = _bundle(release)
        found = score_snapshot(bundle, rows, files[0], separator=separator or ",", force=force)
        _say_snapshot(found, files[0], bundle)
        return
    _require_files(files, ("IN", "OUT"), hint="or --snapshot newest and OUT")
    source, target = files
    mapping = None if like_release else _mapping()
    asked = ScoringRequest(source, target, id_column, keep, separator, force, strict, mapping)
    bundle = _bundle(release)
    meter = _Meter()
    scored = score_file(bundle, asked, progress=meter.show)
    meter.end(scored.rows)
    _say(scored, asked, bundle)


def _require_files(files: tuple[Path, ...], names: tuple[str, ...], *, hint: str) -> None:
    if len(files) != len(names):
        raise click.UsageError(f"expected {' and '.join(names)} ({hint}), found {len(files)} names of files")


def _mapping() -> FileTable | None:
    table = customers_table(SourceConfig.load())
    if table.description is None:
        click.echo(
            f"{table.why_not}: IN is read by the release's own names (--like-release); for everyone at risk in the lake use "
            "--snapshot newest",
            err=True,
        )
    return table.description


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


def _say_snapshot(found: SnapshotScored, target: Path, bundle: Bundle) -> None:
    if found.without_number:
        click.echo(f"warning: the model gave no number for {found.without_number:,} customers; they are left out", err=True)
    if found.shows_ids:
        click.echo(IDS_ARE_SHOWN, err=True)
    click.echo(
        f"{target}: {found.rows:,} customers at risk at {found.day} scored by release {bundle.digest[:SHOWN_DIGITS]}, "
        f"{found.leaving:,} called churn"
    )


def _say(found: Scored, asked: ScoringRequest, bundle: Bundle) -> None:
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if found.rows == 0:
        raise InputError(f"{asked.source} has no rows, so nothing was scored; {asked.target} was not written")
    if found.unknown:
        listed = ", ".join(f"{name} {count:,}" for name, count in found.unknown.items())
        click.echo(f"rows with a word that training never saw, scored as unknown: {listed}", err=True)
    if found.rejected:
        warning = f"{found.rejected:,} of {found.rows:,} rows could not be scored: {asked.rejected} says why"
        if not found.written:
            reason = "nothing was scored" if found.rejected == found.rows else "--strict"
            raise InputError(f"{warning}; {asked.target} was not written ({reason})")
        click.echo(f"warning: {warning}", err=True)
    if found.repeated:
        click.echo(
            f"note: {found.repeated:,} scored rows have an id that another row has, too; a join by the id gives them several scores",
            err=True,
        )
    if found.left or found.stayed:
        click.echo(
            f"note: {found.left:,} scored rows are of customers who left, which is no risk any more, and {found.stayed:,} of customers "
            "who stayed; of both the outcome is known, and the release may have been trained on them (in sample). The column "
            "known_label says which",
            err=True,
        )
    if found.shows_ids:
        click.echo(IDS_ARE_SHOWN, err=True)
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
