"""Rewrites the words of an older lake as the newest version writes them.

The lake's file with the version says that it is being rewritten until it is: a run that is cut off leaves nothing that is read in two
ways, and the next one goes on.

Belongs here: rows of the raw tables, their quarantines, features and labels. Does not belong here: training sets and scores, which
stay what a release was made of and said, and telling Dagster (``orchestration.instance``).
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import polars as pl

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.identity import read_mark, write_mark
from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import NAME, REWRITING, is_older
from churn_assets.lake.restore import Back
from churn_assets.lake.versions import LIE_BY, QUARANTINES, RAW, digest_at, key_of
from churn_store.mapping.surrogate_keys import with_row_ids
from churn_store.mapping.tables import QUARANTINE, Table
from churn_store.mapping.text import plain
from churn_store.model.words import NORMALISATION, WHOLE_NUMBER

RUN = "churn data migrate"
"""The text in place of a commit's run id."""

MADE_OF_THEM = ("customer_features", "churn_labels")
"""Tables that are made of the raw ones, and hold their words."""


@dataclass(frozen=True)
class Rewritten:
    """A table after its words were rewritten.

    Attributes:
        table: name of the table.
        before: version with the older words.
        version: version with the newest ones.
        periods: digest and number of rows of each period.
        changed: number of rows that changed.
        merged: number of rows that are left out, as their key became another row's.
    """

    table: str
    before: int
    version: int
    periods: dict[str, Back]
    changed: int
    merged: int


def rewrite_words(
    lake: Lake,
    *,
    digested: Collection[Table],
    numeric: Mapping[str, Collection[str]] | None = None,
    tell: Callable[[Rewritten], None] = lambda _: None,
) -> list[Rewritten]:
    """Rewrite the words of a lake of version 1, and ids that are digests of them; a present lake is left as it is.

    Args:
        lake: the lake.
        digested: tables whose rows have no id of their own, so that it is a digest of the row.
        numeric: by table, the columns of words that are numbers to their writer, of which all zeros at the end are dropped.
        tell: function that is called with each table that was rewritten, and, where an earlier rewrite was cut off, with all of
            them as they are: nobody may have been told.

    Returns:
        The tables in which something changed.

    Raises:
        InputError: if the lake is newer than this platform, or another run wrote a table at the same time.
        StoreAwayError: if the object store does not answer.
    """
    if not is_older(lake):
        return []
    was_cut_off = read_mark(lake.url, NAME) == REWRITING
    write_mark(lake.url, NAME, REWRITING)
    numbers = {**dict.fromkeys(MADE_OF_THEM, (numeric or {}).get("customers", ())), **(numeric or {})}
    changed: list[Rewritten] = []
    for table in (*RAW, *QUARANTINES, *MADE_OF_THEM):
        if not lake.has(table):
            continue
        if table in QUARANTINES:
            done = _rewrite_quarantine(lake, table)
        else:
            done = _rewrite(lake, table, is_digested=table in digested, numeric=numbers.get(table, ()))
        if done.changed or was_cut_off:
            tell(done)
        if done.changed:
            changed.append(done)
    write_mark(lake.url, NAME, str(NORMALISATION))
    return changed


def _rewrite(lake: Lake, table: str, *, is_digested: bool, numeric: Collection[str]) -> Rewritten:
    before = lake.version(table)
    rows = lake.scan(table, version=before).collect()
    words = [name for name, kind in rows.schema.items() if kind == pl.String and name != PERIOD]
    changed = rows.with_columns(
        plain(pl.col(name), is_number=name in numeric).str.replace(WHOLE_NUMBER, "$1") for name in words
    )
    is_changed = _differs(rows, changed, words)
    if not is_changed.any():
        return _as_it_is(table, before, rows)
    if is_digested:
        changed = with_row_ids(changed, table)  # type: ignore[arg-type]
    key = key_of(table, changed.columns)
    first = [name for name in ("known_s", "occurred_s") if name in changed.columns]
    kept = changed.sort(*first, PERIOD, *key).unique(key, keep="first")
    return _write(lake, table, before, rows, kept.sort(*LIE_BY.get(table, ()), *key), is_changed)


def _rewrite_quarantine(lake: Lake, name: str) -> Rewritten:
    before = lake.version(name)
    rows = lake.scan(name, version=before).collect()
    changed = rows.with_columns(
        pl.col("value").str.strip_chars(), pl.col("row").map_elements(_stripped, return_dtype=pl.String)
    )
    is_changed = _differs(rows, changed, ["value", "row"])
    if not is_changed.any():
        return _as_it_is(name, before, rows)
    return _write(lake, name, before, rows, changed.sort(list(QUARANTINE)), is_changed)


def _stripped(row: str) -> str:
    """A row in JSON without blanks around its texts."""
    fields = {name: value.strip() if isinstance(value, str) else value for name, value in json.loads(row).items()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _differs(rows: pl.DataFrame, changed: pl.DataFrame, words: list[str]) -> pl.Series:
    differences = [rows[name].ne_missing(changed[name]) for name in words]
    return (
        pl.DataFrame(differences).select(pl.any_horizontal(pl.all())).to_series()
        if words
        else pl.Series([], dtype=pl.Boolean)
    )


def _write(lake: Lake, table: str, before: int, rows: pl.DataFrame, kept: pl.DataFrame, is_changed: pl.Series) -> Rewritten:
    """Write all periods in one commit: a reader sees the older words or the newest ones."""
    periods = _by_period(kept)
    done = lake.replace(table, periods, run_id=RUN, sources=lake.sources(table, version=before))
    return Rewritten(table, before, done.version, _backs(table, periods), int(is_changed.sum()), rows.height - kept.height)


def _as_it_is(table: str, version: int, rows: pl.DataFrame) -> Rewritten:
    return Rewritten(table, version, version, _backs(table, _by_period(rows)), 0, 0)


def _by_period(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(period): rows.filter(pl.col(PERIOD) == period).drop(PERIOD) for period in rows[PERIOD].unique().sort()}


def _backs(table: str, periods: dict[str, pl.DataFrame]) -> dict[str, Back]:
    return {period: Back(digest_at(table, frame), frame.height) for period, frame in periods.items()}
