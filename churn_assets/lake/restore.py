"""Brings an earlier version of a lake table back, as a new version: nothing is lost, and the restore can be undone the same way.

Belongs here: what the lake then holds. Does not belong here: telling Dagster of it (``orchestration.instance``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from churn_assets.lake.lake import PERIOD, SOURCES, Lake
from churn_assets.lake.versions import changed_periods, digest_at, files_at, gone, read_at, require_version
from churn_store.errors import InputError
from churn_store.mapping.tables import OPTIONAL, SCHEMAS


@dataclass(frozen=True)
class Back:
    """A period as a restore left it: the digest of its rows, and how many there are; 0 where the version had none."""

    digest: str
    rows: int


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        table: name of the table.
        of: the version that was brought back.
        version: the new version; the newest as it was, where nothing differed.
        periods: those whose rows may have changed; all that it was asked for, where nothing differed.
        empty: whether a period without rows is meant.
    """

    table: str
    of: int
    version: int
    periods: dict[str, Back]
    empty: Back


def restore(lake: Lake, table: str, version: int, *, periods: Sequence[str] = ()) -> Restored:
    """Bring a version back, or only some of its periods.

    The whole version comes back as Delta's own restore: its files count again and nothing is rewritten. Some periods are
    written anew, in one commit, beside the others as they are. The former fails if another writer commits in between; the latter
    looks once more just before it writes.

    Args:
        lake: the lake to read.
        table: name of the table.
        version: version to bring back.
        periods: those to bring back; all if none are named.

    Raises:
        InputError: no such table, version or period, its files are gone, or another writer was faster.
    """
    require_version(lake, table, version)
    newest = lake.version(table)
    wanted = files_at(lake, table, version)
    if missing := sorted(set(periods) - set(wanted)):
        raise InputError(
            f"version {version} of {table} has no rows of {', '.join(missing)}; expected some of {_span(sorted(wanted))}"
        )
    differing = [period for period in changed_periods(lake, table, newest, version) if period in (periods or [period])]
    if periods:
        differing = [
            period for period in differing if len({_digest(lake, table, period, at) for at in (newest, version)}) > 1
        ]
    if not differing:
        held = periods or sorted(wanted)
        backs = {period: _back(read_at(lake, table, period, newest), table) for period in held}
        return Restored(table, version, newest, backs, _empty(lake, table))
    try:
        if periods:
            if lake.version(table) != newest:
                raise CommitFailedError(f"version {lake.version(table)} came in between")
            # What these rows were made from is known of the version, not of each period.
            lake.replace(
                table,
                {period: _with_present_columns(lake, table, period, version) for period in differing},
                run_id=_said(version),
                sources=lake.sources(table, version=version),
            )
        else:
            lake.table(table, version=newest).restore(
                version,
                commit_properties=CommitProperties(
                    custom_metadata={
                        "run_id": _said(version),
                        SOURCES: json.dumps(lake.sources(table, version=version), sort_keys=True),
                    }
                ),
            )
    except CommitFailedError as error:
        raise InputError(
            f"table {table} was not restored, as another run wrote it at the same time ({' '.join(str(error).split())}); look at "
            f"`churn data log {table}` and restore again"
        ) from error
    except DeltaError as error:  # Delta looks for every file before it commits
        raise InputError(gone(table, version)) from error
    now = lake.version(table)
    backs = {period: _back(read_at(lake, table, period, now), table) for period in differing}
    return Restored(table, version, now, backs, _empty(lake, table))


def _digest(lake: Lake, table: str, period: str, version: int) -> str:
    return digest_at(table, read_at(lake, table, period, version))


def _empty(lake: Lake, table: str) -> Back:
    return _back(lake.scan(table).drop(PERIOD).head(0).collect(), table)


def _back(rows: pl.DataFrame, table: str) -> Back:
    return Back(digest_at(table, rows), rows.height)


def _with_present_columns(lake: Lake, table: str, period: str, version: int) -> pl.DataFrame:
    """A period as it was, with the optional columns that the table was given since, which are empty then."""
    rows = read_at(lake, table, period, version)
    there = lake.scan(table).collect_schema()
    missing = [name for name in OPTIONAL.get(table, ()) if name in there and name not in rows.columns]  # type: ignore[call-overload]
    return rows.with_columns(pl.lit(None, dtype=SCHEMAS[table][name]).alias(name) for name in missing)  # type: ignore[index]


def _said(version: int) -> str:
    """What a commit says in place of a run: which version it brought back."""
    return f"churn data restore of version {version}"


def _span(periods: Sequence[str]) -> str:
    return ", ".join(periods) if len(periods) <= 12 else f"{periods[0]} to {periods[-1]}"  # noqa: PLR2004
