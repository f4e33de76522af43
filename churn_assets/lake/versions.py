"""The versions of a lake table: what each of them wrote, and how two of them differ.

Belongs here: reading Delta's log and the rows of single periods. Does not belong here: restoring a version (``restore``), and
what the rows mean. Values of ``customer_id`` never leave this module.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import polars as pl

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import SOURCES, Lake
from churn_assets.lake.row_digest import digest
from churn_store.errors import InputError, LostError
from churn_store.mapping.tables import KEYS, SCHEMAS
from churn_store.redaction import without_password

RAW = tuple(KEYS)
MADE_KEY = ("customer_id", "snapshot_s")
"""The key of a table of customers that is made from the raw ones."""

MADE_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("customer_features", "churn_labels", "training_set", "churn_scores"), MADE_KEY),
    "performance_history": ("snapshot_s", "release", "arm", "segment"),
}
"""The keys of the tables that are made from others."""

MADE = tuple(MADE_KEYS)
QUARANTINES = tuple(f"{table}_quarantine" for table in RAW)
TABLES = (*RAW, *QUARANTINES, *MADE)
"""The tables that a lake may have."""

LIE_BY: dict[str, tuple[str, ...]] = {"events": ("event_type", "customer_id")}
"""The order of rows within a period: one event type after the other, so that cancellations are found without reading the rest."""


@dataclass(frozen=True)
class Version:
    """One commit of a table.

    Attributes:
        number: number of the version.
        written: time of the commit, by the writer's wall clock.
        operation: Delta's name of the operation.
        run_id: id of the run that wrote it; `None` if the commit does not say.
        periods: periods whose files it changed.
        rows: number of rows in the files that it wrote.
        sources: versions of the tables that its rows were made from.
    """

    number: int
    written: datetime
    operation: str
    run_id: str | None
    periods: tuple[str, ...]
    rows: int
    sources: dict[str, int]


@dataclass(frozen=True)
class PeriodDifference:
    """How a period's rows differ between two versions.

    Attributes:
        period: key of the period.
        rows: number of rows in the first and in the second version.
        digests: digests of the rows in the first and in the second version.
        added: number of rows whose key only the second has.
        removed: number of rows whose key only the first has.
        changed: number of rows whose key both have, with different values.
        columns: columns whose values changed, with the number of rows; 0 for a column that only one version has.
    """

    period: str
    rows: tuple[int, int]
    digests: tuple[str, str]
    added: int
    removed: int
    changed: int
    columns: dict[str, int]


def require_table(lake: Lake, table: str) -> None:
    """Refuse a name that is no table of the lake.

    Raises:
        InputError: if there is no such table; it names those that exist.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", table) or not lake.has(table):
        present = [name for name in TABLES if lake.has(name)]
        raise InputError(
            f"the lake {without_password(lake.url)} has no table {table!r}; expected "
            + (
                f"one of {', '.join(present)}"
                if present
                else "some table, but it has none: run `churn demo` or ingest first"
            )
        )


def versions(lake: Lake, table: str, *, limit: int) -> list[Version]:
    """The newest commits of a table with what they wrote, newest first.

    Raises:
        InputError: if there is no such table.
    """
    require_table(lake, table)
    commits = []
    files = cache(lambda number: _files_or_none(lake, table, number))
    for commit in lake.table(table).history(limit):
        number = int(commit["version"])
        now, before = files(number), files(number - 1) if number else None
        changed = _changed(now, before)
        new = {} if now is None else {file: rows for period in now for file, rows in now[period].items()}
        old = {} if before is None else {file for period in before for file in before[period]}
        commits.append(
            Version(
                number,
                datetime.fromtimestamp(commit["timestamp"] / 1000, tz=UTC),
                str(commit.get("operation", "?")),
                commit.get("run_id"),
                tuple(changed),
                sum(rows for file, rows in new.items() if file not in old),
                {str(name): int(read) for name, read in json.loads(commit.get(SOURCES) or "{}").items()},
            )
        )
    return commits


def changed_periods(lake: Lake, table: str, one: int, other: int) -> list[str]:
    """The periods whose files differ between two versions; all other periods have the same rows."""
    return _changed(files_at(lake, table, one), files_at(lake, table, other))


def differences(lake: Lake, table: str, one: int, other: int) -> Iterator[PeriodDifference]:
    """The differences of two versions, a period at a time; only periods whose files differ are read.

    Raises:
        InputError: if there is no such table or version, or its files are gone.
    """
    for period in changed_periods(lake, table, one, other):
        before, after = (read_at(lake, table, period, version) for version in (one, other))
        yield difference(table, period, before, after)


