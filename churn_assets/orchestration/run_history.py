"""The graph's state according to Dagster: which periods exist, and what ran last.

It gives the plain rules of ``due`` and ``retraining_policy`` what they need from an instance.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.orchestration.dagster_internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    DATA_VERSION_TAG,
    NOT_FINISHED_STATUSES,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    WILL_RETRY_TAG,
    BulkActionsFilter,
    BulkActionStatus,
)
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.lost_periods import LACKING, lost, lost_among
from churn_assets.periods import Calendar, text
from churn_assets.tables import quarantine_of
from churn_store.mapping.tables import Table

RUN_KEY_LENGTH = 32

REASON = "churn/reason"
"""The tag of a run with the reason why it was asked for, in words."""

CAUSE = "churn/run_cause"
"""The tag of a run with the digest of its cause, in addition to its periods. The Dagster UI shows tags in the order of their names, so that
digests are named to stand behind the reason."""

OLDER_CAUSE = "churn/cause"
"""The same tag of runs that an older version has requested; what they answered is not requested again."""

UNDER_WAY = [status for status in NOT_FINISHED_STATUSES if status != dg.DagsterRunStatus.NOT_STARTED]
"""The statuses of a run that is queued or running. One not yet submitted does not count: Dagster submits it when it resumes the
tick."""


KNOWN_UNTIL = "known_until"
"""Metadata of a label partition: the day up to which arrivals count in it."""

DEFINITION = "definition"
"""Metadata of a label partition: the section ``label`` that it was made by, as JSON."""

FAILURES_CURSOR = f"EVENT_LOG_CONSUMER_CURSOR-{dg.DagsterEventType.RUN_FAILURE.value}"
"""The key under which Dagster's daemon remembers up to which failure it has decided on repetitions."""

ATTEMPTS = 3
"""The number of runs, each with its own retries, that are requested for a cause before it is given up."""


MOST_VERSIONS = 100
"""The number of materializations of a period that are looked at."""


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of an asset.

    Attributes:
        event: id of the event.
        period: period that was materialized; `None` if the asset has no periods.
        metadata: metadata values by name.
    """

    event: int
    period: str | None
    metadata: dict[str, Any]


def materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The periods of an asset that were materialized."""
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def present(instance: dg.DagsterInstance, lake: Lake, table: str) -> set[str]:
    """The periods of a table that were materialized and are still in the lake as they were written.

    Dagster can't forget a single period, so a period that a restored version lacks is marked in its newest materialization. A table
    that is no longer in the lake has no periods, and a lost period is none (``lost_periods``).

    Raises:
        LostError: if Delta's log of the table can't be read.
    """
    files = lake.files(table)
    if files is None:
        return set()
    periods = materialized(instance, table) - set(lost_among(instance, lake, table, files))
    empty = periods - set(files)
    return periods - set(metadata_of(instance, table, LACKING, periods=empty))


def raw_periods(instance: dg.DagsterInstance, lake: Lake, tables: Collection[Table]) -> set[str]:
    """The periods that every one of a company's raw tables has."""
    return set.intersection(*(present(instance, lake, table) for table in tables))


def ingested(instance: dg.DagsterInstance, lake: Lake, tables: Collection[Table]) -> set[str]:
    """The periods that need not be ingested: every raw table has them, and their quarantines are as they were written.

    A later ingest looks in the quarantine for rows that it has met before.
    """
    gone = {period for table in tables for period in lost(instance, lake, quarantine_of(table))}
    return raw_periods(instance, lake, tables) - gone


def data_versions(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """The data version of each period of an asset."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {period: found[DATA_VERSION_TAG] for period, found in tags.items() if DATA_VERSION_TAG in found}


def data_version(instance: dg.DagsterInstance, asset: str) -> str | None:
    """The data version of an asset without periods."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    materialization = None if event is None else event.asset_materialization
    return None if materialization is None or materialization.tags is None else materialization.tags.get(DATA_VERSION_TAG)


def newest_materialization(instance: dg.DagsterInstance, asset: str) -> Materialization | None:
    """The newest materialization of an asset's newest period; `None` before the first.

    It is not simply the newest materialization, as an old period may have been made again later.
    """
    key = dg.AssetKey(asset)
    periods = materialized(instance, asset)
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[max(periods)]) if periods else key, limit=1
    ).records
    materialization = records[0].asset_materialization if records else None
    if materialization is None:
        return None
    return Materialization(
        records[0].storage_id,
        materialization.partition,
        {name: value.value for name, value in materialization.metadata.items()},
    )


