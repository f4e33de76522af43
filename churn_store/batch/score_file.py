"""Scores whole files part by part, so that a file of any size needs the memory of a few thousand rows.

Belongs here: from a file to its scores, with one verified release. Does not belong here: formats (``tables``), which rows
can be scored (``rows``), and how a row is scored (``scoring``).
"""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from churn_store.batch.rows import REASON, sort_rows
from churn_store.batch.tables import FIRST_LINE, LINE, ROW, Chunk, RowWriter, format_of, open_table, with_word
from churn_store.errors import InputError
from churn_store.releases.bundles import Bundle

CUSTOMER_ID = "customer_id"
PROBABILITY, CHURN, RELEASE = "probability", "churn", "release"

WRITTEN_AS = {ROW: "row", LINE: "line", REASON: "reason"}
"""Names of a row's position and reason in the written files."""

TAKEN = frozenset({PROBABILITY, CHURN, RELEASE, *WRITTEN_AS.values()})
"""Names that a column of ids can't have, because written columns have them."""

Progress = Callable[[int], None]
"""Function called with the number of rows read so far."""


@dataclass(frozen=True)
class ScoringRequest:
    """A file to score, and how.

    Attributes:
        source: file to score.
        target: file of scores.
        id_column: id column of the source; ``None`` for ``customer_id`` where there is one.
        keep: further columns of the source that are copied to the scores.
        separator: field separator of a CSV file.
        force: whether existing files are replaced.
        strict: whether no scores are left if any row can't be scored.
    """

    source: Path
    target: Path
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    separator: str = ","
    force: bool = False
    strict: bool = False

    @property
    def rejected(self) -> Path:
        """The file of rows that can't be scored."""
        return with_word(self.target, "rejected")


@dataclass(frozen=True)
class Scored:
    """The result of scoring a file.

    Attributes:
        rows: number of rows in the file.
        rejected: number of rows that could not be scored.
        leaving: number of rows called churn.
        unknown: number of scored rows with a category that training never saw, by column.
        written: whether the file of scores was written.
    """

    rows: int
    rejected: int
    leaving: int
    unknown: dict[str, int]
    written: bool


def scores_of(bundle: Bundle, rows: pl.DataFrame) -> pl.DataFrame:
    """The scores of rows that have the signature's columns: ``probability``, ``churn``, ``release``, in their order."""
    probability = pl.Series(PROBABILITY, bundle.scorer.score_frame(rows), dtype=pl.Float64)
    return pl.DataFrame([probability, (probability >= bundle.manifest.threshold).alias(CHURN)]).with_columns(
        pl.lit(bundle.digest).alias(RELEASE)
    )


def score_file(bundle: Bundle, asked: ScoringRequest, *, progress: Progress) -> Scored:
    """Score a file.

    Args:
        bundle: bundle of the release.
        asked: file to score, and how.
        progress: function called after each part.

    Raises:
        InputError: if files or columns are not as they should be; no file of scores is left.
    """
    _refuse_places(asked)
    signature = bundle.manifest.signature
    words = {column.name for column in signature.columns if column.kind == "category" and not column.nullable}
    table = open_table(asked.source, separator=asked.separator, words=words)
    wanted = _columns(table.names, bundle, asked)
    id_column = _id_column(table.names, asked)
    kept = [*([ROW] if id_column is None else [id_column]), *asked.keep]
    total = leaving = 0
    unknown: Counter[str] = Counter()
    with ExitStack() as stack:
        scores = stack.enter_context(RowWriter(asked.target, separator=asked.separator))
        aside = stack.enter_context(RowWriter(asked.rejected, separator=asked.separator))
        for chunk in table.chunks(wanted):
            sorted_rows = sort_rows(chunk.rows, signature, id_column=id_column)
            scored = sorted_rows.found.select(kept).hstack(scores_of(bundle, sorted_rows.rows))
            finite = scored[PROBABILITY].is_finite()
            scores.write(_as_written(scored.filter(finite)))
            not_finite = sorted_rows.found.filter(~finite)
            _set_aside(aside, chunk, sorted_rows.rejected, not_finite, id_column)
            total += chunk.rows.height + len(chunk.broken)
            leaving += int(scored.filter(finite)[CHURN].sum())
            unknown.update(sorted_rows.unknown)
            progress(total)
        written = not (asked.strict and aside.rows)
        if aside.rows:
            aside.put_in_place()
        elif asked.force:
            asked.rejected.unlink(missing_ok=True)
        if written:
            scores.put_in_place()
        elif asked.force:
            asked.target.unlink(missing_ok=True)
    return Scored(total, aside.rows, leaving, dict(unknown), written)


