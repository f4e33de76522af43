"""Health and metrics: what the service says of itself in each state."""

from pathlib import Path

import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from churn_api.monitoring.health import DetailedHealth
from churn_store.alerts.log import Alert, close_alerts, raise_alerts
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, SNAPSHOT_S, Candidate, train


def health(service: Service) -> tuple[DetailedHealth, int, int]:
    """What ``/health/detailed`` says, and the statuses of ``/health`` and ``/health/ready``, which say its words without a key."""
    told, ready = service.get("/health", key=None), service.get("/health/ready", key=None)
    found = msgspec.json.decode(service.get("/health/detailed").content, type=DetailedHealth)
    words = {"status": found.status, "not_ready": found.not_ready, "degraded": found.degraded}
    assert told.json() == ready.json() == words
    assert service.get("/health/live", key=None).json() == {"status": "live"}
    assert told.headers["content-type"] == ready.headers["content-type"] == "application/json"
    return found, told.status_code, ready.status_code


def test_a_service_that_can_answer_everything_is_ready(fresh: Service) -> None:
    found, told, ready = health(fresh)
    assert (found.status, told, ready) == ("ready", 200, 200)
    assert (found.not_ready, found.degraded) == ([], [])
    assert (found.release.serving, found.release.epoch) == (fresh.installation.bundle().digest, 1)
    assert (found.release.from_cache, found.release.refused, found.release.reason) == (False, None, None)
    assert (found.online_features.snapshot, found.online_features.customers) == ("2026-02-01", 50)
    assert found.online_features.feature_age_s == NOW_S - SNAPSHOT_S
    assert found.online_features.missing_columns == ()
    assert found.spool.dropping is None


def test_an_empty_installation_is_live_but_not_ready_and_says_why(installation: Installation) -> None:
    with installation.serve() as service:
        found, told, ready = health(service)
    assert (found.status, told, ready) == ("not ready", 200, 503)
    assert found.not_ready == ["no release serves yet", "there are no online features yet"]
    assert (found.release.serving, found.online_features.snapshot) == (None, None)


def test_online_features_of_another_model_are_not_ready(installation: Installation, candidate: Candidate) -> None:
    installation.release(candidate)
    installation.put_online(leave_out=("plan",))
    with installation.serve() as service:
        found, told, ready = health(service)
    assert (found.status, told, ready) == ("not ready", 200, 503)
    assert found.not_ready == ["the online features lack columns that the release takes"]
    assert found.online_features.missing_columns == ("plan",)


def test_broken_data_degrades_the_service_and_is_told_beside_the_snapshot_that_stands(fresh: Service) -> None:
    broken = Alert("quality/events/2026-02-01/vanished", "quality", "critical", "events 2026-02-01: no row has ...")
    raise_alerts(fresh.installation.engine, [broken, Alert("drift/1", "drift", "warning", "moved")], now_s=NOW_S)
    fresh.until(lambda: fresh.get("/health").json()["status"] == "degraded")
    found, told, ready = health(fresh)
    assert (told, ready) == (200, 200)
    assert found.degraded == [
        "the data of 1 period is broken or late, so that newer online features wait; /health/detailed says what was found"
    ]
    assert (found.blocked_data, found.online_features.snapshot) == ([broken.sentence], "2026-02-01")
    close_alerts(fresh.installation.engine, [broken.cause], because="corrected", now_s=NOW_S)
    fresh.until(lambda: fresh.get("/health").json()["status"] == "ready")
    assert health(fresh)[0].blocked_data == []


