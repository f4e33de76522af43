"""Records of what lies in the lake: made once for tables of before, and checked against the rows themselves.

Belongs here: reading every row of a table, which takes its time. Does not belong here: the cheap comparison of files that every build
makes (``lost_periods``).
"""

from collections.abc import Iterator

import dagster as dg

from churn_assets.lake.contents import digest_of_files
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES, digest_at
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.lost_periods import FILES_TAG, MARK, OTHER_ROWS, OTHER_ROWS_SAID, lost, recorded
from churn_assets.orchestration.run_history import data_version, data_versions
from churn_assets.periods import ALL


def record_files(instance: dg.DagsterInstance, lake: Lake) -> dict[str, int]:
    """Record the files of periods that were written before files were recorded; by table the number of such periods.

    Raises:
        LostError: if Delta's log of a table can't be read.
        StoreAwayError: if the object store does not answer.
    """
    told: dict[str, int] = {}
    for table in TABLES:
        if not lake.has(table):
            continue
        gone = lost(instance, lake, table)
        files = lake.files(table)
        untold = [period for period, tag in recorded(instance, table).items() if tag is None and period not in gone]
        for period in untold:
            _record(instance, table, period, digest_of_files(files.get(period, [])))
        if untold:
            told[table] = len(untold)
    return told


def verify(instance: dg.DagsterInstance, lake: Lake, table: str) -> Iterator[tuple[str, str]]:
    """Read every row of a table that Dagster knows of, and compare it with what was written.

    A period with other rows counts as lost from then on: whatever is made from it is blocked, and the schedules ask for it again. One that was
    found so before, and has its rows back, is whole again.

    Yields:
        Each period, with what is wrong; empty where nothing is.

    Raises:
        LostError: if Delta's log of the table can't be read.
        StoreAwayError: if the object store does not answer.
    """
    tags = recorded(instance, table)
    gone = lost(instance, lake, table)
    files = lake.files(table) if lake.has(table) else {}
    broken = lake.damaged(table, files) if files else {}
    for period, tag in sorted(tags.items()):
        mark = OTHER_ROWS.fullmatch(tag or "")
        is_to_read = period in files and period not in broken and (mark is not None or period not in gone)
        if not is_to_read:
            yield period, gone.get(period, "")
            continue
        said = _other_rows(lake, table, period, _data_version(instance, table, period))
        found = digest_of_files(lake.files(table).get(period, []))
        if found != digest_of_files(files[period]):
            yield period, ""  # a run has written it in the meantime
            continue
        if said and mark is None:
            _record(instance, table, period, f"{MARK}{found}")
        elif not said and mark is not None:
            _record(instance, table, period, found)
        yield period, said


def _data_version(instance: dg.DagsterInstance, table: str, period: str) -> str | None:
    return data_version(instance, table) if period == ALL else data_versions(instance, table).get(period)


def _other_rows(lake: Lake, table: str, period: str, written: str | None) -> str:
    try:
        rows = lake.read(table, period)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # of bytes that make no sense Polars panics, which is no Exception
        return "a file of it can't be read"
    return "" if digest_at(table, rows) == written else OTHER_ROWS_SAID


def _record(instance: dg.DagsterInstance, table: str, period: str, files: str) -> None:
    """Report a period's newest materialization once more, with the digest of its files."""
    key = dg.AssetKey(table)
    wanted = key if period == ALL else dg.AssetRecordsFilter(asset_key=key, asset_partitions=[period])
    [record] = instance.fetch_materializations(wanted, limit=1).records
    newest = record.asset_materialization
    if newest is None:
        raise AssertionError("a materialized period has a materialization")
    kept = {name: value for name, value in (newest.tags or {}).items() if name in (DATA_VERSION_TAG, FILES_TAG)}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=key,
            partition=newest.partition,
            description=newest.description,
            metadata=dict(newest.metadata),
            tags={**kept, FILES_TAG: files},
        )
    )
