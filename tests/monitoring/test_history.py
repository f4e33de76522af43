"""The history of drift in the lake: what is written is what is read."""

from pathlib import Path
from typing import Any

import pytest

from churn_assets.contracts import violations
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.contracts import history_contract
from churn_assets.monitoring.history import TABLE, drift_windows, rows_of
from churn_store.monitoring.facts import DriftWindow, FeatureMove


def move(feature: str, **said: Any) -> FeatureMove:
    numbers = {"ks": 0.2, "welch_t": 3.0, "wasserstein": 0.4, "mean": 2.0, "baseline_mean": 1.0, "mean_shift": 1.0}
    defaults: dict[str, Any] = {
        "rows": 700, "psi": 0.2, "chi_square": None, "jensen_shannon": 0.3, "p_value": 0.001, "cut": 0.1, "missing": 0.0,
        "importance": 0.5, "judged": True, "drifted": True, **numbers,
    }  # fmt: skip
    return FeatureMove(feature=feature, **{**defaults, **said})


def window(key: str, **said: Any) -> DriftWindow:
    defaults: dict[str, Any] = {
        "of": "snapshot", "segment": None, "release": "a" * 64, "baseline": "b" * 64, "rows": 700, "state": "attention",
        "verdict": "visits moved", "since": key, "unusual": 1.0, "mean_score": 0.3, "positive_rate": 0.1,
        "features": [move("spend", drifted=False), move("visits")],
    }  # fmt: skip
    return DriftWindow(window=key, **{**defaults, **said})


UNJUDGED: dict[str, Any] = {
    "state": "unknown",
    "since": None,
    "unusual": None,
    "features": [],
    "rows": 3,
    "mean_score": None,
}


def test_windows_come_back_as_they_were_written_the_newest_periods_of_them(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert drift_windows(lake, 9) == []
    written = {
        key: [
            window(key, of="served", **UNJUDGED),
            window(key),
            window(key, segment="plan=pro", features=[move("plan", ks=None, welch_t=None, mean=None, importance=None)]),
        ]
        for key in ("2025-01-01", "2025-02-01", "2025-03-01")
    }
    frames = {key: rows_of(windows) for key, windows in written.items()}
    assert [violations(history_contract(), frame) for frame in frames.values()] == [[]] * 3
    lake.replace(TABLE, frames, run_id="test")
    assert drift_windows(lake, 2) == [*written["2025-02-01"], *written["2025-03-01"]]


@pytest.mark.parametrize("said", [{"state": "good"}, {"release": "short"}, {"unusual": 1.5}])
def test_the_contract_refuses_a_window_that_says_what_no_window_may(said: dict[str, Any]) -> None:
    assert violations(history_contract(), rows_of([window("2025-01-01", **said)]))