def difference(table: str, period: str, before: pl.DataFrame, after: pl.DataFrame) -> PeriodDifference:
    """The difference between two states of a period; rows without a unique key are compared whole."""
    key = key_of(table, before.columns)
    shared = [name for name in before.columns if name in after.columns]
    columns = {name: 0 for name in [*before.columns, *after.columns] if name not in shared}
    is_keyed = bool(key) and not any(frame.select(key).is_duplicated().any() for frame in (before, after))
    if is_keyed:
        added = after.join(before, on=key, how="anti", nulls_equal=True).height
        removed = before.join(after, on=key, how="anti", nulls_equal=True).height
        both = before.select(shared).join(after.select(shared), on=key, how="inner", nulls_equal=True, suffix="\0after")
        differ = both.select(pl.col(name).ne_missing(pl.col(f"{name}\0after")) for name in shared if name not in key)
        changed = differ.select(pl.any_horizontal(pl.all())).to_series().sum() if differ.width else 0
        columns |= {name: int(differ[name].sum()) for name in differ.columns if differ[name].any()}
    else:
        counts = [frame.group_by(shared).agg(pl.len().alias("\0rows")) for frame in (before, after)]
        met = counts[0].join(counts[1], on=shared, how="full", nulls_equal=True, suffix="\0after")
        more = pl.col("\0rows\0after").fill_null(0).cast(pl.Int64) - pl.col("\0rows").fill_null(0).cast(pl.Int64)
        surplus = met.select(more.alias("more"))["more"]
        added, removed, changed = int(surplus.filter(surplus > 0).sum()), -int(surplus.filter(surplus < 0).sum()), 0
    return PeriodDifference(
        period,
        (before.height, after.height),
        (digest_at(table, before), digest_at(table, after)),
        added,
        removed,
        int(changed),
        columns,
    )


def key_of(table: str, columns: Sequence[str]) -> list[str]:
    """The key columns of a table; none if it has no key, as a quarantine."""
    key = KEYS.get(table) or MADE_KEYS.get(table, ())  # type: ignore[call-overload]
    return [name for name in key if name in columns]


def digest_at(table: str, rows: pl.DataFrame) -> str:
    """The digest that Dagster has as the data version of these rows, with the columns in the contract's order."""
    known = [name for name in SCHEMAS.get(table, ()) if name in rows.columns]  # type: ignore[call-overload]
    ordered = rows.select(*known, pl.exclude(known)) if known else rows
    key = key_of(table, rows.columns)
    whole = not key or rows.select(key).is_duplicated().any()
    return digest(ordered, key=rows.columns if whole else key)


def read_at(lake: Lake, table: str, period: str, version: int) -> pl.DataFrame:
    """A period's rows as they were at a version.

    Raises:
        InputError: if its files are gone.
    """
    require_version(lake, table, version)
    try:
        return lake.read(table, period, version=version)
    except LostError as error:
        raise InputError(gone(table, version)) from error


def require_version(lake: Lake, table: str, version: int) -> None:
    """Refuse a version that the table never had or has no longer.

    Raises:
        InputError: if the version can't be read; it says which versions there are.
    """
    require_table(lake, table)
    newest = lake.version(table)
    if not 0 <= version <= newest:
        raise InputError(
            f"table {table} has no version {version}; expected 0 to {newest}. `churn data log {table}` lists them"
        )
    if _files_or_none(lake, table, version) is None:
        raise InputError(gone(table, version))


def files_at(lake: Lake, table: str, version: int) -> dict[str, dict[str, int]]:
    """The files of a version by period, with the number of rows of each.

    Raises:
        InputError: if there is no such version.
    """
    require_version(lake, table, version)
    return _files_or_none(lake, table, version) or {}


def gone(table: str, version: int) -> str:
    """The message about a version whose files no longer exist."""
    return (
        f"version {version} of table {table} can't be read any more: its files were removed from the lake (vacuumed), or Delta's log "
        f"of it was cleaned up; choose a newer one of `churn data log {table}`, or bring the table's folder back from a backup"
    )


def _files_or_none(lake: Lake, table: str, version: int) -> dict[str, dict[str, int]] | None:
    """The files of a version; `None` if Delta's log no longer has it."""
    try:
        actions = pl.DataFrame(lake.table(table, version=version).get_add_actions(flatten=True))
    except LostError:
        return None
    files: dict[str, dict[str, int]] = {}
    for period, file, rows in actions.select(f"partition.{PERIOD}", "path", "num_records").iter_rows():
        files.setdefault(str(period), {})[file] = int(rows or 0)
    return files


def _changed(one: dict[str, dict[str, int]] | None, other: dict[str, dict[str, int]] | None) -> list[str]:
    one, other = one or {}, other or {}
    return sorted(period for period in {*one, *other} if one.get(period) != other.get(period))