def metadata_of(instance: dg.DagsterInstance, asset: str, name: str, *, periods: Collection[str]) -> dict[str, Any]:
    """A metadata value of the newest materialization of some materialized periods; periods without the value are left out."""
    values: dict[str, Any] = {}
    for period in periods:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[period])
        [record] = instance.fetch_materializations(wanted, limit=1).records
        if record.asset_materialization is not None and name in record.asset_materialization.metadata:
            values[period] = record.asset_materialization.metadata[name].value
    return values


def said_of_rows(instance: dg.DagsterInstance, asset: str, period: str | None, name: str) -> Any:
    """A metadata value of the materialization that made the rows that a period, or a table without any, has now; `None` where none has it.

    After a restore the newest materialization says only where the rows come from; that which made them says the rest. Rows that no
    materialization has made, as after a rewrite, are said to be as the newest that has the value.
    """
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=None if period is None else [period])
    records = instance.fetch_materializations(wanted, limit=MOST_VERSIONS).records
    made = [record.asset_materialization for record in records if record.asset_materialization is not None]
    versions = [(one.tags or {}).get(DATA_VERSION_TAG) for one in made]
    saying = [(one, version) for one, version in zip(made, versions, strict=True) if name in one.metadata]
    of_these_rows = [one for one, version in saying if version == versions[0]] or [one for one, _ in saying]
    return of_these_rows[0].metadata[name].value if of_these_rows else None


def asked_for(
    instance: dg.DagsterInstance, calendar: Calendar, job: str, cause: str, *, makes: Collection[str] = ()
) -> set[str]:
    """The periods that need not be requested again: they were, for the same cause, or a run or a backfill with them is under way.

    A failed run does not count, unless its input was wrong or the period has failed ``ATTEMPTS`` times: then it is given up until
    its cause changes.

    Args:
        instance: instance that remembers the runs.
        calendar: periods of the company.
        job: job that would be requested.
        cause: digest of the cause of its run.
        makes: assets that the job makes, which a person may be materializing in the Dagster UI.
    """
    same = _of_cause(instance, job, cause)
    answered = [run for run in same if run.status != dg.DagsterRunStatus.NOT_STARTED and not _may_pass(run)]
    answered += unfinished(instance, job, makes=makes)
    failed = Counter(period for run in same if _may_pass(run) for period in _periods(run, calendar))
    given_up = {period for period, times in failed.items() if times >= ATTEMPTS}
    return given_up | backfilled(instance, makes) | {period for run in answered for period in _periods(run, calendar)}


def backfilled(instance: dg.DagsterInstance, assets: Collection[str]) -> set[str]:
    """The periods of some assets for which a backfill goes on.

    Dagster's daemon makes the runs of a backfill up to half a minute after a person has asked for it, and those of later assets after the
    earlier ones: until then no run says that they will be made.
    """
    going_on = instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    return {
        wanted.partition_key
        for backfill in going_on
        if backfill.asset_backfill_data is not None
        for wanted in backfill.asset_backfill_data.target_subset.iterate_asset_partitions()
        if wanted.partition_key is not None and wanted.asset_key.to_user_string() in assets
    }


def attempts(instance: dg.DagsterInstance, job: str, cause: str) -> int:
    """The number of runs of a job that a cause has had, for the key of the next one.

    Dagster remembers the keys of a sensor's runs for ever, and would drop a repetition without a word. A run that was made and not yet
    submitted does not count, so that it is found by its key and submitted.
    """
    runs = _of_cause(instance, job, cause)
    return sum(run.status != dg.DagsterRunStatus.NOT_STARTED for run in runs)


def failures(instance: dg.DagsterInstance, job: str, cause: str) -> tuple[int, bool]:
    """The number of failures of a job for a cause, and whether it is given up: after wrong input or ``ATTEMPTS`` failures."""
    failed = [run for run in _of_cause(instance, job, cause) if run.status == dg.DagsterRunStatus.FAILURE]
    return len(failed), len(failed) >= ATTEMPTS or any(not _may_pass(run) for run in failed)


