"""Schedules: each tick requests the periods that are due by the clock, an unbroken stretch of periods as one run.

The cron expression only says how often to look. The requests follow from the clock and from the stored periods, so a week off is
caught up. Nothing is requested twice: a run is tagged with its cause, a digest of the code and the data that it reads. No period is
requested while a run with it is under way, or after a run with the same cause. A period that failed is requested again when its
cause has changed.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
from pydantic import BaseModel

from churn_assets.automation.due import (
    arrived_into,
    contiguous,
    features_due,
    first_snapshot,
    labels_due,
    labels_to_restate,
    newest_due,
    raw_due,
)
from churn_assets.automation.jobs import BACKTEST, FEATURES, INGEST, LABELS, MONITOR, SCORE
from churn_assets.backtest.origins import origins
from churn_assets.coverage import unbroken_until
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.dagster_internals import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from churn_assets.orchestration.lost_periods import causes_of
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.run_history import (
    CAUSE,
    KNOWN_UNTIL,
    asked_for,
    digest_of,
    failures,
    is_under_way,
    materialized,
    metadata_of,
    newest_materialization,
    present,
    raw_periods,
    run_key,
    versions_digest,
)
from churn_assets.periods import Calendar, text
from churn_assets.raw.assets import STAGES
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import EvaluationSettings, Label, Settings, Training, matures_on
from churn_assets.tables import Source
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

EVERY_MINUTE = "* * * * *"
REASON = "churn/reason"

Requests = Iterator[dg.RunRequest | dg.SkipReason]
RANGE_START, RANGE_END = ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG


def schedules(
    settings: Settings, source: Source, clock: Clock, serving: ServingStore, jobs: dict[str, Any]
) -> list[dg.ScheduleDefinition]:
    """One schedule for each stage that follows the calendar; no schedules where the data has no time.

    For its due periods and its cause each stage reads only its own sections of the settings.
    """
    if settings.timeline is None:
        return []
    calendar, tables, lake = settings.timeline, settings.tables, Lake(settings.lake_url)
    first = first_snapshot(calendar.start, tables, at_risk=settings.at_risk, features=settings.features)

    def ingest(instance: dg.DagsterInstance) -> Requests:
        # A period that only one table lacks is due as well; all tables of a period are read together.
        due = raw_due(calendar, clock.now().date(), raw_periods(instance, lake, tables))
        yield from _stretches(
            instance,
            calendar,
            INGEST,
            due,
            lambda: digest_of(
                source.fingerprint(),
                code_version(*STAGES),
                settings.raw.model_dump_json(),
                *causes_of(instance, lake, tables),
            ),
        )

    def built_from(instance: dg.DagsterInstance, *sections: BaseModel) -> str:
        texts = [section.model_dump_json() for section in sections]
        gone = causes_of(instance, lake, ["customer_features", "churn_labels"])
        return digest_of(versions_digest(instance, tables), code_version("features"), *texts, *gone)

    def labelled_from(instance: dg.DagsterInstance) -> str:
        # The cause includes the labels, so that labels that a restore brought back are restated again by the same arrivals.
        return digest_of(
            built_from(instance, settings.at_risk, settings.label), versions_digest(instance, ["churn_labels"])
        )

    def features(instance: dg.DagsterInstance) -> Requests:
        due = features_due(
            calendar,
            clock.now().date(),
            first=first,
            raw=raw_periods(instance, lake, tables),
            have=present(instance, lake, "customer_features"),
        )
        yield from _stretches(
            instance, calendar, FEATURES, due, lambda: built_from(instance, settings.at_risk, settings.features)
        )

    def labels(instance: dg.DagsterInstance) -> Requests:
        due = labels_due(
            calendar,
            settings.label,
            clock.now().date(),
            raw=raw_periods(instance, lake, tables),
            features=present(instance, lake, "customer_features"),
            have=present(instance, lake, "churn_labels"),
        )
        due += _to_restate(instance, lake, tables, calendar, settings.label)
        yield from _stretches(instance, calendar, LABELS, sorted(due), lambda: labelled_from(instance))

    def scores(instance: dg.DagsterInstance) -> Requests:
        gone = causes_of(instance, lake, ["churn_scores"])
        code, today = code_version("scoring"), clock.now().date()
        yield from _newest(instance, calendar, serving, SCORE, "churn_scores", code, today, lost=gone)

    def monitoring(instance: dg.DagsterInstance) -> Requests:
        yield from _newest(
            instance, calendar, serving, MONITOR, "drift_report", code_version("monitoring"), clock.now().date()
        )

    def backtest(instance: dg.DagsterInstance) -> Requests:
        yield _backtest(
            instance,
            clock.now().date(),
            present(instance, lake, "churn_labels"),
            calendar=calendar,
            label=settings.label,
            training=settings.training,
            evaluation=settings.evaluation,
        )

    return [
        _schedule("ingest_due_periods", jobs[INGEST], settings, ingest, "Ingests the periods that have ended."),
        _schedule(
            "build_due_features", jobs[FEATURES], settings, features, "Computes the features of snapshots whose T has come."
        ),
        _schedule("build_due_labels", jobs[LABELS], settings, labels, "Labels the snapshots that have matured."),
        _schedule(
            "score_newest_snapshot", jobs[SCORE], settings, scores, "Scores the newest snapshot with the serving release."
        ),
        _schedule("monitor_newest_snapshot", jobs[MONITOR], settings, monitoring, "Measures the newest snapshot's drift."),
        _schedule(
            "backtest_each_month",
            jobs[BACKTEST],
            settings,
            backtest,
            "Tests the family that serves, once a month of labels.",
        ),
    ]


def _backtest(
    instance: dg.DagsterInstance,
    today: date,
    labelled: set[str],
    *,
    calendar: Calendar,
    label: Label,
    training: Training,
    evaluation: EvaluationSettings,
) -> dg.RunRequest | dg.SkipReason:
    """One backtest for each month that has a labelled snapshot, once there are enough of them."""
    mature = [key for key in map(date.fromisoformat, labelled) if matures_on(key, label) <= today]
    try:
        newest = origins(mature, calendar, label, training, folds=evaluation.folds)[-1].judge[0]
    except InputError as error:
        return dg.SkipReason(f"not enough to test on: {error}")
    month = f"{newest:%Y-%m}"
    last = newest_materialization(instance, "backtest_report")
    if last is not None and str(last.metadata["newest_fold"])[: len(month)] >= month:
        return dg.SkipReason(f"the backtest of {month} is there")
    cause = digest_of(BACKTEST, month)
    failed, given_up = failures(instance, BACKTEST, cause)
    if given_up or is_under_way(instance, BACKTEST):
        return dg.SkipReason(f"the backtest of {month} {f'failed {failed} times' if given_up else 'is under way'}")
    return dg.RunRequest(
        run_key=run_key(BACKTEST, cause, failed), tags={CAUSE: cause, REASON: f"snapshot {newest} of {month} has labels"}
    )


def _to_restate(
    instance: dg.DagsterInstance, lake: Lake, tables: Sequence[Table], calendar: Calendar, label: Label
) -> list[str]:
    """Labelled snapshots whose labels later arrivals may change."""
    happened: dict[str, tuple[int, int]] = {}
    for table in tables:
        if table != "customers" and lake.has(table):
            for period, (first_s, last_s) in lake.spans(table, "occurred_s").items():
                earlier = happened.get(period, (first_s, last_s))
                happened[period] = min(earlier[0], first_s), max(earlier[1], last_s)
    late = arrived_into(calendar, label, labels=present(instance, lake, "churn_labels"), happened=happened)
    if not late:
        return []
    return labels_to_restate(
        label,
        late,
        known_until=metadata_of(instance, "churn_labels", KNOWN_UNTIL, periods=late),
        until=unbroken_until(calendar, raw_periods(instance, lake, tables)),
    )


def _schedule(
    name: str, job: Any, settings: Settings, requests: Callable[[dg.DagsterInstance], Requests], description: str
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
        require_own(context.instance, settings.company, settings.lake_url)
        yield from requests(context.instance)

    return evaluate


def _stretches(
    instance: dg.DagsterInstance, calendar: Calendar, job: str, due: list[str], cause_of: Callable[[], str]
) -> Requests:
    if not due:
        yield dg.SkipReason("no period is due")
        return
    cause = cause_of()
    asked = asked_for(instance, calendar, job, cause)
    wanted = [period for period in due if period not in asked]
    if not wanted:
        yield dg.SkipReason(f"{', '.join(due)}: asked for already, and nothing that it is made from has changed since")
        return
    for first, last in contiguous(calendar, wanted):
        yield dg.RunRequest(
            run_key=run_key(job, first, last, cause),
            partition_key=first if first == last else None,
            tags={
                CAUSE: cause,
                REASON: f"{first} is due" if first == last else f"{first} to {last} are due",
                **({} if first == last else {RANGE_START: first, RANGE_END: last}),
            },
        )


def _newest(
    instance: dg.DagsterInstance,
    calendar: Calendar,
    serving: ServingStore,
    job: str,
    asset: str,
    code: str,
    today: date,
    *,
    lost: Sequence[tuple[str, str, int]] = (),
) -> Requests:
    row = serving.newest()
    snapshots = {key for key in materialized(instance, "customer_features") if key <= text(today)}
    last = newest_materialization(instance, asset)
    done = None if last is None or last.period is None else (last.period, str(last.metadata.get("release")))
    if done is not None and done[0] in {period for _, period, _ in lost}:
        done = None
    key = newest_due(snapshots, release=None if row is None else row.champion, done=done)
    if row is None:
        yield dg.SkipReason("no release serves yet")
    elif key is None:
        yield dg.SkipReason("the serving release has done the newest snapshot already")
    else:
        # The cause has the epoch and not the release, so that after a rollback the former release is due again.
        cause = digest_of(row.epoch, versions_digest(instance, ["customer_features"]), code, *lost)
        if key in asked_for(instance, calendar, job, cause):
            yield dg.SkipReason(f"{key}: asked for already, and neither the release nor the features have changed since")
            return
        yield dg.RunRequest(
            run_key=run_key(job, key, cause),
            partition_key=key,
            tags={CAUSE: cause, REASON: f"snapshot {key} is the newest, release {row.champion[:12]} serves"},
        )
