"""What Dagster knows of the graph's state: which periods are there, what was done last.

The bridge between an instance and the plain rules of ``due`` and ``policy``.
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
from churn_assets.periods import Calendar, text
from churn_store.mapping.tables import Table

RUN_KEY_LENGTH = 32

CAUSE = "churn/cause"
"""The tag of a run that names what it was asked for because of, besides its periods."""

UNDER_WAY = [status for status in NOT_FINISHED_STATUSES if status != dg.DagsterRunStatus.NOT_STARTED]
"""What a run is in between. One that is not even submitted does not count: Dagster submits it when it resumes the tick."""


KNOWN_UNTIL = "known_until"
"""Metadata of a label partition: the day up to which arrivals have made it."""

LACKING = "lacking"
"""Metadata of a period that a restore has taken away."""

ATTEMPTS = 3
"""So many runs are asked for one cause before it is given up, each with its own retries."""


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of an asset.

    Attributes:
        event: id of the event.
        period: period that it is of; None where the asset has no periods.
        metadata: metadata values by name.
    """

    event: int
    period: str | None
    metadata: dict[str, Any]


def materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The periods of an asset that were materialized."""
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def present(instance: dg.DagsterInstance, lake: Lake, table: str) -> set[str]:
    """The periods of a table that were materialized and are in the lake still.

    Dagster can't forget a single period: one that a restored version lacks has a newest materialization that says so. A table that is
    no longer in the lake has no periods.
    """
    if not lake.has(table):
        return set()
    periods = materialized(instance, table)
    empty = periods - set(lake.periods(table))
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
    found = None if event is None else event.asset_materialization
    return None if found is None or found.tags is None else found.tags.get(DATA_VERSION_TAG)


def newest_materialization(instance: dg.DagsterInstance, asset: str) -> Materialization | None:
    """The newest materialization of an asset's newest period; None before the first.

    Of its newest period, as an old one may have been made again since.
    """
    key = dg.AssetKey(asset)
    periods = materialized(instance, asset)
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[max(periods)]) if periods else key, limit=1
    ).records
    found = records[0].asset_materialization if records else None
    if found is None:
        return None
    return Materialization(
        records[0].storage_id, found.partition, {name: value.value for name, value in found.metadata.items()}
    )


def metadata_of(instance: dg.DagsterInstance, asset: str, name: str, *, periods: Collection[str]) -> dict[str, Any]:
    """A value of the newest materialization of each of some materialized periods of an asset, where it has one."""
    found: dict[str, Any] = {}
    for period in periods:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[period])
        [record] = instance.fetch_materializations(wanted, limit=1).records
        if record.asset_materialization is not None and name in record.asset_materialization.metadata:
            found[period] = record.asset_materialization.metadata[name].value
    return found


def asked_for(instance: dg.DagsterInstance, calendar: Calendar, job: str, cause: str) -> set[str]:
    """The periods that a job need not be asked for: it was, because of the same cause, or it is under way with them.

    A run that failed is no answer, unless its input was wrong or it has failed ``ATTEMPTS`` times: then it is given up until its
    cause changes. A schedule has to look for itself: Dagster compares run keys only among the requests of one tick.
    """
    same = instance.get_runs(dg.RunsFilter(job_name=job, tags={CAUSE: cause}))
    found = [run for run in same if run.status != dg.DagsterRunStatus.NOT_STARTED and not _may_pass(run)]
    found += instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY))
    failed = Counter(period for run in same if _may_pass(run) for period in _periods(run, calendar))
    given_up = {period for period, times in failed.items() if times >= ATTEMPTS}
    return given_up | {period for run in found for period in _periods(run, calendar)}


def failures(instance: dg.DagsterInstance, job: str, cause: str) -> tuple[int, bool]:
    """How often a job failed for a cause, and whether asking again is no use: wrong input, or ``ATTEMPTS`` failures."""
    failed = [
        run
        for run in instance.get_runs(dg.RunsFilter(job_name=job, tags={CAUSE: cause}))
        if run.status == dg.DagsterRunStatus.FAILURE
    ]
    return len(failed), len(failed) >= ATTEMPTS or any(not _may_pass(run) for run in failed)


def _may_pass(run: dg.DagsterRun) -> bool:
    """Whether a run failed for a reason that may pass by itself."""
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
    """A digest of what caused a run: equal for the same causes, another one for any other."""
    return hashlib.sha256(repr(causes).encode()).hexdigest()[:RUN_KEY_LENGTH]


def run_key(job: str, *causes: object) -> str:
    """A run key from what caused the run, so that the same cause never asks twice and a new one always does."""
    return f"{job}-{digest_of(*causes)}"


def versions_digest(instance: dg.DagsterInstance, assets: Sequence[str], *, periods: Collection[str] | None = None) -> str:
    """A digest of the data versions of some assets, of all their periods or of the given ones."""
    return digest_of(
        *(
            (asset, sorted((key, found) for key, found in data_versions(instance, asset).items() if _within(key, periods)))
            for asset in assets
        )
    )


def _within(key: str, periods: Collection[str] | None) -> bool:
    return periods is None or key in periods
