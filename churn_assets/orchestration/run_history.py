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
    DATA_VERSION_TAG,
    NOT_FINISHED_STATUSES,
    PARTITION_NAME_TAG,
)
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.lost_periods import LACKING, lost_among
from churn_assets.periods import Calendar, text
from churn_store.mapping.tables import Table

RUN_KEY_LENGTH = 32

CAUSE = "churn/cause"
"""The tag of a run with the digest of its cause, in addition to its periods."""

UNDER_WAY = [status for status in NOT_FINISHED_STATUSES if status != dg.DagsterRunStatus.NOT_STARTED]
"""The statuses of a run that is queued or running. One not yet submitted does not count: Dagster submits it when it resumes the
tick."""


KNOWN_UNTIL = "known_until"
"""Metadata of a label partition: the day up to which arrivals count in it."""

ATTEMPTS = 3
"""The number of runs, each with its own retries, that are requested for a cause before it is given up."""


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


def asked_for(instance: dg.DagsterInstance, calendar: Calendar, job: str, cause: str) -> set[str]:
    """The periods that need not be requested again: they were, for the same cause, or a run with them is under way.

    A failed run does not count, unless its input was wrong or the period has failed ``ATTEMPTS`` times: then it is given up until
    its cause changes. This is checked here because Dagster compares run keys only among the requests of one tick.
    """
    same = instance.get_runs(dg.RunsFilter(job_name=job, tags={CAUSE: cause}))
    answered = [run for run in same if run.status != dg.DagsterRunStatus.NOT_STARTED and not _may_pass(run)]
    answered += instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY))
    failed = Counter(period for run in same if _may_pass(run) for period in _periods(run, calendar))
    given_up = {period for period, times in failed.items() if times >= ATTEMPTS}
    return given_up | {period for run in answered for period in _periods(run, calendar)}


def failures(instance: dg.DagsterInstance, job: str, cause: str) -> tuple[int, bool]:
    """The number of failures of a job for a cause, and whether it is given up: after wrong input or ``ATTEMPTS`` failures."""
    failed = [
        run
        for run in instance.get_runs(dg.RunsFilter(job_name=job, tags={CAUSE: cause}))
        if run.status == dg.DagsterRunStatus.FAILURE
    ]
    return len(failed), len(failed) >= ATTEMPTS or any(not _may_pass(run) for run in failed)


def _may_pass(run: dg.DagsterRun) -> bool:
    """Whether a run failed for a reason that may be transient."""
    return run.status == dg.DagsterRunStatus.FAILURE and WRONG_INPUT_TAG not in run.tags


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of a job is queued or running."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1))


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