def _set_aside(
    aside: RowWriter, chunk: Chunk, rejected: pl.DataFrame, not_finite: pl.DataFrame, id_column: str | None
) -> None:
    """Write row, line, id and reason of the rows that could not be scored."""
    names = [ROW, *([LINE] if LINE in chunk.rows.columns else []), *([id_column] if id_column else [])]
    parts = [_with_span(rejected).select(*names, REASON)]
    if not_finite.height:
        parts.append(not_finite.select(*names, pl.lit("the model gave no number for it").alias(REASON)))
    if chunk.broken:
        drawn = pl.DataFrame(chunk.broken, schema={ROW: pl.Int64, LINE: pl.Int64, REASON: pl.String}, orient="row")
        parts.append(drawn)
    rejects = pl.concat(parts, how="diagonal_relaxed").select(*names, REASON).sort(ROW)
    if rejects.height:
        aside.write(_as_written(rejects))


def _with_span(rejected: pl.DataFrame) -> pl.DataFrame:
    """Add the span of lines to the reason where several lines were read as one row: a quote that another row closed joins them."""
    if LINE not in rejected.columns:
        return rejected
    first, last = pl.col(FIRST_LINE), pl.col(LINE)
    span = pl.format("{}; by their quotes the lines {} to {} are one row", REASON, first, last)
    return rejected.with_columns(pl.when(last > first).then(span).otherwise(REASON).alias(REASON))


def _as_written(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({name: written for name, written in WRITTEN_AS.items() if name in frame.columns})


def _refuse_places(asked: ScoringRequest) -> None:
    for path in (asked.source, asked.target):
        format_of(path)
    for path in (asked.target, asked.rejected):
        if path.exists() and asked.source.exists() and path.samefile(asked.source):
            raise InputError(f"{path} would be written over the file that is read; name another OUT")
        if path.is_dir() or (path.exists() and not asked.force):
            raise InputError(f"{path} exists already; remove it, name another OUT, or use --force to replace it")
    if len(asked.separator) != 1 or not asked.separator.isascii() or asked.separator in '"\r\n':
        raise InputError(f"--separator is one character such as , or ;, found {asked.separator!r}")


def _columns(there: Sequence[str], bundle: Bundle, asked: ScoringRequest) -> list[str]:
    """The columns to read.

    Raises:
        InputError: if some are missing.
    """
    names = bundle.manifest.signature.names
    if missing := [name for name in names if name not in there]:
        described = ", ".join(f"{name}{_near(name, there)}" for name in missing)
        raise InputError(
            f"{asked.source} lacks {len(missing)} of the {len(names)} columns that release {bundle.digest[:12]} takes: {described}"
        )
    id_column = _id_column(there, asked)
    if unknown := [name for name in asked.keep if name not in there]:
        raise InputError(
            f"{asked.source} has no column {', '.join(f'{name}{_near(name, there)}' for name in unknown)} to keep"
        )
    if id_column in TAKEN:
        raise InputError(
            f"--id {id_column}: the files that are written have a column of that name; rename it in {asked.source}"
        )
    taken = [name for name in asked.keep if name in TAKEN or name == id_column]
    if taken or len(set(asked.keep)) < len(asked.keep):
        raise InputError(
            f"--keep {', '.join(map(str, taken or asked.keep))}: the scores have a column of that name already; rename it in {asked.source}"
        )
    return list(dict.fromkeys([*names, *([id_column] if id_column else []), *asked.keep]))


def _id_column(there: Sequence[str], asked: ScoringRequest) -> str | None:
    if asked.id_column is None:
        return CUSTOMER_ID if CUSTOMER_ID in there else None
    if asked.id_column not in there:
        raise InputError(
            f"{asked.source} has no column {asked.id_column}{_near(asked.id_column, there)}; name the column of ids with --id"
        )
    return asked.id_column


def _near(name: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, there, n=1)
    return f" (there is {near[0]})" if near else ""
