"""Schedules: each tick asks the clock which periods are due and requests those, a stretch of periods as one run.

The cron expression only says how often is asked. What is requested follows from the clock and from what is there, so a week
off is caught up, and nothing is requested twice: a request's key is made of the periods, the code and the data that it reads.
A run that failed is asked for again when one of those has changed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from churn_assets.code_version import code_version
from churn_assets.raw.source import Source
from churn_assets.resources.serving import ServingStore
from churn_assets.retraining.due import contiguous, features_due, labels_due, newest_due, raw_due
from churn_assets.retraining.jobs import FEATURES, INGEST, LABELS, MONITOR, SCORE
from churn_assets.retraining.state import materialized, newest_metadata, raw_periods, run_key, versions_digest
from churn_assets.settings import Settings
from churn_store.clock import Clock

EVERY_MINUTE = "* * * * *"
REASON = "churn/reason"

Requests = Iterator[dg.RunRequest | dg.SkipReason]
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def schedules(
    settings: Settings, source: Source, clock: Clock, serving: ServingStore, jobs: dict[str, Any]
) -> list[dg.ScheduleDefinition]:
    """One schedule for each stage that follows the calendar; none where data has no time."""
    if not settings.has_time:
        return []

    def ingest(instance: dg.DagsterInstance) -> Requests:
        # A table that lacks a period lacks it alone; all tables of a period are read together.
        due = raw_due(settings.calendar, clock.now().date(), raw_periods(instance, settings))
        yield from _stretches(settings, INGEST, due, lambda: (source.fingerprint(), code_version("raw")))

    def features(instance: dg.DagsterInstance) -> Requests:
        due = features_due(
            settings,
            clock.now().date(),
            raw=raw_periods(instance, settings),
            have=materialized(instance, "customer_features"),
        )
        yield from _stretches(
            settings, FEATURES, due, lambda: (versions_digest(instance, settings.tables), code_version("features"))
        )

    def labels(instance: dg.DagsterInstance) -> Requests:
        due = labels_due(
            settings,
            clock.now().date(),
            raw=raw_periods(instance, settings),
            features=materialized(instance, "customer_features"),
            have=materialized(instance, "churn_labels"),
        )
        yield from _stretches(
            settings, LABELS, due, lambda: (versions_digest(instance, settings.tables), code_version("features"))
        )

    def scores(instance: dg.DagsterInstance) -> Requests:
        yield from _newest(instance, serving, SCORE, "churn_scores", code_version("scoring"))

    def monitoring(instance: dg.DagsterInstance) -> Requests:
        yield from _newest(instance, serving, MONITOR, "drift_report", code_version("monitoring"))

    return [
        _schedule("ingest_due_periods", jobs[INGEST], ingest, "Ingests the periods that have ended."),
        _schedule("build_due_features", jobs[FEATURES], features, "Computes the features of snapshots whose T has come."),
        _schedule("build_due_labels", jobs[LABELS], labels, "Labels the snapshots that have matured."),
        _schedule("score_newest_snapshot", jobs[SCORE], scores, "Scores the newest snapshot with the serving release."),
        _schedule("monitor_newest_snapshot", jobs[MONITOR], monitoring, "Measures the newest snapshot's drift."),
    ]


def _schedule(
    name: str, job: Any, requests: Callable[[dg.DagsterInstance], Requests], description: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=EVERY_MINUTE,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Requests:
        yield from requests(context.instance)

    return evaluate


def _stretches(settings: Settings, job: str, due: list[str], causes: Callable[[], tuple[str, ...]]) -> Requests:
    if not due:
        yield dg.SkipReason("no period is due")
        return
    found = causes()
    for first, last in contiguous(settings.calendar, due):
        yield dg.RunRequest(
            run_key=run_key(job, first, last, *found),
            partition_key=first if first == last else None,
            tags={
                REASON: f"{first} is due" if first == last else f"{first} to {last} are due",
                **({} if first == last else {RANGE_START: first, RANGE_END: last}),
            },
        )


def _newest(instance: dg.DagsterInstance, serving: ServingStore, job: str, asset: str, code: str) -> Requests:
    row = serving.newest()
    last = newest_metadata(instance, asset)
    done = None if last is None else (last[1].get("snapshot", ""), last[1].get("release", ""))
    key = newest_due(materialized(instance, "customer_features"), release=None if row is None else row.champion, done=done)
    if key is None or row is None:
        yield dg.SkipReason(
            "no release serves yet" if row is None else "the serving release has done the newest snapshot already"
        )
        return
    features = versions_digest(instance, ["customer_features"])
    yield dg.RunRequest(
        run_key=run_key(job, key, row.champion, features, code),
        partition_key=key,
        tags={REASON: f"snapshot {key} is the newest, release {row.champion[:12]} serves"},
    )
