"""Restores an earlier version of a lake table as a new version: nothing is lost, and the restore can be undone the same way.

Belongs here: the restore within the lake. Does not belong here: reporting it to Dagster (``orchestration.instance``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import SOURCES, Lake
from churn_assets.lake.versions import changed_periods, digest_at, files_at, gone, read_at, require_version
from churn_store.errors import InputError
from churn_store.mapping.tables import OPTIONAL, SCHEMAS, WHERE_MAPPED


@dataclass(frozen=True)
class Back:
    """A period after a restore: the digest and the number of its rows; 0 rows if the version had none."""

    digest: str
    rows: int


@dataclass(frozen=True)
class Restored:
    """The result of a restore.

    Attributes:
        table: name of the table.
        of: version that was restored.
        version: new version; the unchanged newest one if nothing differed.
        periods: periods whose rows may have changed; all requested ones if nothing differed.
        empty: digest of a period without rows.
    """

    table: str
    of: int
    version: int
    periods: dict[str, Back]
    empty: Back


def restore(lake: Lake, table: str, version: int, *, periods: Sequence[str] = ()) -> Restored:
    """Restore a version, or only some of its periods.

    A whole version is restored by Delta itself: its files become current again and nothing is rewritten. That fails if another
    writer commits in between. Single periods are written anew in one commit, and the others stay; for them the newest version is
    checked again just before the write.

    Args:
        lake: lake of the table.
        table: name of the table.
        version: version to restore.
        periods: periods to restore; all if none are named.

    Raises:
        InputError: if there is no such table, version or period, if its files are gone, or if another writer was faster.
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
            # The sources are known for the version as a whole, not for each period.
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
    """A period's rows at a version, with the optional columns that were added to the table since, as null."""
    rows = read_at(lake, table, period, version)
    present = lake.scan(table).collect_schema()
    if table not in OPTIONAL:
        return rows
    kinds = {name: SCHEMAS[table][name] for name in OPTIONAL[table]} | dict(WHERE_MAPPED[table])  # type: ignore[index]
    missing = {name: kind for name, kind in kinds.items() if name in present and name not in rows.columns}
    return rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in missing.items())


def _said(version: int) -> str:
    """The text in place of a commit's run id: which version it restored."""
    return f"churn data restore of version {version}"


def _span(periods: Sequence[str]) -> str:
    return ", ".join(periods) if len(periods) <= 12 else f"{periods[0]} to {periods[-1]}"  # noqa: PLR2004
