"""What every answer carries: band, arm, missing features; and what a caller may ask for beside the prediction."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from churn_api.settings import ServiceConfig
from churn_store.errors import InputError
from churn_store.releases.risk_bands import bands_of
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import SNAPSHOT_S, Candidate, small_columns, train

BY_ID, BY_ATTRIBUTES = "/predict/c1", "/predict"


def test_every_answer_has_the_band_of_its_probability_also_the_challenger_s(
    installation: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    installation.release(candidate)
    installation.put_online()
    lower = msgspec.structs.replace(other_candidate.manifest, threshold=0.2)
    installation.challenge(Candidate(lower, other_candidate.contents, other_candidate.pipeline), 0.5)
    ids = [f"c{i}" for i in range(CUSTOMERS)]
    with installation.serve() as service:
        service.until(lambda: service.get("/model/version").json()["challenger"])
        answers = [service.get(f"/predict/{one}").json() for one in ids]
        batch = service.post("/predict/batch", {"customer_ids": ids}).json()["predictions"]
    bands = {"champion": bands_of(candidate.manifest), "challenger": bands_of(lower)}
    assert {one["model"]["role"] for one in answers} == set(bands)
    for one, in_batch in zip(answers, batch, strict=True):
        assert one["risk_band"] == bands[one["model"]["role"]].of(one["probability"]) == in_batch["risk_band"]
        assert (one["risk_band"] in {"high", "critical"}) == one["churn"]
    assert len({one["risk_band"] for one in answers}) > 1


def test_bands_of_churn_yaml_take_effect(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, risk_bands={"calm": 0, "watch": 0.4, "call": 0.6}) as made:
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            answers = [service.get(f"/predict/c{i}").json() for i in range(CUSTOMERS)]
    for one in answers:
        expected = "calm" if one["probability"] < 0.4 else "watch" if one["probability"] < 0.6 else "call"
        assert one["risk_band"] == expected
    assert {one["risk_band"] for one in answers} == {"calm", "watch", "call"}


@pytest.mark.parametrize("bands", [{}, {"low": 0.1}, {"low": 0, "high": 0}, {"low": 0, "high": 1.1}, {"Very High": 0}])
def test_bands_that_leave_a_probability_without_a_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: dict[str, float]
) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(yaml.safe_dump({"service": {"risk_bands": bands}}, sort_keys=False))
    monkeypatch.setenv("CHURN_CONFIG", str(file))
    with pytest.raises(InputError, match=r"service\.risk_bands"):
        ServiceConfig.load()


def test_the_features_are_shown_where_they_are_asked_for(service: Service) -> None:
    record = {"attributes": ONLINE_ROWS[1]}
    for answer in (service.get(f"{BY_ID}?features=true"), service.post(f"{BY_ATTRIBUTES}?features=true", record)):
        assert answer.json()["features"] == ONLINE_ROWS[1]
    for answer in (service.get(BY_ID), service.get(f"{BY_ID}?features=false"), service.post(BY_ATTRIBUTES, record)):
        assert answer.json()["features"] is None
    for body in ({"customer_ids": ["c1", "nobody"]}, {"records": [record]}):
        items = service.post("/predict/batch?features=true", body).json()["predictions"]
        assert items[0]["features"] == ONLINE_ROWS[1]
        assert all("features" not in one for one in service.post("/predict/batch", body).json()["predictions"])


@pytest.mark.parametrize(
    "query", ["features=1", "features=", "features", "feature=true", "features=true&features=true", "a%00"]
)
def test_another_parameter_or_value_is_refused_without_it(service: Service, query: str) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("GET", BY_ID, None), ("POST", BY_ATTRIBUTES, {"attributes": ONLINE_ROWS[0]}),
        ("POST", "/predict/batch", {"customer_ids": ["c1"]}),
    ]  # fmt: skip
    for method, path, body in asked:
        response = service.client.request(
            method, httpx.URL(path, query=query.encode()), json=body, headers=service.key_header("both")
        )
        assert problem(response, 400)["type"] == "urn:churn:problem:malformed-request"
    assert problem(service.post("/predict?use_cache=false", {"attributes": ONLINE_ROWS[0]}), 400)


def test_use_cache_false_looks_for_the_newest_snapshot_first(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, poll_s=60) as made:
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            made.put_online(seed=8, snapshot_s=SNAPSHOT_S + 86_400)
            assert service.get(BY_ID).json()["snapshot"] == "2026-02-01T00:00:00Z"
            assert service.get(f"{BY_ID}?use_cache=false").json()["snapshot"] == "2026-02-02T00:00:00Z"
            made.put_online(seed=9, snapshot_s=SNAPSHOT_S + 2 * 86_400)
            batch = service.post("/predict/batch?use_cache=false", {"customer_ids": ["c1"]}).json()
            assert batch["snapshot"] == "2026-02-03T00:00:00Z"
            pointer = Path(made.config.online_url) / "current.json"
            pointer.write_bytes(b"{")
            assert problem(service.get(f"{BY_ID}?use_cache=false"), 503)["type"] == "urn:churn:problem:online-features-away"
            assert service.get(BY_ID).status_code == 200


def test_a_missing_feature_is_named_where_the_model_was_trained_to_do_without_it(service: Service) -> None:
    row = {**ONLINE_ROWS[0], "days_since_ticket": None}
    assert service.post("/predict", {"attributes": row}).json()["missing"] == ["days_since_ticket"]
    given = {**row, "days_since_ticket": 3}
    assert service.post("/predict", {"attributes": given}).json()["missing"] == []
    items = service.post("/predict/batch", {"records": [{"attributes": row}, {"attributes": given}]}).json()["predictions"]
    assert [one["missing"] for one in items] == [["days_since_ticket"], []]


def test_a_missing_feature_that_the_model_needs_is_no_prediction(installation: Installation) -> None:
    nullable = tuple(msgspec.structs.replace(column, nullable=True) for column in small_columns())
    installation.release(train())
    installation.put_online(columns=nullable)
    with installation.serve() as service:
        before = len(installation.spooled())
        batch = service.post("/predict/batch", {"customer_ids": [f"c{i}" for i in range(CUSTOMERS)]}).json()
        refused = [one for one in batch["predictions"] if "error" in one]
        assert 0 < len(refused) < CUSTOMERS
        for one in refused:
            assert (one["error"]["status"], one["error"]["type"]) == (422, "urn:churn:problem:missing-feature")
            alone = problem(service.get(f"/predict/{one['customer_id']}"), 422)
            assert alone["errors"] == one["error"]["errors"]
            assert "days_since_ticket" not in [place["path"] for place in alone["errors"]]
        assert len(installation.spooled()) == before + CUSTOMERS - len(refused)


def test_the_log_holds_what_was_answered(fresh: Service) -> None:
    answered = fresh.get(f"{BY_ID}?features=true").json()
    (line,) = fresh.installation.spooled()
    assert line["features"] == answered["features"]
    assert (line["request_id"], line["role"]) == (answered["prediction_id"], answered["model"]["role"])