def _of_cause(instance: dg.DagsterInstance, job: str, cause: str) -> list[dg.DagsterRun]:
    """The runs of a job that were requested for a cause."""
    return [
        run for tag in (CAUSE, OLDER_CAUSE) for run in instance.get_runs(dg.RunsFilter(job_name=job, tags={tag: cause}))
    ]


def _may_pass(run: dg.DagsterRun) -> bool:
    """Whether a run failed for a reason that may be transient."""
    return run.status == dg.DagsterRunStatus.FAILURE and WRONG_INPUT_TAG not in run.tags


def is_under_way(instance: dg.DagsterInstance, job: str, *, makes: Collection[str] = ()) -> bool:
    """Whether a run of a job is queued or running, or will be by itself."""
    return bool(unfinished(instance, job, makes=makes))


def unfinished(instance: dg.DagsterInstance, job: str, *, makes: Collection[str] = ()) -> list[dg.DagsterRun]:
    """The runs of a job that are queued or running, and those whose worker has died and that Dagster has not repeated yet.

    Dagster repeats a run of a backfill only if the backfill goes on, so such a run is not waited for. Nor is one whose failure Dagster has
    passed over, as after its cursor was lost: it would be waited for without end.

    Args:
        instance: instance that remembers the runs.
        job: name of the job.
        makes: assets of the job; a run from the Dagster UI that makes one of them counts as well.
    """
    assets = {dg.AssetKey(name) for name in makes}
    under_way = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
        if run.job_name == job or assets & set(run.asset_selection or ())
    ]
    made = instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.NOT_STARTED]))
    died = instance.get_runs(
        dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "true"})
    )
    waiting = [run for run in died if run.is_complete_and_waiting_to_retry and BACKFILL_ID_TAG not in run.tags]
    if instance.run_retries_enabled:  # for a moment after the failure Dagster has not said yet whether it repeats the run
        newest = instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)
        waiting += [run for run in newest if WILL_RETRY_TAG not in run.tags]
    if waiting and (unread := _unread_failures(instance)) is not None:
        waiting = [run for run in waiting if run.run_id in unread]
    return [*under_way, *(run for run in made if RETRY_NUMBER_TAG in run.tags), *waiting]


def _unread_failures(instance: dg.DagsterInstance) -> set[str] | None:
    """The runs whose failure Dagster has not looked at yet to decide on a repetition; `None` before its first look.

    Its cursor moves only after the repetitions of what it has read were made.
    """
    cursor = instance.daemon_cursor_storage.get_cursor_values({FAILURES_CURSOR}).get(FAILURES_CURSOR)
    if cursor is None:
        return None
    unread = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=int(cursor), dagster_event_type=dg.DagsterEventType.RUN_FAILURE
    )
    return {entry.run_id for entry in unread.values()}


def _periods(run: dg.DagsterRun, calendar: Calendar) -> list[str]:
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG) or run.tags.get(PARTITION_NAME_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    if first is None or last is None:
        return []
    return [text(key) for key in calendar.keys(date.fromisoformat(last), first=date.fromisoformat(first))]


def digest_of(*causes: object) -> str:
    """A digest of the causes of a run: equal for equal causes, different for others."""
    return hashlib.sha256(repr(causes).encode()).hexdigest()[:RUN_KEY_LENGTH]


def run_key(job: str, *causes: object) -> str:
    """A run key made from the causes of a run, so that the same cause never requests twice and a new one always does."""
    return f"{job}-{digest_of(*causes)}"


def versions_digest(instance: dg.DagsterInstance, assets: Sequence[str], *, periods: Collection[str] | None = None) -> str:
    """A digest of the data versions of some assets, of all their periods or of the given ones."""
    return digest_of(
        *(
            (
                asset,
                sorted((key, version) for key, version in data_versions(instance, asset).items() if _within(key, periods)),
            )
            for asset in assets
        )
    )


def _within(key: str, periods: Collection[str] | None) -> bool:
    return periods is None or key in periods
