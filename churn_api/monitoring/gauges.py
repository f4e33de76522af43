"""The facts as metrics for Prometheus, under our names and under those that dashboards of churn services look for.

Every worker reads the same facts, so the one that answers shows them alone: they are neither added up nor compared. What is unknown is
absent, so that no alert takes it for a good value. Belongs here: from facts to metrics. Does not belong here: what is counted
(``telemetry.metrics``).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import Metric

from churn_api.monitoring.facts_routes import MonitoringReader
from churn_api.monitoring.verdicts import newest_performance, newest_window
from churn_store.monitoring.facts import QualityFinding

STATES: Final = ("fine", "attention", "unknown")

ACCURACY: Final = "accuracy"

Sample = tuple[dict[str, str], float]


def monitoring_metrics(monitoring: MonitoringReader) -> list[Metric]:
    """What is known now, each metric only where it has a sample."""
    facts, drift = monitoring.facts, monitoring.verdict("drift")
    window = newest_window(facts.drift) if drift.state != "unknown" else None
    performance = monitoring.verdict("performance")
    judged = newest_performance(facts.performance, release=monitoring.serving) if performance.state != "unknown" else None
    moves = [] if window is None or window.state == "unknown" else window.features
    measures = {} if judged is None else judged.measures
    # One that is only shown, as a day of the year, always moves: an alert on it would never end.
    statistic = [({"feature": move.feature}, move.psi) for move in moves if move.judged]
    means = [({"feature": move.feature}, move.mean) for move in moves if move.mean is not None]
    accuracy: list[Sample] = [({}, measures[ACCURACY].value)] if ACCURACY in measures else []
    detected: list[Sample] = [({}, float(drift.state == "attention"))] if drift.state != "unknown" else []
    figures: list[Sample] = [({"measure": name}, one.value) for name, one in sorted(measures.items())]
    states: list[Sample] = [
        ({"verdict": one.name, "state": state}, float(one.state == state))
        for one in monitoring.verdicts()
        for state in STATES
    ]
    published: list[Sample] = [({}, float(facts.as_of_s))] if monitoring.follower.current.facts is not None else []
    blocking: list[Sample] = (
        [
            ({"blocking": str(is_blocking).lower()}, _findings(facts.quality, is_blocking=is_blocking))
            for is_blocking in (False, True)
        ]
        if monitoring.verdict("quality").state != "unknown"
        else []
    )
    told = [
        (
            "feature_drift_statistic",
            "Population stability index of a judged feature in the newest snapshot, less its bias",
            statistic,
        ),
        ("feature_mean", "Mean of a feature in the newest snapshot", means),
        ("model_accuracy", "Share of right decisions at the newest matured snapshot", accuracy),
        ("drift_detected", "Whether the newest snapshots have drifted", detected),
    ]
    ours = [
        ("churn_performance", "Of the serving release at its newest matured snapshot", figures),
        ("churn_monitoring_state", "Whether a verdict of the graph is in this state", states),
        (
            "churn_monitoring_published_seconds",
            "Time by the platform's clock at which the graph published the facts",
            published,
        ),
        (
            "churn_quality_findings",
            "Faults in the data that block a period, and others of the newest period that has any",
            blocking,
        ),
    ]
    both = [*told, *((f"churn_{name}", said, samples) for name, said, samples in told), *ours]
    return [_gauge(name, said, samples) for name, said, samples in both if samples]


def _findings(findings: Sequence[QualityFinding], *, is_blocking: bool) -> float:
    """The number of faults that block a period, or of the others of the newest period."""
    newest = max((one.period for one in findings), default=None)
    return float(sum(one.blocking is is_blocking and (is_blocking or one.period == newest) for one in findings))


def _gauge(name: str, said: str, samples: Iterable[Sample]) -> Metric:
    metric = Metric(name, said, "gauge")
    for labels, value in samples:
        metric.add_sample(name, labels, value)
    return metric
