"""The sensor that requests a retraining when the policy says so."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import dagster as dg

from churn_assets.automation.due_sensors import Stage
from churn_assets.automation.jobs import LABELS, RETRAIN
from churn_assets.automation.retraining_policy import DriftReport, Staleness, decide
from churn_assets.automation.watch import Signs, Watch
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.pools import EVERY_S
from churn_assets.orchestration.run_history import (
    CAUSE,
    REASON,
    data_version,
    digest_of,
    failures,
    is_under_way,
    materialized,
    newest_materialization,
    run_key,
    versions_digest,
)
from churn_assets.periods import ALL, Calendar
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.label import Label
from churn_assets.settings.retraining import Retraining
from churn_assets.settings.training import Training
from churn_store.clock import Clock
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving


def sensors(
    clock: Clock,
    serving: ServingStore,
    job: Any,
    *,
    company: str,
    lake_url: str,
    timeline: Calendar | None,
    label: Label,
    training: Training,
    retraining: Retraining,
    signs: Signs,
    labels: Stage | None,
) -> list[dg.SensorDefinition]:
    """The retraining sensor.

    Args:
        clock: clock that decides which labels are mature.
        serving: store of the serving release.
        job: job to request.
        company: name of the company, to which the instance must belong.
        lake_url: address of its lake.
        timeline: calendar of a history; `None` where the data has no time.
        label: definition of churn, by which a snapshot matures.
        training: section ``training``, by which a training set is cut.
        retraining: section ``retraining``, by which a retraining is requested.
        signs: what the sensor sees cheaply, before it looks at length.
        labels: stage of the labels, which come first: a retraining that runs before them would learn from older ones, and answer its
            cause; `None` where the data has no time.
    """
    watch = Watch(signs)

    @dg.sensor(
        name="retrain_when_due",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a retraining when there is no release yet, when the newest drift report has an alert, or when the champion "
        "is older than the newest backtest allows.",
    )
    def retrain_when_due(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        require_own(context.instance, company, lake_url)
        yield from watch.answers(context.instance, lambda instance: [asked(instance)])

    def asked(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
        if is_under_way(instance, RETRAIN, makes=["training_set", "candidate_model", "champion"]):
            return dg.SkipReason("a retraining is under way")
        if timeline is not None:
            labelled = sorted(materialized(instance, "churn_labels"))
            labels_digest = versions_digest(instance, ["churn_labels", "customer_features"], periods=labelled)
        else:
            version = data_version(instance, "churn_labels")
            labelled, labels_digest = ([] if version is None else [ALL]), str(version)
        row, away = serving.newest_or_away()
        if away:
            return dg.SkipReason(away)
        candidate = newest_materialization(instance, "candidate_model")
        decision = decide(
            timeline=timeline,
            label=label,
            training=training,
            retraining=retraining,
            today=clock.now().date(),
            serving=None if row is None else row.champion,
            labelled=labelled,
            labels_digest=labels_digest,
            report=_newest_report(instance),
            last_trained=None if candidate is None else datetime.fromisoformat(str(candidate.metadata["as_of"])).date(),
            staleness=None if timeline is None else _staleness(instance, serving, row, retraining.maximum_age_periods),
        )
        if not decision.retrain:
            return dg.SkipReason(decision.reason)
        if labels is not None and _are_coming(instance, labels):
            return dg.SkipReason(f"{decision.reason}; first the labels that have matured are built")
        cause = digest_of(*decision.cause)
        failed, given_up = failures(instance, RETRAIN, cause)
        if given_up:
            return dg.SkipReason(
                f"given up: {decision.reason}, but {failed} runs failed for it; look at the newest in the UI"
            )
        return dg.RunRequest(run_key=run_key(RETRAIN, cause, failed), tags={REASON: decision.reason[:250], CAUSE: cause})

    return [retrain_when_due]


def _are_coming(instance: dg.DagsterInstance, labels: Stage) -> bool:
    """Whether labels are being built, or are asked for now; those that failed, and are not asked for again, hold up nothing."""
    return is_under_way(instance, LABELS, makes=["churn_labels"]) or any(
        isinstance(request, dg.RunRequest) for request in labels.requests(instance)
    )


def _newest_report(instance: dg.DagsterInstance) -> DriftReport | None:
    report = newest_materialization(instance, "drift_report")
    if report is None:
        return None
    metadata = report.metadata
    return DriftReport(report.event, bool(metadata["alert"]), str(metadata["drifted"]), str(metadata["release"]))


def _staleness(
    instance: dg.DagsterInstance, serving: ServingStore, row: Serving | None, configured: int | None
) -> Staleness | None:
    """The limit of the champion's age: the configured one, else that of the newest backtest of its family."""
    report = newest_materialization(instance, "backtest_report")
    if row is None or (configured is None and report is None):
        return None
    manifest = load_manifest(serving.files, row.champion)
    if not manifest.trained_on:
        return None
    read_until = date.fromisoformat(max(manifest.trained_on))
    if configured is not None:
        return Staleness(read_until, configured, "retraining.maximum_age_periods")
    if report is None or str(report.metadata["family"]) != manifest.family:
        return None
    limit = int(report.metadata["staleness_limit_periods"])
    return Staleness(read_until, limit, f"the backtest of {report.metadata['as_of']}") if limit else None
