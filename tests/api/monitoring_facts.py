"""Facts as the graph publishes them, for the tests of what the service shows of them."""

from typing import Any

import msgspec

from churn_store.monitoring.facts import (
    DriftWindow,
    Facts,
    FeatureMove,
    Measured,
    QualityFinding,
    SnapshotPerformance,
    State,
    Verdict,
)
from tests.release_factory import NOW_S


def move(feature: str = "sessions_30d", **changed: Any) -> FeatureMove:
    """A feature that has moved."""
    told = FeatureMove(
        feature=feature, rows=500, ks=0.3, welch_t=4.0, psi=0.31, wasserstein=0.5, chi_square=None, jensen_shannon=0.2,
        p_value=0.001, cut=0.1, mean=41.5, baseline_mean=50.0, mean_shift=-0.17, missing=0.0, importance=0.4, judged=True,
        drifted=True,
    )  # fmt: skip
    return msgspec.structs.replace(told, **changed)


def window(release: str, **changed: Any) -> DriftWindow:
    """A window of all customers that has moved."""
    still = move("days_since_ticket", psi=0.01, mean=None, drifted=False)
    told = DriftWindow(
        window="2026-02-01", of="snapshot", segment=None, release=release, baseline=release, rows=500, state="attention",
        verdict="sessions_30d has moved", since="2026-01-01", unusual=1.0, mean_score=0.21, positive_rate=0.12,
        features=[still, move()],
    )  # fmt: skip
    return msgspec.structs.replace(told, **changed)


def performance(release: str, auc: float = 0.71, **changed: Any) -> SnapshotPerformance:
    """A mature snapshot that is judged fine."""
    measures = {
        "auc": Measured(value=auc, low=auc - 0.02, high=auc + 0.02),
        "accuracy": Measured(value=0.88, low=0.86, high=0.9),
    }
    told = SnapshotPerformance(
        snapshot="2025-12-01", release=release, arm=None, segment=None, rows=450, effective_rows=450.0, state="fine",
        sentence="as good as promised", measures=measures, promised=0.2, seen=0.21,
    )  # fmt: skip
    return msgspec.structs.replace(told, **changed)


def finding(**changed: Any) -> QualityFinding:
    """A column that lost its values."""
    told = QualityFinding(
        table="events", period="2026-01-01", kind="nulls", column="value", blocking=True, sentence="value is empty in 40 %"
    )
    return msgspec.structs.replace(told, **changed)


def facts(release: str, states: dict[str, State] | None = None, **changed: Any) -> Facts:
    """Facts about a release, in which drift asks for attention and everything else is fine."""
    given: dict[str, State] = {
        "drift": "attention",
        "served_drift": "fine",
        "quality": "fine",
        "performance": "fine",
        "skew": "fine",
    }
    verdicts = [
        Verdict(
            name=name, state=state, sentence=f"{name} is {state}", snapshot="2026-02-01",
            release=None if name == "quality" else release, as_of_s=NOW_S,
        )
        for name, state in {**given, **(states or {})}.items()
    ]  # fmt: skip
    told = Facts(
        company="Acme", as_of_s=NOW_S, release=release, verdicts=verdicts, drift=[window(release)],
        performance=[performance(release)], quality=[],
    )  # fmt: skip
    return msgspec.structs.replace(told, **changed)