def test_a_newer_release_that_is_bad_is_refused_with_its_reason_and_the_old_one_serves(
    fresh: Service, other_candidate: Candidate
) -> None:
    good = fresh.installation.bundle().digest
    with fresh.installation.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO releases (epoch, champion, actor, reason, published_s) VALUES (2, ?, 'x', 'x', 0)", ("f" * 64,)
        )
    fresh.until(lambda: fresh.get("/health").json()["status"] == "degraded")
    found, told, ready = health(fresh)
    assert (told, ready, found.release.serving) == (200, 200, good)
    assert (found.release.refused, found.release.reason) == ("f" * 64, "release")
    assert found.degraded == ["the newest release is not taken: release"]
    assert fresh.get("/predict/c1").json()["model"]["epoch"] == 1
    assert fresh.metric("churn_model_load_failures_total", reason="release") == 1
    version = fresh.get("/model/version").json()
    assert version["not_taken"]["release"] == "f" * 64
    assert "missing" in version["not_taken"]["detail"]
    listed = fresh.get("/models").json()["releases"]
    assert [(row["epoch"], row["serves"]) for row in listed] == [(2, False), (1, True)]
    fresh.installation.release(other_candidate)
    fresh.until(lambda: fresh.get("/health").json()["status"] == "ready")
    assert fresh.metric("churn_model_load_failures_total", reason="release") == 1


@pytest.mark.parametrize("wrong", ["golden", "model"])
def test_a_first_release_that_was_changed_on_disk_never_serves(
    installation: Installation, candidate: Candidate, wrong: str
) -> None:
    row = installation.release(candidate)
    name = {"golden": "golden.json", "model": "model.onnx"}[wrong]
    digest = installation.manifest().files[name].sha256
    file = Path(installation.config.releases_url) / "sha256" / digest[:2] / digest
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    installation.put_online()
    with installation.serve() as service:
        found, _, ready = health(service)
        assert (found.status, ready, found.release.refused) == ("not ready", 503, row.champion)
        problem(service.get("/predict/c1"), 503)


def test_predictions_that_are_not_logged_make_it_degraded_but_ready(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, spool_limit_bytes=1) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            service.get("/predict/c1")
            found, told, ready = health(service)
    assert (found.status, told, ready) == ("degraded", 200, 200)
    assert found.degraded == ["predictions are answered but not logged: full"]
    assert found.spool.dropping == "full"


DETAILS = ["/health/detailed", "/metrics"]


@pytest.mark.parametrize("path", DETAILS)
def test_details_need_a_key_with_the_scope_read(fresh: Service, path: str) -> None:
    fresh.installation.make_key("predicts", "predict")
    fresh.until(lambda: fresh.get(path, key="predicts").status_code == 403)
    problem(fresh.get(path, key=None), 401)
    assert fresh.get(path).status_code == 200


def test_prometheus_is_answered_as_its_configuration_in_deploy_asks(fresh: Service) -> None:
    file = Path(__file__).resolve().parents[2] / "deploy" / "prometheus.yml"
    (job,) = yaml.safe_load(file.read_text(encoding="utf-8"))["scrape_configs"]
    key = fresh.installation.make_key("prometheus", "read").key
    sent = {"Authorization": f"{job['authorization']['type']} {key}", "Host": job["static_configs"][0]["targets"][0]}
    fresh.until(lambda: fresh.get("/metrics", key=None, headers=sent).status_code == 200)
    assert "churn_requests_total" in fresh.get("/metrics", key=None, headers=sent).text


@pytest.mark.parametrize("path", DETAILS)
def test_details_are_open_where_the_operator_opens_them(tmp_path: Path, path: str) -> None:
    with Installation.make(tmp_path, open_metrics=True) as installed, installed.serve() as service:
        assert service.get(path, key=None).status_code == 200
        problem(service.get("/models", key=None), 401)


def test_without_a_key_nothing_is_told_of_customers_columns_or_releases(
    installation: Installation, candidate: Candidate
) -> None:
    installation.release(candidate)
    installation.put_online(leave_out=("plan",))
    with installation.serve() as service:
        service.post("/predict", {"attributes": {**ONLINE_ROWS[0], "plan": "a word that training never saw"}})
        private = {
            "a column": "plan",
            "the release": installation.bundle().digest[:8],
            "the number of customers": '"customers"',
            "predictions": "churn_predictions",
        }
        told = "".join(service.get("/metrics").text + service.get("/health/detailed").text)
        assert [what for what, text in private.items() if text not in told] == []
        for path in ("/health", "/health/ready", "/health/live", "/health/detailed", "/metrics", "/nothing"):
            public = service.get(path, key=None)
            assert [what for what, text in private.items() if text in public.text + str(public.headers)] == []


