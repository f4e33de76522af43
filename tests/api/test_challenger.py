"""A challenger answers its share of the customers, always the same ones, and is never in the champion's way."""

import itertools
from pathlib import Path

import msgspec
import pytest

from churn_api.releases.responses import ModelVersion
from churn_store.model.signature import Column
from churn_store.releases.challenge import end_challenge
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, Candidate, expected_probability, small_columns, train

pytestmark = pytest.mark.integration

IDS = [f"c{i}" for i in range(CUSTOMERS)]


def answered_by(service: Service, ids: list[str] = IDS) -> dict[str, str]:
    """The role that answers each customer."""
    return {one: service.get(f"/predict/{one}").json()["model"]["role"] for one in ids}


@pytest.fixture
def challenged(installation: Installation, candidate: Candidate, other_candidate: Candidate) -> Installation:
    """A champion and a challenger with 40 %."""
    installation.release(candidate)
    installation.challenge(other_candidate, 0.4)
    installation.put_online()
    return installation


def test_every_route_asks_a_customer_of_the_same_release_which_the_answer_the_log_and_the_metrics_name(
    challenged: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    with challenged.serve() as service:
        version = service.get("/model/version").json()
        digests = {"champion": version["release"], "challenger": version["challenger"]["release"]}
        models = {"champion": candidate, "challenger": other_candidate}
        roles = answered_by(service)
        counted = service.metric("churn_predictions_total", role="challenger")
        assert (
            counted
            == list(roles.values()).count("challenger")
            == service.metric("churn_predictions_total", role="challenger", release=digests["challenger"][:12])
        )
        assert set(roles.values()) == set(models)
        batch = service.post("/predict/batch", {"customer_ids": IDS}).json()
        records = [{"customer_id": one, "attributes": row} for one, row in zip(IDS, ONLINE_ROWS, strict=True)]
        by_attributes = service.post("/predict/batch", {"records": records}).json()
        for one, row, record, by_id, other in zip(
            IDS, ONLINE_ROWS, records, batch["predictions"], by_attributes["predictions"], strict=True
        ):
            expected = expected_probability(models[roles[one]], row)
            for response in (service.get(f"/predict/{one}"), service.post("/predict", record)):
                told = response.json()
                assert told["probability"] == pytest.approx(expected, abs=1e-6)
                assert told["model"] == {
                    "release": digests[roles[one]], "epoch": 2, "family": "logistic_regression", "role": roles[one],
                }  # fmt: skip
                assert response.headers["x-release"] == digests[roles[one]]
            for item in (by_id, other):
                assert item["probability"] == pytest.approx(expected, abs=1e-6)
                assert item.get("model", batch["model"])["release"] == digests[roles[one]]
        assert batch["model"]["release"] == digests["champion"]
        for line in challenged.spooled():
            assert (line["role"], line["release"], line["epoch"]) == (
                roles[line["customer_id"]], digests[roles[line["customer_id"]]], 2,
            )  # fmt: skip
        batch_lines = [line for line in challenged.spooled() if line["request_id"] == batch["prediction_id"]]
        assert [line["customer_id"] for line in batch_lines] == IDS


def test_each_item_is_decided_at_the_threshold_of_the_release_that_answers_it(
    installation: Installation, candidate: Candidate
) -> None:
    installation.release(candidate)
    installation.challenge(train(seed=5, threshold=0.0), 0.5)
    installation.put_online()
    with installation.serve() as service:
        batch = service.post("/predict/batch", {"customer_ids": IDS}).json()
    challengers = [item for item in batch["predictions"] if "model" in item]
    assert 0 < len(challengers) < len(IDS)
    assert all(item["churn"] and item["threshold"] == 0.0 for item in challengers)
    for item in batch["predictions"]:
        if "model" not in item:
            assert item["churn"] == (item["probability"] >= batch["threshold"] == 0.5)


def test_a_request_without_a_customer_goes_to_the_champion(challenged: Installation) -> None:
    record = {"attributes": ONLINE_ROWS[0]}
    with challenged.serve() as service:
        champion = service.get("/model/version").json()["release"]
        for body in (record, {**record, "customer_id": None}):
            assert {service.post("/predict", body).json()["model"]["release"] for _ in range(20)} == {champion}
        batch = service.post("/predict/batch", {"records": [record] * 50}).json()
        assert not [item for item in batch["predictions"] if "model" in item]


def test_a_customer_stays_with_its_release_over_restarts_workers_and_a_larger_share(
    challenged: Installation, other_candidate: Candidate
) -> None:
    with challenged.serve() as one, challenged.serve() as another:
        first = answered_by(one)
        assert answered_by(another) == first
    with challenged.serve() as again:
        assert answered_by(again) == first
        challenged.challenge(other_candidate, 0.5)
        again.until(lambda: again.get("/model/version").json()["epoch"] == 3)
        larger = answered_by(again)
    before = {one for one, role in first.items() if role == "challenger"}
    assert before < {one for one, role in larger.items() if role == "challenger"}


def test_the_share_is_kept_and_another_challenger_gets_other_customers(
    challenged: Installation, other_candidate: Candidate
) -> None:
    records = [{"customer_id": f"customer {i}", "attributes": ONLINE_ROWS[0]} for i in range(2_000)]

    def challengers(service: Service) -> set[int]:
        told = service.post("/predict/batch", {"records": records}).json()["predictions"]
        return {i for i, item in enumerate(told) if "model" in item}

    with challenged.serve() as service:
        first = challengers(service)
        assert 0.36 < len(first) / len(records) < 0.44
        challenged.challenge(train(seed=9), 0.4)
        service.until(lambda: service.get("/model/version").json()["epoch"] == 3)
        second = challengers(service)
    assert 0.12 < len(first & second) / len(records) < 0.20  # 0.4 times 0.4: the two choices know nothing of each other


def test_the_version_and_the_metrics_show_the_challenger_and_its_end(challenged: Installation) -> None:
    with challenged.serve() as service:
        version = msgspec.json.decode(service.get("/model/version").content, type=ModelVersion)
        assert version.challenger is not None
        assert (version.challenger.share, version.challenger.family) == (0.4, "logistic_regression")
        assert (version.challenger.blessing, version.challenger_not_taken, version.kind) == ("accepted", None, "challenged")
        short = version.challenger.release[:12]
        assert service.metric("churn_challenger_share", release=short) == 0.4
        assert service.metric("churn_release_epoch", release=version.release[:12]) == 2
        assert (health := service.get("/health/detailed").json())["status"] == "ready"
        assert (health["release"]["challenger"], health["release"]["challenger_share"]) == (version.challenger.release, 0.4)
        listed = service.get("/models").json()["releases"]
        assert [(row["kind"], row["challenger"], row["challenger_share"], row["former"]) for row in listed] == [
            ("challenged", version.challenger.release, 0.4, version.release), ("released", None, 0.0, None),
        ]  # fmt: skip
        end_challenge(challenged.engine, challenged.files, by="Ada", reason="enough", now_s=NOW_S)
        service.until(lambda: service.get("/model/version").json()["challenger"] is None)
        assert "churn_challenger_share{" not in service.get("/metrics").text
        assert set(answered_by(service).values()) == {"champion"}


OTHER_COLUMNS = {
    "a column more": (*small_columns(), Column(name="more", kind="number")),
    "another bound": (msgspec.structs.replace(small_columns()[0], high=50), *small_columns()[1:]),
}


@pytest.mark.parametrize("wrong", ["missing", "changed", "share", "horizon", "no digest", *OTHER_COLUMNS])
def test_a_challenger_that_cannot_serve_leaves_the_champion_alone_and_is_shown_with_its_reason(
    installation: Installation, candidate: Candidate, other_candidate: Candidate, wrong: str
) -> None:
    share, said = 0.4, ""
    other = other_candidate
    if wrong in OTHER_COLUMNS:
        other, said = train(OTHER_COLUMNS[wrong]), "takes other columns than the champion"
    elif wrong == "horizon":
        other, said = train(horizon_days=60), "horizon is 60 days"
    challenger = installation.release(other).champion
    champion = installation.release(candidate).champion
    installation.put_online()
    if wrong == "missing":
        challenger, said = "f" * 64, "missing"
    elif wrong == "no digest":
        challenger, said = "../../../etc/passwd", "is not a sha256 digest"
    elif wrong == "share":
        share, said = 1.5, "share is 1.5"
    elif wrong == "changed":
        file = Path(installation.files.url) / "sha256" / challenger[:2] / challenger
        file.write_bytes(file.read_bytes()[:-1])
        said = "was changed"
    installation.name(champion, challenger, share)
    with installation.serve() as service:
        version = service.get("/model/version").json()
        assert (version["release"], version["epoch"], version["challenger"]) == (champion, 3, None)
        assert version["challenger_not_taken"]["release"] == challenger
        assert version["challenger_not_taken"]["reason"] == "release"
        assert said in version["challenger_not_taken"]["detail"]
        assert version["not_taken"] is None
        health = service.get("/health/detailed").json()
        assert (health["status"], health["degraded"]) == ("degraded", ["the challenger is not taken: release"])
        assert (health["release"]["challenger_refused"], health["release"]["challenger_reason"]) == (challenger, "release")
        assert set(answered_by(service, IDS[:10]).values()) == {"champion"}
        polled = service.metric("churn_requests_total")
        service.until(lambda: service.metric("churn_requests_total") > polled + 5)
        assert service.metric("churn_model_load_failures_total", role="challenger") == 1  # not tried again
        assert service.metric("churn_model_load_failures_total", role="champion") == 0
        installation.release(candidate)
        service.until(lambda: service.get("/health").json()["status"] == "ready")
        assert service.get("/model/version").json()["challenger_not_taken"] is None


def test_a_champion_that_cannot_serve_brings_no_challenger_either(challenged: Installation) -> None:
    with challenged.serve() as service:
        before = service.get("/model/version").json()
        challenged.name("f" * 64, before["challenger"]["release"], 0.1)
        service.until(lambda: service.get("/health").json()["status"] == "degraded")
        now = service.get("/model/version").json()
        assert (now["release"], now["epoch"], now["challenger"]["share"]) == (before["release"], 2, 0.4)


def test_while_the_store_is_away_a_restart_serves_both_from_local_disk(challenged: Installation) -> None:
    with challenged.serve() as service:
        before = answered_by(service)
    root = Path(challenged.config.releases_url)
    root.rename(root.with_name("elsewhere"))
    with challenged.serve() as service:
        version = service.get("/model/version").json()
        assert version["from_cache"]
        assert version["challenger"]["share"] == 0.4
        assert answered_by(service) == before


def test_a_challenger_whose_files_cannot_be_read_now_is_taken_once_they_can(
    challenged: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_api.releases.poller.CHALLENGER_AGAIN_S", 0.1)
    with challenged.engine.connect() as connection:
        digest = connection.exec_driver_sql("SELECT challenger FROM releases WHERE epoch = 2").scalar()
    file = Path(challenged.files.url) / "sha256" / digest[:2] / digest
    content = file.read_bytes()
    file.unlink()
    file.parent.joinpath("kept").write_bytes(content)
    file.parent.rename(file.parent.with_name("away"))
    file.parent.write_bytes(b"a file where the folder was: NotADirectoryError")
    with challenged.serve() as service:
        version = service.get("/model/version").json()
        assert version["challenger"] is None
        assert version["challenger_not_taken"]["reason"] == "store"
        assert set(answered_by(service).values()) == {"champion"}
        file.parent.unlink()
        file.parent.with_name("away").rename(file.parent)
        file.parent.joinpath("kept").rename(file)
        service.until(lambda: service.get("/model/version").json()["challenger"] is not None)
        assert set(answered_by(service).values()) == {"champion", "challenger"}
        assert service.get("/health").json()["status"] == "ready"


def test_a_challenger_that_becomes_champion_answers_everybody(challenged: Installation) -> None:
    with challenged.serve() as service:
        challenger = service.get("/model/version").json()["challenger"]["release"]
        challenged.name(challenger)
        service.until(lambda: service.get("/model/version").json()["epoch"] == 3)
        told = [service.get(f"/predict/{one}").json()["model"] for one in IDS]
    assert {(model["release"], model["role"]) for model in told} == {(challenger, "champion")}


def test_unknown_customers_keep_their_place_in_a_batch_that_two_releases_answer(challenged: Installation) -> None:
    asked = list(itertools.chain.from_iterable((one, f"nobody {one}") for one in IDS[:10]))
    with challenged.serve() as service:
        told = service.post("/predict/batch", {"customer_ids": asked}).json()["predictions"]
        problem(service.get("/predict/nobody"), 404)
    assert [item["customer_id"] for item in told] == asked
    assert [("error" in item) for item in told] == [False, True] * 10
