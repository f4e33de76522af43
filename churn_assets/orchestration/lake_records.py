"""Records of what lies in the lake: made once for tables of before, and checked against the rows themselves.

Belongs here: reading every row of a table, which takes its time. Does not belong here: the cheap comparison of files that every build
makes (``lost_periods``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from churn_assets.lake.contents import digest_of_files
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES, digest_at
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.lost_periods import (
    FILES_TAG,
    MARK,
    OTHER_ROWS_SAID,
    lost_among,
    newest_of,
    recorded,
)
from churn_assets.orchestration.run_history import data_version, data_versions
from churn_assets.periods import ALL
from churn_store.errors import LostError


def record_files(instance: dg.DagsterInstance, lake: Lake) -> dict[str, int]:
    """Record the files of periods that were written before files were recorded; by table the number of such periods.

    Raises:
        LostError: if Delta's log of a table can't be read.
        StoreAwayError: if the object store does not answer.
    """
    told: dict[str, int] = {}
    for table in TABLES:
        if (files := lake.files(table)) is None:
            continue
        gone = lost_among(instance, lake, table, files)
        untold = [period for period, tag in recorded(instance, table).items() if tag is None and period not in gone]
        for period in untold:
            _record(instance, table, period, digest_of_files(files.get(period, [])))
        if untold:
            told[table] = len(untold)
    return told


def verify(instance: dg.DagsterInstance, lake: Lake, table: str) -> Iterator[tuple[str, str]]:
    """Read every row of a table that Dagster knows of, and compare it with what was written.

    A period with other rows counts as lost from then on: whatever is made from it is blocked, and the sensors ask for it again. One that was
    found so before, and has its rows back, is whole again.

    Yields:
        Each period, with what is wrong; empty where nothing is.

    Raises:
        LostError: if Delta's log of the table can't be read.
        StoreAwayError: if the object store does not answer.
    """
    written, files = recorded(instance, table), lake.files(table) or {}
    gone = lost_among(instance, lake, table, files)
    versions = {ALL: data_version(instance, table)} if ALL in written else data_versions(instance, table)
    for period in sorted(written):
        was_marked = gone.get(period) == OTHER_ROWS_SAID
        if period not in files or (period in gone and not was_marked):
            yield period, gone.get(period, "")
            continue
        said, found = _other_rows(lake, table, period, versions.get(period)), digest_of_files(files[period])
        if said or was_marked:
            if digest_of_files((lake.files(table) or {}).get(period, [])) != found:
                said = ""  # a run has written it in the meantime
            elif bool(said) != was_marked:
                _record(instance, table, period, f"{MARK}{found}" if said else found)
        yield period, said


def _other_rows(lake: Lake, table: str, period: str, written: str | None) -> str:
    try:
        rows = lake.read(table, period)
    except (OSError, LostError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return "a file of it can't be read"
    return "" if digest_at(table, rows) == written else OTHER_ROWS_SAID


def _record(instance: dg.DagsterInstance, table: str, period: str, files: str) -> None:
    """Report a period's newest materialization once more, with the digest of its files."""
    newest = newest_of(instance, table, period)
    kept = {name: value for name, value in (newest.tags or {}).items() if name in (DATA_VERSION_TAG, FILES_TAG)}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(table),
            partition=newest.partition,
            description=newest.description,
            metadata=dict(newest.metadata),
            tags={**kept, FILES_TAG: files},
        )
    )
