"""Scores whole files part by part, so that a file of any size needs the memory of a few thousand rows.

Belongs here: from a file to its scores, with one verified release. Does not belong here: formats (``tables``), a company's own file
(``mapped_table``), which rows can be scored (``rows``), and how a row is scored (``churn_store.model.scorer``).
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import polars as pl

from churn_store.batch.columns import LABEL, WRITTEN_AS, Columns
from churn_store.batch.known_words import KnownWords
from churn_store.batch.mapped_table import MappedFile
from churn_store.batch.own_names import OwnNames
from churn_store.batch.repeated_ids import RepeatedIds
from churn_store.batch.request import ScoringRequest, refuse_places, require_separator
from churn_store.batch.row_writer import RowWriter
from churn_store.batch.rows import REASON, sort_rows
from churn_store.batch.scores import CHURN, PROBABILITY, scores_of
from churn_store.batch.tables import FIRST_LINE, LINE, NOT_READ, ROW, Chunk, format_of
from churn_store.mapping.labels import CHURNED, STAYED
from churn_store.releases.bundles import Bundle
from churn_store.releases.lifecycle import SHOWN_DIGITS

Progress = Callable[[int], None]
"""Function called with the number of rows read so far."""


@dataclass(frozen=True)
class Scored:
    """The result of scoring a file.

    Attributes:
        rows: number of rows in the file.
        rejected: number of rows that could not be scored.
        leaving: number of rows called churn, without those of customers who have left.
        unknown: number of scored rows with a category that training never saw, by column.
        written: whether the file of scores was written.
        repeated: number of scored rows whose id another row has, too.
        shows_ids: whether a written file has a second column of ids, as a spreadsheet may run some of them.
        left: number of scored rows of customers who have left, as the file says.
        stayed: number of scored rows of customers who stayed, as the file says.
        notes: what a person should know of the way the file was read.
    """

    rows: int
    rejected: int
    leaving: int
    unknown: dict[str, int]
    written: bool
    repeated: int = 0
    shows_ids: bool = False
    left: int = 0
    stayed: int = 0
    notes: tuple[str, ...] = ()


def score_file(bundle: Bundle, asked: ScoringRequest, *, progress: Progress) -> Scored:
    """Score a file.

    Args:
        bundle: bundle of the release.
        asked: file to score, and how.
        progress: function called after each part.

    Raises:
        InputError: if files or columns are not as they should be, no word of a category is known to the release, or no row can be
            scored; no file of scores is left.
    """
    format_of(asked.target)
    refuse_places(asked.target, asked.rejected, source=asked.source, force=asked.force)
    separator = asked.written_separator
    require_separator(separator)
    signature, release = bundle.manifest.signature, bundle.digest[:SHOWN_DIGITS]
    if asked.mapping is None:
        format_of(asked.source)
        table: OwnNames | MappedFile = OwnNames(asked, signature, release=release)
    else:
        table = MappedFile(asked, asked.mapping, signature, release=release)
    columns = table.columns
    kept = [ROW if columns.ids is None else columns.ids, *columns.kept]
    label = [LABEL] if columns.has_labels else []
    total = leaving = 0
    known: Counter[str] = Counter()
    words, ids = KnownWords(signature), RepeatedIds()
    with ExitStack() as stack:
        written_ids = None if columns.ids is None else columns.written_as.get(columns.ids, columns.ids)
        scores, aside = (
            stack.enter_context(RowWriter(path, separator=separator, ids=written_ids))
            for path in (asked.target, asked.rejected)
        )
        for chunk in table.chunks():
            readable, unreadable = _parted(chunk.rows)
            sorted_rows = sort_rows(readable, signature, id_column=columns.ids)
            scored = (
                sorted_rows.found.select(kept)
                .hstack(scores_of(bundle, sorted_rows.rows))
                .hstack(sorted_rows.found.select(label))
            )
            finite = scored[PROBABILITY].is_finite()
            scores.write(_as_written(scored.filter(finite), columns))
            rejected = pl.concat([sorted_rows.rejected, unreadable], how="diagonal")
            not_finite = sorted_rows.found.filter(~finite)
            _set_aside(aside, chunk, rejected, not_finite, columns)
            total += chunk.rows.height + len(chunk.broken)
            at_risk = scored.filter(finite)
            if label:
                known.update(at_risk[LABEL].drop_nulls())
                at_risk = at_risk.filter(pl.col(LABEL).ne_missing(CHURNED))
            leaving += int(at_risk[CHURN].sum())
            words.add(sorted_rows)
            if columns.ids is not None:
                ids.add(scored.filter(finite)[columns.ids])
            progress(total)
        words.require_some(source=asked.source, release=release)
        written = total > aside.rows and not (asked.strict and aside.rows)
        if aside.rows:
            aside.put_in_place()
        elif asked.force:
            asked.rejected.unlink(missing_ok=True)
        if written:
            scores.put_in_place()
        elif asked.force:
            asked.target.unlink(missing_ok=True)
    return Scored(
        rows=total,
        rejected=aside.rows,
        leaving=leaving,
        unknown=words.unknown,
        written=written,
        repeated=ids.rows(),
        shows_ids=scores.shows_ids or aside.shows_ids,
        left=known[CHURNED],
        stayed=known[STAYED],
        notes=tuple(table.notes),
    )


def _parted(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that can be read, and the others with the reason."""
    if NOT_READ not in rows.columns:
        return rows, rows.clear().with_columns(pl.lit(None, dtype=pl.String).alias(REASON))
    bad = rows.filter(pl.col(NOT_READ).is_not_null()).rename({NOT_READ: REASON})
    return rows.filter(pl.col(NOT_READ).is_null()).drop(NOT_READ), bad


def _set_aside(aside: RowWriter, chunk: Chunk, rejected: pl.DataFrame, not_finite: pl.DataFrame, columns: Columns) -> None:
    """Write row, line, id and reason of the rows that could not be scored."""
    ids = [] if columns.ids is None else [columns.ids]
    names = [ROW, *([LINE] if LINE in chunk.rows.columns else []), *ids]
    parts = [_with_span(rejected).select(*names, REASON)]
    if not_finite.height:
        parts.append(not_finite.select(*names, pl.lit("the model gave no number for it").alias(REASON)))
    if chunk.broken:
        drawn = pl.DataFrame(chunk.broken, schema={ROW: pl.Int64, LINE: pl.Int64, REASON: pl.String}, orient="row")
        parts.append(drawn)
    rejects = pl.concat(parts, how="diagonal_relaxed").select(*names, REASON).sort(ROW)
    if rejects.height:
        aside.write(_as_written(rejects, columns))


def _with_span(rejected: pl.DataFrame) -> pl.DataFrame:
    """Add the span of lines to the reason where several lines were read as one row: a quote that another row closed joins them."""
    if LINE not in rejected.columns:
        return rejected
    first, last = pl.col(FIRST_LINE), pl.col(LINE)
    span = pl.format("{}; by their quotes the lines {} to {} are one row", REASON, first, last)
    return rejected.with_columns(pl.when(last > first).then(span).otherwise(REASON).alias(REASON))


def _as_written(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    names = {**WRITTEN_AS, **columns.written_as}
    return frame.rename({name: written for name, written in names.items() if name in frame.columns})
