"""Lost periods: those that Dagster recorded as written and that the lake does not hold any more as they were written.

Everything behind a lost period is blocked, and the sensors ask for it again. Belongs here: the comparison of Dagster's records with
the lake. Does not belong here: which files there are (``lake.contents``).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import dagster as dg

from churn_assets.lake.contents import NO_FILES, StoredFile, digest_of_files
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.waiting import wait_while
from churn_assets.periods import ALL
from churn_store.errors import LostError

FILES_TAG = "churn/files"
"""The tag of a materialization with the digest of the period's files."""

MARK = "other-rows."
"""A period whose rows were found to be others than were written has this in its tag, before the digest of its files."""

NOT_REPORTED = "the run that wrote it ended before it had reported it"
OTHER_ROWS_SAID = "its rows are not those that were written"
ROWS = "dagster/row_count"
RANGE = "periods"
"""Metadata of a run over several periods, with their number. Dagster gives it to each of them before the period's own report follows."""

LACKING = "lacking"
"""Metadata of a period that a restore has removed."""

SHOWN = 3

POLL_S = 0.5
PATIENCE_S = 1_800.0
"""The longest wait for a run that is writing a table; a range of periods of a large company takes minutes."""

WRITERS = 5
"""The number of commits whose runs may still be under way: of two runs that write at once, one has more than one flush."""

TRAINING_SET = "training_set"
"""The table that is made by trainings, and so by no sensor of its own."""


def lost(instance: dg.DagsterInstance, lake: Lake, table: str) -> dict[str, str]:
    """The lost periods of a table, each with what is wrong; ``all`` stands for a table without periods.

    A period that was written before files were recorded counts as lost only where it had rows and has none.

    Args:
        instance: instance that remembers the assets.
        lake: lake of the company.
        table: name of the table and its asset.

    Raises:
        LostError: if Delta's log of the table can't be read.
        StoreAwayError: if the object store does not answer.
    """
    return lost_among(instance, lake, table, lake.files(table) or {})


def lost_among(instance: dg.DagsterInstance, lake: Lake, table: str, files: dict[str, list[StoredFile]]) -> dict[str, str]:
    """The lost periods of a table whose files are known, as ``lost`` gives them."""
    written = recorded(instance, table)
    broken = lake.damaged(table, files) if files and written else {}
    return {
        period: said
        for period, tag in sorted(written.items())
        if (said := broken.get(period) or _difference(instance, table, period, tag, files.get(period, [])))
    }


def unknown(written: Collection[str], files: Mapping[str, Sequence[StoredFile]]) -> list[str]:
    """The periods with rows in the lake of which Dagster has no record, so that nothing can be compared.

    Args:
        written: periods of a table that Dagster has a record of (``recorded``).
        files: its files in the lake, by period.
    """
    return sorted(period for period, stored in files.items() if stored and period not in written)


def unknown_in_words(unknown_periods: dict[str, int]) -> str:
    """The sentence about rows that Dagster does not know of.

    Args:
        unknown_periods: by table the number of its periods that Dagster has no record of.
    """
    listed = ", ".join(f"{number} of {table}" for table, number in unknown_periods.items())
    return (
        f"Dagster has no record of periods that the lake holds ({listed}), so nobody knows whether their rows are those that were "
        "written: its storage was lost, or is another one. Bring it back from a backup (the folder .dagster, or its database); without "
        "one, `churn demo` and the sensors make these periods again"
    )


def require_whole(instance: dg.DagsterInstance, lake: Lake, tables: Iterable[str]) -> None:
    """Refuse to read tables of which a period is lost: whatever were made of them would be wrong without anybody seeing it.

    A run commits a table first and reports it then. What differs in between is not lost: it is waited for until that run has ended.

    Raises:
        LostError: if a period is lost; it names the table, the periods and the way back.
        StoreAwayError: if the object store does not answer.
    """
    for table in tables:
        if lost(instance, lake, table):
            wait_for_writers(instance, lake, table)
            if found := lost(instance, lake, table):
                raise LostError(in_words(table, found))


def is_being_written(instance: dg.DagsterInstance, lake: Lake, table: str) -> bool:
    """Whether a run that is under way made one of the newest commits of a table, and may not have reported it yet."""
    if lake.files(table) is None:
        return False
    writers = {run_id: instance.get_run_by_id(run_id) for run_id in lake.newest_writers(table, most=WRITERS)}
    return any(run is not None and not run.is_finished for run in writers.values())


def wait_for_writers(instance: dg.DagsterInstance, lake: Lake, table: str) -> None:
    """Wait until no run is writing a table, for at most half an hour."""
    wait_while(partial(is_being_written, instance, lake, table), within_s=PATIENCE_S, poll_s=POLL_S)


