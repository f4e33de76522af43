"""From snapshot to snapshot: what is fine, what has degraded, what is unknown, and which alerts follow."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from churn_assets.performance import verdicts
from churn_assets.performance.alerting import UNJUDGED, tell
from churn_assets.performance.gathering import estimates, published_now
from churn_assets.performance.history import read_history
from churn_assets.performance.report_page import Page, document
from churn_assets.performance.verdicts import performances, snapshot_performances, verdict
from churn_store.alerts.log import newest_alerts, open_alerts
from churn_store.monitoring.facts import SnapshotPerformance
from churn_store.releases.log import newest
from churn_store.storage.digest_store import DigestStore
from tests.performance.made import LATER_S, Company, months, whole
from tests.release_factory import Candidate, release, train

KEYS = months(8)


def live(company: Company, keys: list[str], **month: object) -> list[SnapshotPerformance]:
    """Let snapshots mature and be judged; what is known of all of them."""
    for key in keys:
        company.month(key, **month)  # type: ignore[arg-type]
        company.write(company.judged(key))
    return snapshot_performances(company.lake, 100)


def of_all(found: list[SnapshotPerformance]) -> list[SnapshotPerformance]:
    """Those about all customers."""
    return [one for one in found if one.arm is None and one.segment is None]


def told(company: Company, found: list[SnapshotPerformance], *, now_s: int = LATER_S) -> list[str]:
    """The causes that are open after the alerts were told."""
    serves = newest(company.engine)
    assert serves is not None
    said = verdict(found, as_of_s=now_s, release=serves.champion)
    tell(company.engine, found, said, serving=[serves.champion], now_s=now_s)
    return [one.alert.cause for one in open_alerts(company.engine)]


def test_a_model_that_is_right_stays_fine_through_the_seasons(company: Company) -> None:
    for number, key in enumerate(KEYS[:6]):
        found = live(company, [key], shift=0.4 * np.sin(number))
    assert {one.state for one in found} == {"fine"}
    rates = [one.seen or 0.0 for one in of_all(found)]
    assert max(rates) > 1.5 * min(rates)  # the season was there
    assert found[-1].sentence.startswith("As promised: at a churn rate of")
    assert told(company, found) == []


def test_scores_that_have_shrunk_to_the_churn_rate_are_right_about_it_and_not_fine(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(company, KEYS[:2])
    monkeypatch.setattr(
        "tests.performance.made.probabilities",
        lambda count, seed: 0.07 * np.exp(np.random.default_rng(seed).normal(0, 0.02, count)),
    )
    found = live(company, [KEYS[2]])
    assert [one.state for one in of_all(found)] == ["fine", "fine", "unknown"]
    assert of_all(found)[-1].sentence.startswith("Unknown: the scores tell nobody apart any more: AUC 0.")
    assert told(company, found), "somebody hears of it"


def test_a_competitor_is_seen_at_the_first_snapshot_and_its_cause_stays(company: Company) -> None:
    live(company, KEYS[:3])
    found = live(company, [KEYS[3]], is_spoilt=True)
    assert [one.state for one in of_all(found)] == ["fine", "fine", "fine", "attention"]
    assert found[-1].sentence.startswith(f"Degraded since {KEYS[3]}: at a churn rate of")
    cause = f"degradation/{company.release[:12]}"
    assert cause in told(company, found)
    found = live(company, [KEYS[4]], is_spoilt=True)
    assert cause in told(company, found)
    first = [one for one in newest_alerts(company.engine, limit=50) if one.alert.cause == cause]
    assert [(one.occurrence, one.alert.kind, one.alert.severity, one.alert.snapshot) for one in first] == [
        (1, "degradation", "critical", KEYS[4])
    ]


def test_a_release_that_is_right_again_closes_its_alert(company: Company) -> None:
    live(company, [KEYS[0]], is_spoilt=True)
    assert told(company, snapshot_performances(company.lake, 100))
    found = live(company, KEYS[1:])
    assert of_all(found)[-1].state == "fine"
    assert told(company, found) == []


def test_an_alert_ends_with_its_release(company: Company) -> None:
    found = live(company, [KEYS[0]], is_spoilt=True)
    assert told(company, found)
    release(company.engine, company.files, train(seed=5))
    assert told(company, found) == []
    said = verdict(found, as_of_s=LATER_S, release="a" * 64)
    assert (said.state, said.release) == ("attention", company.release)
    assert "has no mature snapshot yet" in said.sentence


def test_a_snapshot_that_can_t_be_judged_is_unknown_and_closes_nothing(company: Company) -> None:
    live(company, [KEYS[0]], is_spoilt=True)
    before = told(company, snapshot_performances(company.lake, 100))
    found = live(company, [KEYS[1]], count=100)
    assert of_all(found)[-1].state == "unknown"
    assert of_all(found)[-1].sentence.startswith("Unknown: 100 customers have a prediction and an outcome")
    assert set(told(company, found)) == {*before, UNJUDGED}


def test_a_snapshot_without_anything_served_is_unknown(company: Company) -> None:
    found = live(company, [KEYS[0]], is_scored=False)
    said = verdict(found, as_of_s=LATER_S, release=company.release)
    assert said.state == "unknown"
    assert said.sentence.startswith("Unknown: nothing was served for this snapshot")
    assert told(company, found) == []  # nothing was served: there is nothing to put right


def test_before_the_first_mature_snapshot_it_is_unknown(company: Company) -> None:
    assert snapshot_performances(company.lake, 12) == []
    assert verdict([], as_of_s=LATER_S).state == "unknown"


def test_labels_that_were_restated_since_are_unknown_until_they_are_judged(company: Company) -> None:
    live(company, KEYS[:2])
    company.month(KEYS[1], shift=0.3)
    now = published_now(company.files, KEYS[:2])
    found = of_all(snapshot_performances(company.lake, 2, labels=now))
    assert [one.state for one in found] == ["fine", "unknown"]
    assert "restated" in found[-1].sentence
    company.write(company.judged(KEYS[1]))
    assert [one.state for one in of_all(snapshot_performances(company.lake, 2, labels=now))] == ["fine", "fine"]


def test_a_detector_that_crashes_is_unknown_and_alerts(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    live(company, [KEYS[0]])

    def crash(*_: object) -> None:
        raise FloatingPointError("drawn")

    monkeypatch.setattr(verdicts, "detect", crash)
    found = snapshot_performances(company.lake, 1)
    assert {one.state for one in found} == {"unknown"}
    assert found[0].sentence == "Unknown: the detector of degradation failed (FloatingPointError: drawn)."
    assert told(company, found) == [UNJUDGED]
    assert open_alerts(company.engine)[0].alert.kind == "unknown"


def test_the_order_in_which_snapshots_are_judged_does_not_matter(
    company: Company, tmp_path: Path, database: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    expected = live(company, KEYS[:3])
    for key in reversed(KEYS[:3]):
        company.write(company.judged(key))
    assert snapshot_performances(company.lake, 100) == expected
    assert [one.snapshot for one in of_all(snapshot_performances(company.lake, 2))] == KEYS[1:3]


def test_the_page_begins_with_the_verdict_and_shows_the_gate_beside_what_it_came_to(company: Company) -> None:
    live(company, KEYS[:2])
    company.month(KEYS[2])  # scored, and not judged yet
    rows = read_history(company.lake)
    found = performances(rows)
    said = verdict(found, as_of_s=LATER_S, release=company.release)
    page = document(Page("small", "2026-05-04", said, found, rows, estimates(company.stores(), after=KEYS[1])))
    text = page.markdown()
    assert text.split("\n\n")[1].startswith("As promised: at a churn rate of")
    gate, came_to = company.candidate.manifest.metrics["auc"], whole(company.judged(KEYS[1])).measures["auc"].value
    [line] = [line for line in text.splitlines() if line.startswith("| AUC |")]
    assert f"{gate:.4f}" in line
    assert f"{came_to:.4f}" in line
    for heading in ("Risk bands", "Who was called", "Arms and segments", "Over time", "Before maturity"):
        assert f"## {heading}" in text
    assert "no concept drift" in text
    assert page.html().count("<svg") == 2