def test_requests_are_counted_and_timed_by_the_routes_template(service: Service) -> None:
    asked = [
        ("/predict/{customer_id}", "GET", "200", lambda: service.get("/predict/c1")),
        ("/predict/{customer_id}", "GET", "404", lambda: service.get("/predict/nobody")),
        ("/predict", "POST", "200", lambda: service.post("/predict", {"attributes": ONLINE_ROWS[0]})),
        ("/predict", "POST", "400", lambda: service.post("/predict", {})),
        ("/predict", "POST", "401", lambda: service.post("/predict", {}, key=None)),
        ("/predict/batch", "POST", "200", lambda: service.post("/predict/batch", {"customer_ids": ["c1"]})),
        ("/models", "GET", "200", lambda: service.get("/models")),
        ("/health/ready", "GET", "200", lambda: service.get("/health/ready")),
    ]
    for route, method, status, ask in asked:
        labels = {"route": route, "method": method}
        counted = service.metric("churn_requests_total", status=status, **labels)
        timed = service.metric("churn_request_seconds_count", **labels)
        seconds = service.metric("churn_request_seconds_sum", **labels)
        ask()
        assert service.metric("churn_requests_total", status=status, **labels) == counted + 1
        assert service.metric("churn_request_seconds_count", **labels) == timed + 1
        assert service.metric("churn_request_seconds_sum", **labels) > seconds
    before = service.metric("churn_requests_total", route="unmatched", status="404")
    service.get("/nothing/of/the/kind")
    assert service.metric("churn_requests_total", route="unmatched", status="404") == before + 1


def test_every_label_is_one_of_a_few_words(service: Service) -> None:
    for i in range(30):
        service.get(f"/predict/somebody-{i}")
        service.raw("GET", b"/somewhere/%d" % i)
        service.raw(f"METHOD{i}", b"/predict")
    allowed = {
        "route": {*(route.path_format for route in service.app.routes), "unmatched"},
        "method": {"GET", "POST", ""},
        "release": {service.installation.bundle().digest[:12]},
    }
    for family in text_string_to_metric_families(service.get("/metrics").text):
        for sample in family.samples:
            for name, words in allowed.items():
                assert sample.labels.get(name) in {None, *words}


def test_predictions_are_counted_by_release_and_decision(service: Service) -> None:
    release = service.installation.bundle().digest[:12]

    def counted() -> list[float]:
        return [
            service.metric("churn_predictions_total", release=release, role="champion", churn=churn)
            for churn in ("false", "true")
        ]

    before = counted()
    ids = [f"c{i}" for i in range(20)]
    decisions = [one["churn"] for one in service.post("/predict/batch", {"customer_ids": ids}).json()["predictions"]]
    decisions += [service.get(f"/predict/{one}").json()["churn"] for one in ids]
    assert counted() == [before[0] + decisions.count(False), before[1] + decisions.count(True)]


def test_the_metrics_are_text_for_prometheus_with_ages_and_the_epoch(fresh: Service) -> None:
    response = fresh.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert fresh.metric("churn_release_epoch", release=fresh.installation.bundle().digest[:12]) == 1
    for what in ("online features", "releases", "keys", "prediction log"):
        assert f'churn_poll_age_seconds{{what="{what}"}}' in response.text
        assert fresh.metric("churn_poll_age_seconds", what=what) < 60


def test_a_replaced_release_is_no_longer_shown_as_serving(fresh: Service) -> None:
    first = fresh.installation.bundle().digest[:12]
    fresh.installation.release(train(seed=5))
    fresh.until(lambda: fresh.metric("churn_release_epoch") == 2)
    assert f'churn_release_epoch{{release="{first}"}}' not in fresh.get("/metrics").text
