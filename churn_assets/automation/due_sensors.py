"""Sensors of the stages that follow the calendar: each asks for the periods that are due by the clock, an unbroken stretch as one run.

A sensor looks every few seconds, so that a stage is asked for as soon as the one before it is done. The requests follow from the clock
and from the stored periods, so a week off is caught up. Nothing is requested twice: a run is tagged with its cause, a digest of the
code and the data that it reads. No period is requested while a run with it is under way, or after a run with the same cause. A period
that failed is requested again when its cause has changed.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from functools import partial
from typing import Any, NamedTuple

import dagster as dg
from pydantic import BaseModel

from churn_assets.automation.due import (
    arrived_into,
    contiguous,
    features_due,
    first_snapshot,
    labels_due,
    labels_to_publish,
    labels_to_restate,
    newest_due,
    performance_due,
    raw_due,
)
from churn_assets.automation.jobs import BACKTEST, FACTS, FEATURES, INGEST, LABELS, MONITOR, PERFORMANCE, PUBLISH, SCORE
from churn_assets.automation.reports_due import Requests, backtest_due, facts_due
from churn_assets.automation.watch import Signs, Watch
from churn_assets.coverage import unbroken_until
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.dagster_internals import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from churn_assets.orchestration.lost_periods import causes_of
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.pools import EVERY_S, ensure_limits
from churn_assets.orchestration.run_history import (
    CAUSE,
    KNOWN_UNTIL,
    REASON,
    asked_for,
    attempts,
    data_versions,
    digest_of,
    ingested,
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
from churn_assets.quality.acceptances import as_cause
from churn_assets.raw.assets import STAGES
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_assets.tables import Source, quarantine_of
from churn_store.clock import Clock
from churn_store.mapping.tables import Table
from churn_store.monitoring.baselines import baseline_of

RANGE_START, RANGE_END = ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG


class Stage(NamedTuple):
    """A stage that follows the calendar.

    Attributes:
        requests: what it asks for now, or why it asks for nothing.
        description: what it does, in a sentence.
    """

    requests: Callable[[dg.DagsterInstance], Requests]
    description: str


class Cause(NamedTuple):
    """What the periods of a stage are made from.

    Attributes:
        digest: another one means that they are made again.
        gone: periods that are lost, which is part of the digest.
    """

    digest: str
    gone: set[str]


def due_stages(settings: Settings, source: Source, clock: Clock, serving: ServingStore) -> dict[str, Stage]:
    """The stages that follow the calendar, by their jobs; none where the data has no time.

    For its due periods and its cause each stage reads only its own sections of the settings.
    """
    if settings.timeline is None:
        return {}
    calendar, tables, lake = settings.timeline, settings.tables, Lake(settings.lake_url)
    raw_tables = settings.raw_tables
    first = first_snapshot(calendar.start, tables, at_risk=settings.at_risk, features=settings.features)

    def ingest(instance: dg.DagsterInstance) -> Requests:
        # A period that only one table lacks is due as well; all tables of a period are read together.
        due = raw_due(calendar, clock.now().date(), ingested(instance, lake, raw_tables))

        def cause() -> Cause:
            gone = causes_of(instance, lake, [*raw_tables, *map(quarantine_of, raw_tables)])
            limits = settings.raw.model_dump_json(), settings.quality.model_dump_json()
            made_from = source.fingerprint(), code_version(*STAGES), *limits, *gone, *as_cause(lake, raw_tables)
            return Cause(digest_of(*made_from), {period for _, period, _ in gone})

        yield from _stretches(instance, calendar, INGEST, due, cause, makes=raw_tables)

    def built_from(instance: dg.DagsterInstance, table: str, *sections: BaseModel) -> Cause:
        """The cause of one of the tables that are built from the raw ones; a loss of either of them makes another cause."""
        texts = [section.model_dump_json() for section in sections]
        gone = causes_of(instance, lake, ["customer_features", "churn_labels"])
        digest = digest_of(versions_digest(instance, tables), code_version("features"), *texts, *gone)
        return Cause(digest, {period for of_table, period, _ in gone if of_table == table})

    def labelled_from(instance: dg.DagsterInstance) -> Cause:
        # The cause includes the labels, so that labels that a restore brought back are restated again by the same arrivals.
        built = built_from(instance, "churn_labels", settings.at_risk, settings.label)
        return built._replace(digest=digest_of(built.digest, versions_digest(instance, ["churn_labels"])))

    def features(instance: dg.DagsterInstance) -> Requests:
        due = features_due(
            calendar,
            clock.now().date(),
            first=first,
            raw=raw_periods(instance, lake, tables),
            have=present(instance, lake, "customer_features"),
        )

        def cause() -> Cause:
            sections = settings.at_risk, settings.features, settings.quality
            built = built_from(instance, "customer_features", *sections)
            return built._replace(digest=digest_of(built.digest, *as_cause(lake, ["customer_features"])))

        yield from _stretches(
            instance,
            calendar,
            FEATURES,
            due,
            cause,
            makes=["customer_features"],
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
        yield from _stretches(
            instance,
            calendar,
            LABELS,
            sorted(due),
            lambda: labelled_from(instance),
            makes=["churn_labels"],
        )

    def publishing(instance: dg.DagsterInstance) -> Requests:
        if is_under_way(instance, LABELS, makes=["churn_labels"]):
            yield dg.SkipReason("labels are being made, and published with them")
            return
        made, published = (data_versions(instance, asset) for asset in ("churn_labels", "published_labels"))
        due = labels_to_publish({key: made[key] for key in present(instance, lake, "churn_labels") & set(made)}, published)
        yield from _stretches(
            instance,
            calendar,
            PUBLISH,
            due,
            lambda: Cause(digest_of(sorted(made.items()), code_version("outcomes")), set()),
            makes=["published_labels"],
        )

    def performance(instance: dg.DagsterInstance) -> Requests:
        if any(is_under_way(instance, job, makes=["published_labels"]) for job in (LABELS, PUBLISH)):
            yield dg.SkipReason("labels are being made or published")
            return
        published, judged = (data_versions(instance, asset) for asset in ("published_labels", "performance_report"))
        gone = causes_of(instance, lake, ["performance_history"])
        lost = {period for _, period, _ in gone}
        yield from _stretches(
            instance,
            calendar,
            PERFORMANCE,
            sorted({*performance_due(published, judged), *(lost & set(published))}),
            lambda: Cause(digest_of(sorted(published.items()), code_version("performance"), *gone), lost),
            makes=["performance_history", "performance_report"],
        )

    def scores(instance: dg.DagsterInstance) -> Requests:
        gone = causes_of(instance, lake, ["churn_scores"])
        code, today = code_version("scoring"), clock.now().date()
        yield from _newest(instance, calendar, serving, SCORE, "churn_scores", code, today, gone=gone)

    def monitoring(instance: dg.DagsterInstance) -> Requests:
        yield from _newest(
            instance,
            calendar,
            serving,
            MONITOR,
            "drift_report",
            code_version("monitoring"),
            clock.now().date(),
            gone=causes_of(instance, lake, ["drift_history"]),
            beside=("drift_history", "quality_report"),
            by_baseline=True,
        )

    def backtest(instance: dg.DagsterInstance) -> Requests:
        yield backtest_due(
            instance,
            clock.now().date(),
            present(instance, lake, "churn_labels"),
            calendar=calendar,
            label=settings.label,
            training=settings.training,
            evaluation=settings.evaluation,
        )

    return {
        INGEST: Stage(ingest, "Ingests the periods that have ended."),
        FEATURES: Stage(features, "Computes the features of snapshots whose T has come."),
        LABELS: Stage(labels, "Labels the snapshots that have matured."),
        PUBLISH: Stage(publishing, "Publishes labels that were made, or brought back, without it."),
        SCORE: Stage(scores, "Scores the newest snapshot with the serving release."),
        MONITOR: Stage(monitoring, "Measures the newest snapshot's drift."),
        BACKTEST: Stage(backtest, "Tests the family that serves, once a month of labels."),
        FACTS: Stage(
            partial(facts_due, lake=lake, serving=serving), "Publishes what was found out, once there is something newer."
        ),
        PERFORMANCE: Stage(performance, "Judges what was served, once the labels of a snapshot are made or restated."),
    }


def due_sensors(
    stages: dict[str, Stage], jobs: dict[str, Any], *, company: str, lake_url: str, signs: Signs
) -> list[dg.SensorDefinition]:
    """One sensor for each stage.

    Args:
        stages: the stages by their jobs.
        jobs: jobs to request, by name.
        company: name of the company, to which the instance must belong.
        lake_url: address of its lake.
        signs: what the sensors see cheaply, before they look at length.
    """
    return [_sensor(jobs[job], stage, Watch(signs), company=company, lake_url=lake_url) for job, stage in stages.items()]


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


def _sensor(job: Any, stage: Stage, watch: Watch, *, company: str, lake_url: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{job.name}_when_due",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=stage.description,
    )
    def evaluate(context: dg.SensorEvaluationContext) -> Requests:
        require_own(context.instance, company, lake_url)
        ensure_limits(context.instance)
        yield from watch.answers(context.instance, stage.requests)

    return evaluate


def _stretches(
    instance: dg.DagsterInstance,
    calendar: Calendar,
    job: str,
    due: list[str],
    cause_of: Callable[[], Cause],
    *,
    makes: Collection[str],
) -> Requests:
    """Runs for the due periods that were not asked for yet, one for each unbroken stretch.

    Args:
        instance: instance that remembers the runs.
        calendar: calendar of the periods.
        job: job that makes them.
        due: periods that are due, in their order.
        cause_of: what they are made from; asked only where a period is due.
        makes: assets of the job.
    """
    if not due:
        yield dg.SkipReason("no period is due")
        return
    cause, gone = cause_of()
    asked = asked_for(instance, calendar, job, cause, makes=makes)
    wanted = [period for period in due if period not in asked]
    if not wanted:
        yield dg.SkipReason(f"{', '.join(due)}: asked for already, and nothing that it is made from has changed since")
        return
    for first, last in contiguous(calendar, wanted):
        yield dg.RunRequest(
            run_key=run_key(job, first, last, cause, attempts(instance, job, cause)),
            partition_key=first if first == last else None,
            tags={
                REASON: _why([period for period in wanted if first <= period <= last], gone),
                CAUSE: cause,
                **({} if first == last else {RANGE_START: first, RANGE_END: last}),
            },
        )


def _why(periods: Sequence[str], gone: Collection[str]) -> str:
    """Why a run makes an unbroken stretch of periods, for its tag."""
    where = f"{periods[0]} is" if len(periods) == 1 else f"{periods[0]} to {periods[-1]} are"
    again = [period for period in periods if period in gone]
    if len(again) == len(periods):
        return f"{where} lost and made again"
    return f"{where} due{f', of them {len(again)} lost and made again' if again else ''}"


def _newest(
    instance: dg.DagsterInstance,
    calendar: Calendar,
    serving: ServingStore,
    job: str,
    asset: str,
    code: str,
    today: date,
    *,
    gone: Sequence[tuple[str, str, int]] = (),
    beside: Sequence[str] = (),
    by_baseline: bool = False,
) -> Requests:
    """The run for the newest snapshot, if the serving release has not done it yet.

    Args:
        instance: instance that remembers the runs.
        calendar: calendar of the periods.
        serving: the release that serves.
        job: job that is asked for.
        asset: asset of the job whose newest report says what was done.
        code: version of the job's code.
        today: today's date by the platform's clock.
        gone: what is lost of the job's tables.
        beside: other assets of the job, which an older platform may not have made.
        by_baseline: whether another pinned baseline makes the snapshot due again.
    """
    row, away = serving.newest_or_away()
    if away:
        yield dg.SkipReason(away)
        return
    snapshots = {key for key in materialized(instance, "customer_features") if key <= text(today)}
    last = newest_materialization(instance, asset)
    done = None if last is None or last.period is None else (last.period, str(last.metadata.get("release")))
    is_lost = done is not None and any(
        period == done[0] or (period < done[0] and table in beside) for table, period, _ in gone
    )
    baseline = "" if row is None or not by_baseline else baseline_of(serving.engine, row.champion).baseline
    other_baseline = by_baseline and last is not None and str(last.metadata.get("baseline", baseline)) != baseline
    unmade = [name for name in beside if done is not None and done[0] not in materialized(instance, name)]
    if is_lost or other_baseline or unmade:
        done = None
    key = newest_due(snapshots, release=None if row is None else row.champion, done=done)
    if row is None:
        yield dg.SkipReason("no release serves yet")
    elif key is None:
        yield dg.SkipReason("the serving release has done the newest snapshot already")
    else:
        # The cause has the epoch and not the release, so that after a rollback the former release is due again.
        made_from = versions_digest(instance, ["customer_features"])
        cause = digest_of(row.epoch, made_from, code, *gone, *((baseline,) if by_baseline else ()))
        if key in asked_for(instance, calendar, job, cause, makes=[asset]):
            yield dg.SkipReason(f"{key}: asked for already, and neither the release nor the features have changed since")
            return
        yield dg.RunRequest(
            run_key=run_key(job, key, cause, attempts(instance, job, cause)),
            partition_key=key,
            tags={
                REASON: f"snapshot {key} is the newest, release {row.champion[:12]} serves{f'; its {asset} is lost and made again' if is_lost else ''}",
                CAUSE: cause,
            },
        )