def whole_versions(instance: dg.DagsterInstance, lake: Lake, tables: Iterable[str]) -> dict[str, int]:
    """The newest version of each of some tables, of which nothing is lost.

    Raises:
        InputError: if one was never written.
        LostError: if a period is lost.
        StoreAwayError: if the object store does not answer.
    """
    tables = list(tables)
    require_whole(instance, lake, tables)
    return lake.versions(tables)


def in_words(table: str, found: dict[str, str]) -> str:
    """What is lost of a table, and how it comes back."""
    periods = sorted(found)
    listed = ", ".join(periods[:SHOWN]) + (f" and {len(periods) - SHOWN} more" if len(periods) > SHOWN else "")
    if periods == [ALL]:
        where, again = table, f"materialize {table} again"
    else:
        which = "this period" if len(periods) == 1 else "these periods"
        where, again = f"{table} {listed}", f"materialize {table} again for {which}"
    by_itself = "the next retraining" if table == TRAINING_SET else "the sensors"
    is_lost = "is lost" if len(periods) == 1 else "are lost"
    return f"{where} {is_lost}: {found[periods[0]]}. Bring the lake back from a backup and run `churn data verify`, or {again}: {by_itself} and `churn demo` do. Nothing is made from it until then"


def newest_events(instance: dg.DagsterInstance, table: str) -> dict[str, int]:
    """The id of the newest materialization of each period; none where the asset has no periods."""
    return dict(
        instance.event_log_storage.get_latest_storage_id_by_partition(
            dg.AssetKey(table), dg.DagsterEventType.ASSET_MATERIALIZATION
        )
    )


def recorded(instance: dg.DagsterInstance, table: str) -> dict[str, str | None]:
    """The digest of files of each materialized period; `None` where it was not recorded yet."""
    key = dg.AssetKey(table)
    newest = newest_events(instance, table)
    if newest:
        # Dagster finds tags by partition only for a few names of its own, so the events themselves are read, all at once.
        wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(newest.values()))
        records = instance.fetch_materializations(wanted, limit=len(newest)).records
        said = [record.asset_materialization for record in records]
        return {str(one.partition): (one.tags or {}).get(FILES_TAG) for one in said if one is not None}
    event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None or event.asset_materialization.partition is not None:
        return {}
    return {ALL: (event.asset_materialization.tags or {}).get(FILES_TAG)}


def nothing_is_left(instance: dg.DagsterInstance, lake: Lake, table: str, files: dict[str, list[StoredFile]]) -> bool:
    """Whether none of a table's periods in the lake is as it was written: it is another table's folder, or another lake's.

    Args:
        instance: instance that remembers the assets.
        lake: lake of the company.
        table: name of the table and its asset.
        files: files of the table by period.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    written, gone = recorded(instance, table), lost_among(instance, lake, table, files)
    return bool(gone) and all(period in gone or period not in written for period in files)


def causes_of(instance: dg.DagsterInstance, lake: Lake, tables: Iterable[str]) -> list[tuple[str, str, int]]:
    """What is lost of some tables, as a cause of runs: table, period, and the id of the event that recorded it.

    A period that was written again has another event, so that its next loss is another cause.
    """
    found = []
    for table in tables:
        if gone := lost(instance, lake, table):
            ids = newest_events(instance, table)
            found += [(table, period, ids.get(period, 0)) for period in sorted(gone)]
    return found


def _difference(instance: dg.DagsterInstance, table: str, period: str, tag: str | None, files: list[StoredFile]) -> str:
    """What is wrong with a period; empty if nothing is."""
    if tag is None and RANGE in newest_of(instance, table, period).metadata:
        return NOT_REPORTED
    if tag is None:
        return "" if files or not _had_rows(instance, table, period) else "the lake has no rows of it, and it had some"
    if digest_of_files(files) == tag:
        return ""
    if tag.startswith(MARK):
        return OTHER_ROWS_SAID
    if tag == NO_FILES:
        return "the lake has rows of it, and none were written"
    return "the lake holds other files of it than were written" if files else "the lake has no rows of it, and it had some"


def _had_rows(instance: dg.DagsterInstance, table: str, period: str) -> bool:
    metadata = newest_of(instance, table, period).metadata
    return LACKING not in metadata and ROWS in metadata and bool(metadata[ROWS].value)


def newest_of(instance: dg.DagsterInstance, table: str, period: str) -> dg.AssetMaterialization:
    """The newest materialization of a period that was materialized; ``all`` stands for a table without periods."""
    key = dg.AssetKey(table)
    wanted = key if period == ALL else dg.AssetRecordsFilter(asset_key=key, asset_partitions=[period])
    [record] = instance.fetch_materializations(wanted, limit=1).records
    if record.asset_materialization is None:
        raise AssertionError("a record of a materialization has one")
    return record.asset_materialization
