"""What the service shows of monitoring: it follows the facts, says what is unknown, and never takes that for fine."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from churn_store.clock import DAY_S
from churn_store.monitoring.facts import FOLDER, publish_facts
from tests.api.conftest import Installation, Service, problem
from tests.api.monitoring_facts import facts, finding, move, performance, window
from tests.release_factory import NOW_S, SNAPSHOT_S, Candidate

TICKS = count(1)

ROUTES = ("metrics", "drift-detection", "performance-degradation", "report")


@pytest.fixture
def watched(tmp_path: Path, candidate: Candidate) -> Iterator[Service]:
    """A service whose graph has published nothing yet."""
    with Installation.make(tmp_path, poll_s=0.02, ship_s=0.05) as installed:
        installed.release(candidate)
        with installed.serve() as service:
            yield service


def digest(service: Service) -> str:
    return service.installation.bundle().digest


def publish(service: Service, **changed: Any) -> None:
    """Publish facts about the release that serves, and wait until the service has them."""
    made_s = NOW_S + next(TICKS)
    publish_facts(service.installation.files, facts(digest(service), **changed, as_of_s=made_s))
    made = datetime.fromtimestamp(made_s, UTC).isoformat().replace("+00:00", "Z")
    service.until(lambda: asked(service, "report")["as_of"] == made)


def asked(service: Service, route: str) -> dict[str, Any]:
    response = service.get(f"/monitoring/{route}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def state(service: Service) -> dict[str, str]:
    return {one["name"]: one["state"] for one in asked(service, "report")["verdicts"]}


@pytest.mark.parametrize("route", ROUTES)
def test_before_any_facts_the_state_is_unknown_and_never_fine(watched: Service, route: str) -> None:
    answer = asked(watched, route)
    assert (answer["state"], answer["as_of"]) == ("unknown", None)
    assert set(state(watched).values()) == {"unknown"}
    assert "materialize monitoring_facts" in str(asked(watched, "report")["verdicts"])


def test_without_a_release_and_without_a_store_the_state_is_unknown(installation: Installation) -> None:
    with installation.serve() as service:
        assert asked(service, "report")["state"] == "unknown"
        assert "monitoring facts" not in str(service.get("/health").json()["degraded"])


def test_the_answers_change_with_the_facts(watched: Service) -> None:
    publish(watched)
    report = asked(watched, "report")
    assert (report["state"], report["severity"], report["drifted"]) == ("attention", "warning", ["sessions_30d"])
    assert report["sentence"] == "drift needs attention"
    assert asked(watched, "drift-detection")["state"] == "attention"
    assert asked(watched, "performance-degradation")["state"] == "fine"
    assert asked(watched, "metrics")["drift"]["largest"] == 0.31
    assert asked(watched, "metrics")["performance"]["measures"]["auc"]["value"] == 0.71
    calm = window(digest(watched), state="fine", features=[move(drifted=False, psi=0.02)])
    publish(watched, states={"drift": "fine"}, drift=[calm])
    report = asked(watched, "report")
    assert (report["state"], report["severity"], report["drifted"]) == ("fine", "none", [])
    assert asked(watched, "metrics")["drift"]["largest"] == 0.02


def test_a_blocking_fault_of_the_data_is_critical_and_another_one_a_warning(watched: Service) -> None:
    for blocking, severity in ((True, "critical"), (False, "warning")):
        found = finding(period="2026-02-01", blocking=blocking)
        publish(watched, states={"drift": "fine" if blocking else "unknown", "quality": "attention"}, quality=[found])
        report = asked(watched, "report")
        assert {one["name"]: one["severity"] for one in report["verdicts"]}["quality"] == severity
        assert report["findings"][0]["sentence"] == found.sentence
        assert asked(watched, "metrics")["quality"] == {"period": "2026-02-01", "findings": 1, "blocking": int(blocking)}


def test_what_was_judged_of_another_release_says_nothing_of_the_one_that_serves(
    watched: Service, other_candidate: Candidate
) -> None:
    publish(watched)
    assert state(watched)["performance"] == "fine"
    former = digest(watched)
    watched.installation.release(other_candidate)
    watched.until(lambda: asked(watched, "report")["release"] == digest(watched))
    assert state(watched) == {
        "drift": "unknown", "served_drift": "unknown", "quality": "fine", "performance": "unknown", "skew": "unknown",
    }  # fmt: skip
    sentence = asked(watched, "drift-detection")["sentence"]
    assert sentence == f"what was judged is release {former[:12]}, and {digest(watched)[:12]} serves now"
    assert asked(watched, "metrics")["performance"] is None


def test_drift_of_an_older_snapshot_than_is_served_says_nothing_of_that_one(watched: Service) -> None:
    publish(watched, states={"drift": "fine"})
    assert state(watched)["drift"] == "fine"
    watched.installation.put_online(snapshot_s=SNAPSHOT_S + 28 * DAY_S)
    watched.until(lambda: state(watched)["drift"] == "unknown")
    said = "snapshot 2026-03-01 is served and was not compared yet; the last was 2026-02-01"
    assert asked(watched, "drift-detection")["sentence"] == said
    assert state(watched)["quality"] == "fine"


def test_windows_are_told_apart_by_segment_and_by_whether_they_were_served(watched: Service) -> None:
    own = digest(watched)
    kinds = [
        window(own, window="2026-01-01"),
        window(own),
        window(own, segment="plan=pro", rows=80),
        window(own, of="served", rows=20, state="fine"),
    ]
    publish(watched, drift=kinds, performance=[performance(own), performance(own, auc=0.6, segment="plan=pro")])
    found = asked(watched, "drift-detection")
    assert [(one["window"], one["rows"]) for one in found["windows"]] == [("2026-01-01", 500), ("2026-02-01", 500)]
    assert [one["feature"] for one in found["features"]] == ["sessions_30d", "days_since_ticket"]
    assert found["segments"] == ["plan=pro"]
    assert len(asked(watched, "drift-detection?windows=1")["windows"]) == 1
    assert asked(watched, "drift-detection?segment=plan=pro")["windows"][0]["rows"] == 80
    assert asked(watched, "drift-detection?of=served")["windows"][0]["rows"] == 20
    of_segment = asked(watched, "performance-degradation?segment=plan=pro")["snapshots"]
    assert [one["measures"]["auc"]["value"] for one in of_segment] == [0.6]


def test_the_change_of_performance_is_of_the_release_that_serves(watched: Service) -> None:
    own = digest(watched)
    entries = [
        performance("f" * 64, auc=0.9, snapshot="2025-09-01"),
        performance(own, auc=0.75, snapshot="2025-10-01"),
        performance(own, auc=0.5, snapshot="2025-11-01", state="unknown"),
        performance(own, auc=0.70),
    ]
    publish(watched, performance=entries)
    changes = {one["measure"]: one["change"] for one in asked(watched, "performance-degradation")["changes"]}
    assert changes == {"auc": pytest.approx(-0.05), "accuracy": 0.0}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/monitoring/drift-detection?segment=plan=gold", 404, "expected one of plan=pro"),
        ("/monitoring/performance-degradation?segment=plan=gold", 404, "no segment is monitored"),
        ("/monitoring/drift-detection?of=lake", 400, "the query parameter of does not fit"),
        ("/monitoring/drift-detection?windows=0", 400, "at least 1"),
        ("/monitoring/drift-detection?windows=61", 400, "at most 60"),
        ("/dashboard/metrics/timeline?days=0", 400, "at least 1"),
        ("/dashboard/metrics/timeline?days=91", 400, "at most 90"),
        ("/dashboard/metrics/timeline?days=ten", 400, "expected an integer"),
    ],
)
def test_a_wrong_question_is_answered_by_a_sentence_and_no_value_is_repeated(
    watched: Service, path: str, status: int, said: str
) -> None:
    publish(watched, drift=[window(digest(watched), segment="plan=pro")])
    detail = problem(watched.get(path), status)["detail"]
    assert said in detail
    assert "gold" not in detail


def test_torn_facts_are_unknown_with_the_reason_and_the_former_ones_stay_in_sight(watched: Service, tmp_path: Path) -> None:
    publish(watched, states={"drift": "fine"})
    assert asked(watched, "report")["state"] == "fine"
    pointer = Path(watched.installation.config.releases_url) / FOLDER / "current.json"
    whole = pointer.read_bytes()
    for torn in (whole[:20], b'{"digest": "", "size": 1, "version": 2}'):
        pointer.write_bytes(torn)
        watched.until(lambda: asked(watched, "report")["state"] == "unknown")
        report = asked(watched, "report")
        assert "can't be read: their pointer is torn" in report["notice"]
        assert report["notice"] == report["verdicts"][0]["sentence"]
        assert report["performance"]["measures"]["auc"]["value"] == 0.71
        assert report["as_of"] is not None
        assert "monitoring facts can't be read" in str(watched.get("/health").json()["degraded"])
        assert "drift_detected" not in watched.get("/metrics").text
        pointer.write_bytes(whole)
        watched.until(lambda: asked(watched, "report")["state"] == "fine")


def test_facts_of_another_version_are_not_read_wrong(watched: Service) -> None:
    folder = watched.installation.files.below(FOLDER)
    content = b'{"verdicts": "of version 9"}'
    folder.point(b'{"digest": "%s", "size": %d}' % (folder.put(content).encode(), len(content)))
    watched.until(lambda: asked(watched, "report")["notice"])
    assert "their file is another version's" in asked(watched, "report")["notice"]


def test_while_the_store_is_away_the_facts_read_last_count_and_the_answer_says_so(watched: Service) -> None:
    publish(watched)
    root = Path(watched.installation.config.releases_url)
    root.rename(root.with_name("away"))
    watched.until(lambda: asked(watched, "report")["notice"])
    report = asked(watched, "report")
    assert "holds no release files" in report["notice"]
    assert state(watched)["drift"] == "attention"
    root.with_name("away").rename(root)
    watched.until(lambda: asked(watched, "report")["notice"] is None)


@pytest.mark.parametrize("route", [*(f"/monitoring/{name}" for name in ROUTES), "/dashboard/metrics/timeline"])
def test_a_key_with_the_scope_read_is_needed(watched: Service, route: str) -> None:
    watched.installation.make_key("predict", "predict")
    watched.until(lambda: watched.get("/model/info", key="predict").status_code == 403)
    assert watched.get(route, key=None).status_code == 401
    assert watched.get(route, key="predict").status_code == 403


def test_metrics_are_absent_while_unknown_and_follow_the_facts(watched: Service) -> None:
    told = watched.get("/metrics").text
    for name in ("drift_detected", "feature_drift_statistic", "feature_mean", "model_accuracy", "churn_performance"):
        assert name not in told
    assert watched.metric("churn_monitoring_state", verdict="drift", state="unknown") == 1
    publish(watched)
    for prefix in ("", "churn_"):
        assert watched.metric(f"{prefix}drift_detected") == 1
        assert watched.metric(f"{prefix}feature_drift_statistic", feature="sessions_30d") == 0.31
        assert watched.metric(f"{prefix}feature_mean", feature="sessions_30d") == 41.5
        assert watched.metric(f"{prefix}model_accuracy") == 0.88
    assert watched.metric("churn_performance", measure="auc") == 0.71
    assert watched.metric("churn_monitoring_state", verdict="drift", state="attention") == 1
    publish(watched, states={"drift": "fine", "performance": "unknown"})
    told = watched.get("/metrics").text
    assert watched.metric("drift_detected") == 0
    assert "\ndrift_detected 0.0" in told
    assert "model_accuracy" not in told


def test_metrics_of_facts_have_as_many_series_as_the_release_has_features(watched: Service) -> None:
    publish(watched, drift=[window(digest(watched), window=f"2026-01-{day:02}") for day in range(1, 29)])
    told = watched.get("/metrics").text
    assert sum(line.startswith("feature_drift_statistic{") for line in told.splitlines()) == 2


def test_a_feature_that_is_only_shown_has_no_statistic_that_an_alert_could_take(watched: Service) -> None:
    moves = [move(), move("days_from_april", judged=False, psi=9.0)]
    publish(watched, drift=[window(digest(watched), features=moves)])
    assert watched.metric("feature_drift_statistic") == 0.31
    assert watched.metric("feature_mean", feature="days_from_april") == 41.5


def test_a_baseline_is_pinned_by_name_and_audited(watched: Service, other_candidate: Candidate) -> None:
    installed = watched.installation
    installed.make_key("release", "release")
    installed.make_key("admin", "admin")
    first = digest(watched)
    installed.release(other_candidate)
    second = digest(watched)
    watched.until(lambda: watched.get("/admin/audit", key="admin").status_code == 200)
    own = watched.get("/monitoring/baseline").json()
    assert (own["counts"]["baseline"], own["counts"]["is_own"], own["pins"]) == (second, True, [])

    def put(key: str, **body: Any) -> Any:
        return watched.client.put("/monitoring/baseline", json=body, headers=watched.key_header(key))

    assert put("both", baseline=first, reason="a season before").status_code == 403
    pinned = put("release", baseline=first[:12], reason="a season before").json()
    assert (pinned["baseline"], pinned["actor"], pinned["is_own"]) == (first, "release", False)
    assert watched.get("/monitoring/baseline").json()["counts"] == pinned
    assert problem(put("release", baseline="feedfeed", reason="no such"), 409)["detail"].startswith("Nothing was changed")
    assert problem(put("release", baseline=None, reason="back", read_epoch=1), 409)["newest"]["epoch"] == 2
    assert put("release", baseline=None, reason="back").json()["is_own"] is True
    assert problem(put("release", baseline=None, reason="back"), 409)["detail"].endswith("counts already")
    watched.until(lambda: _audited(watched) == {200, 403, 409})


def _audited(watched: Service) -> set[int]:
    rows = watched.get("/admin/audit", key="admin").json()["rows"]
    return {row["status"] for row in rows if row["route"] == "/monitoring/baseline"}


def test_before_the_first_release_there_is_no_baseline(installation: Installation) -> None:
    with installation.serve() as service:
        problem(service.get("/monitoring/baseline"), 404)


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's package prometheus")
def test_promtool_finds_nothing_to_say_of_the_facts(watched: Service) -> None:
    publish(watched)
    told = watched.get("/metrics").text
    assert "\nchurn_drift_detected" in told
    checked = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_faults_of_the_data_are_counted_while_they_are_known(watched: Service) -> None:
    found = [finding(), finding(period="2026-02-01", blocking=False), finding(period="2025-12-01", blocking=False)]
    publish(watched, states={"quality": "attention"}, quality=found)
    assert watched.metric("churn_quality_findings", blocking="true") == 1
    assert watched.metric("churn_quality_findings", blocking="false") == 1
    publish(watched, states={"quality": "unknown"}, quality=found)
    assert "churn_quality_findings" not in watched.get("/metrics").text
