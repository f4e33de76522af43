"""Experiments by HTTP: who may, who is in which arm, what is logged, and that nothing but a decision changes anything."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from churn_api.predictions.service import Predictor
from churn_api.releases.serving_model import ServingModel
from churn_api.schemas.requests import Row
from churn_store.clock import DAY_S
from churn_store.database.intake import Sender
from churn_store.experiments.history import running
from churn_store.experiments.lifecycle import start
from churn_store.outcomes.log import Outcome
from churn_store.outcomes.log import record as save
from churn_store.releases.bundles import stage
from churn_store.releases.challenge import end_challenge
from churn_store.releases.log import newest
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, Candidate, bless, train

pytestmark = pytest.mark.integration

IDS = [f"c{i}" for i in range(CUSTOMERS)]
SIZES: dict[str, Any] = {"effect": 0.05, "deviation": 0.3, "reason": "to know"}
CALLS = {"name": "calls", "subject": "actions", "metric": "retention", **SIZES}


@pytest.fixture
def ready(installation: Installation, candidate: Candidate) -> Installation:
    """A champion serves, online features are there, and Ada may decide."""
    installation.release(candidate)
    installation.put_online()
    installation.make_key("Ada", "release")
    return installation


def judged(installation: Installation, candidate: Candidate) -> str:
    staged = stage(installation.files, candidate.contents, candidate.manifest)
    bless(installation.engine, staged, epoch=installation.newest_epoch())
    return staged.candidate


def decide(service: Service, path: str, body: Any) -> dict[str, Any]:
    response = service.post(f"/experiments{path}", body, key="Ada")
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def begin(service: Service, plan: dict[str, Any]) -> None:
    """Plan and start an experiment, and wait until the service assigns by it."""
    decide(service, "/", plan)
    decide(service, f"/{plan['name']}/start", {"reason": "go"})
    service.until(lambda: one(service, "c1")["experiment"])


def one(service: Service, customer_id: str, **headers: str) -> dict[str, Any]:
    response = service.get(f"/predict/{customer_id}", headers=headers)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def arms(service: Service) -> dict[str, str]:
    return {one_id: one(service, one_id)["experiment"]["arm"] for one_id in IDS}


def test_an_experiment_of_actions_says_whom_to_treat_on_every_route_and_logs_it(ready: Installation) -> None:
    with ready.serve() as service:
        assert one(service, "c1")["experiment"] is None
        begin(service, CALLS)
        by_id = {one_id: one(service, one_id) for one_id in IDS}
        places = {one_id: told["experiment"] for one_id, told in by_id.items()}
        assert {place["arm"] for place in places.values()} == {"control", "treatment"}
        for told in by_id.values():
            assert told["experiment"] == {
                "name": "calls",
                "arm": told["experiment"]["arm"],
                "treat": told["churn"] and told["experiment"]["arm"] == "treatment",
            }
        assert {place["treat"] for place in places.values()} == {True, False}
        records = [{"customer_id": one_id, "attributes": row} for one_id, row in zip(IDS, ONLINE_ROWS, strict=True)]
        assert [service.post("/predict", record).json()["experiment"] for record in records] == list(places.values())
        for body in ({"customer_ids": IDS}, {"records": records}):
            batch = service.post("/predict/batch", body)
            assert [item["experiment"] for item in batch.json()["predictions"]] == list(places.values())
            lines = service.post("/predict/batch", body, headers={"Accept": "application/x-ndjson"}).text.splitlines()
            assert [msgspec.json.decode(line)["experiment"] for line in lines] == list(places.values())
            table = service.post("/predict/batch", body, headers={"Accept": "text/csv"}).text.splitlines()
            assert [line.split(",")[11:13] for line in table[1:]] == [
                [place["arm"], "true" if place["treat"] else "false"] for place in places.values()
            ]
        assert service.post("/predict", {"attributes": ONLINE_ROWS[0]}).json()["experiment"] is None
        logged = [line for line in ready.spooled() if line["experiment"] is not None]
        assert len(logged) == 8 * CUSTOMERS + 1
        for line in logged:
            assert (line["experiment"], line["arm"]) == ("calls", places[line["customer_id"]]["arm"])
            assert line["unit"] is None


def test_the_rows_of_the_log_have_the_arm(ready: Installation) -> None:
    with ready.serve() as service:
        one(service, "c2")
        begin(service, CALLS)
        arm = one(service, "c1")["experiment"]["arm"]
    rows = {(row["customer_id"], row["experiment"], row["arm"], row["unit"]) for row in ready.logged()}
    assert {("c2", None, None, None), ("c1", "calls", arm, None)} <= rows


def test_in_a_batch_a_challenger_has_no_time_of_the_champions(ready: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    score = Predictor._score

    def slow_champion(self: Predictor, role: ServingModel, rows: list[Row]) -> Any:
        if role.model.role == "champion" and len(rows) > 1:
            time.sleep(1)
        return score(self, role, rows)

    monkeypatch.setattr(Predictor, "_score", slow_champion)
    with ready.serve() as service:
        challenger = judged(ready, train(seed=5))
        begin(service, {"name": "rival", "subject": "models", "metric": "log_loss", "challenger": challenger, **SIZES})
        assert service.post("/predict/batch", {"customer_ids": IDS}).status_code == 200
        rows = [row for row in ready.spooled() if row["experiment"] == "rival" and row["item"] > 0]
    by_role = {role: {row["latency_us"] for row in rows if row["role"] == role} for role in ("champion", "challenger")}
    assert min(by_role["champion"]) >= 1_000_000
    assert max(by_role["challenger"]) < 900_000


def test_arms_stay_over_workers_restarts_and_a_database_that_is_away(ready: Installation) -> None:
    with ready.serve() as service, ready.serve() as another:
        begin(service, CALLS)
        first = arms(service)
        another.until(lambda: one(another, "c1")["experiment"])
        assert arms(another) == first
        service.until((ready.config.cache_folder / "experiment.json").exists)
        kept = msgspec.json.decode((ready.config.cache_folder / "experiment.json").read_bytes())
        assert kept["value"]["running"]["experiment"]["name"] == "calls"
    with ready.serve() as again:
        assert arms(again) == first
    database = ready.home / "serving.db"
    database.rename(database.with_suffix(".away"))
    with ready.serve() as without:
        assert arms(without) == first
    database.with_suffix(".away").rename(database)


def test_a_models_arm_is_who_answers_and_starts_and_ends_with_one_row_each(
    ready: Installation, other_candidate: Candidate
) -> None:
    rival = judged(ready, other_candidate)
    plan = {
        "name": "rival", "subject": "models", "challenger": rival, "share": 0.4, "metric": "log_loss",
        "guard_rails": [{"metric": "latency_ms", "worst": 5}], **SIZES,
    }  # fmt: skip
    with ready.serve() as service:
        begin(service, plan)
        told = {one_id: one(service, one_id) for one_id in IDS}
        roles = {"control": "champion", "treatment": "challenger"}
        assert {answer["experiment"]["arm"] for answer in told.values()} == set(roles)
        assert all(answer["model"]["role"] == roles[answer["experiment"]["arm"]] for answer in told.values())
        assert all("treat" not in answer["experiment"] for answer in told.values())
        ran = running(ready.engine)
        assert ran is not None
        assert ran.epoch == newest(ready.engine).epoch == 2
        stopped = decide(service, "/rival/stop", {"reason": "enough"})
        assert [decision["kind"] for decision in stopped["decisions"]] == ["created", "started", "stopped"]
        service.until(lambda: one(service, "c1")["experiment"] is None)
        assert {one(service, one_id)["model"]["role"] for one_id in IDS} == {"champion"}
        assert [(row["kind"], row["reason"]) for row in service.get("/models").json()["releases"]] == [
            ("challenge_ended", "experiment rival: enough"), ("challenged", "experiment rival: go"), ("released", "test"),
        ]  # fmt: skip


def test_a_challenge_that_ends_under_an_experiment_ends_the_assignment(
    ready: Installation, other_candidate: Candidate
) -> None:
    rival = judged(ready, other_candidate)
    with ready.serve() as service:
        begin(service, {"name": "rival", "subject": "models", "challenger": rival, "metric": "profit", **SIZES})
        end_challenge(ready.engine, ready.files, by="Bob", reason="complaints", now_s=NOW_S)
        service.until(lambda: one(service, "c1")["experiment"] is None)
        assert service.get("/experiments/rival").json()["state"] == "running"


def test_a_header_decides_where_it_is_the_unit_and_its_value_is_kept_nowhere(ready: Installation) -> None:
    with ready.serve() as service:
        decide(service, "/", {**CALLS, "unit": "X-Account-Id"})
        decide(service, "/calls/start", {"reason": "go"})
        service.until(lambda: one(service, "c1", **{"X-Account-Id": "account 1"})["experiment"])
        first = {one(service, one_id, **{"X-Account-Id": "account 1"})["experiment"]["arm"] for one_id in IDS}
        assert len(first) == 1
        accounts = [f"account {i}" for i in range(40)]
        by_account = {account: one(service, "c1", **{"X-Account-Id": account})["experiment"]["arm"] for account in accounts}
        assert set(by_account.values()) == {"control", "treatment"}
        assert one(service, "c1")["experiment"] is None
        assert one(service, "c1", **{"X-Account-Id": " "})["experiment"] is None
        twice = (*service.key_header("both").items(), ("x-account-id", "a"), ("x-account-id", "b"))
        answer = service.raw("GET", b"/predict/c1", headers=(("host", "testserver"), *twice))
        assert answer.json()["experiment"] is None
        lines = [line for line in ready.spooled() if line["unit"] is not None]
        assert len({line["unit"] for line in lines}) == 40
        assert b"account" not in b"".join(file.read_bytes() for file in ready.config.spool_folder.glob("*.jsonl"))


def test_the_share_is_kept_and_cuts_across_another_experiment(ready: Installation) -> None:
    records = [{"customer_id": f"customer {i}", "attributes": ONLINE_ROWS[0]} for i in range(2_000)]

    def treated(service: Service) -> set[int]:
        told = service.post("/predict/batch", {"records": records}).json()["predictions"]
        return {i for i, item in enumerate(told) if item["experiment"]["arm"] == "treatment"}

    with ready.serve() as service:
        begin(service, {**CALLS, "share": 0.2})
        first = treated(service)
        assert 0.16 < len(first) / len(records) < 0.24
        decide(service, "/calls/stop", {"reason": "enough"})
        service.until(lambda: one(service, "c1")["experiment"] is None)
        begin(service, {**CALLS, "name": "more-calls", "share": 0.5})
        second = treated(service)
        assert 0.06 < len(first & second) / len(records) < 0.14


def test_only_keys_that_may_release_decide_and_only_keys_that_may_read_see(ready: Installation) -> None:
    with ready.serve() as service:
        for path, body in (("/", CALLS), ("/calls/start", {"reason": "go"}), ("/calls/stop", {"reason": "no"})):
            problem(service.post(f"/experiments{path}", body), 403)
            problem(service.post(f"/experiments{path}", body, key=None), 401)
        assert service.get("/experiments").json() == {"experiments": [], "put_aside": []}
        decide(service, "/", CALLS)
        problem(service.get("/experiments", key="Ada"), 403)
        problem(service.get("/experiments/calls", key="Ada"), 403)
        before = service.get("/experiments/calls").json()
        assert service.get("/experiments").json() == {"experiments": [{**before, "results": None}], "put_aside": []}
        assert before["results"]["verdict"] == "not_started"
        assert (before["state"], before["decisions"][0]["actor"]) == ("created", "Ada")
        assert service.get("/experiments/calls").json() == before
        assert running(ready.engine) is None


def test_what_can_not_be_done_says_why_and_changes_nothing(ready: Installation) -> None:
    def refused(service: Service, path: str, body: Any, status: int) -> str:
        response: httpx.Response = service.post(f"/experiments{path}", body, key="Ada")
        return str(problem(response, status)["detail"])

    with ready.serve() as service:
        assert "no experiment" in refused(service, "/calls/start", {"reason": "go"}, 404)
        assert "no experiment" in refused(service, "/calls/stop", {"reason": "go"}, 404)
        problem(service.get("/experiments/calls"), 404)
        assert "treats some" in refused(service, "/", {**CALLS, "metric": "log_loss"}, 409)
        assert "expected at most 0.5" in refused(service, "/", {**CALLS, "deviation": 1.3e308}, 409)
        for wrong in (
            {"share": 0},
            {"share": 1},
            {"name": "Ä"},
            {"effect": 0},
            {"power": 2},
            {"power": 0.3},
            {"unit": "a b"},
            {"more": 1},
        ):
            refused(service, "/", {**CALLS, **wrong}, 400)
        refused(service, "/", {**CALLS, "reason": " "}, 400)
        decide(service, "/", CALLS)
        assert "never started" in refused(service, "/calls/stop", {"reason": "no"}, 409)
        assert "already" in refused(service, "/", CALLS, 409)


def test_the_infer_route_names_the_arm(ready: Installation) -> None:
    with ready.serve() as service:
        begin(service, CALLS)
        expected = arms(service)
        columns = service.get("/v2/models/churn").json()["inputs"]
        names = {tensor["name"]: tensor["parameters"]["columns"] for tensor in columns if "columns" in tensor["parameters"]}
        rows = ONLINE_ROWS[:5]
        inputs = [
            {"name": "numbers", "datatype": "FP64", "shape": [5, len(names["numbers"])],
             "data": [[row[name] for name in names["numbers"]] for row in rows]},
            {"name": "categories", "datatype": "BYTES", "shape": [5, len(names["categories"])],
             "data": [[row[name] for name in names["categories"]] for row in rows]},
            {"name": "customer_id", "datatype": "BYTES", "shape": [5], "data": IDS[:5]},
        ]  # fmt: skip
        outputs = service.post("/v2/models/churn/infer", {"inputs": inputs}).json()["outputs"]
        assert [tensor["data"] for tensor in outputs if tensor["name"] == "arm"] == [
            [expected[one_id] for one_id in IDS[:5]]
        ]


def test_a_damaged_experiment_keeps_no_release_from_being_followed(ready: Installation) -> None:
    with ready.serve() as service:
        begin(service, CALLS)
        with ready.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE experiments SET guard_rails = 'no list', share = 'much'")
        ready.release(train(seed=9))
        service.until(lambda: service.get("/model/version").json()["epoch"] == 2)
        assert one(service, "c1")["experiment"] is None
        aside = service.until(lambda: service.get("/health/detailed").json()["aside"])
        assert aside == ["row calls of experiments is put aside: Expected `float`, got `str` in column share"]
        assert service.get("/health").json()["degraded"] == ["1 rows of the database can't be read and are put aside"]
        assert service.get("/experiments").json() == {"experiments": [], "put_aside": aside}
        told = problem(service.get("/experiments/calls"), 409)
        assert "experiment calls can't be read" in told["detail"]
        decide(service, "/", {**CALLS, "name": "next"})
        refused = problem(service.post("/experiments/next/start", {"reason": "go"}, key="Ada"), 409)
        assert "experiment calls can't be read" in refused["detail"]


def test_an_experiment_that_is_started_by_hand_is_followed(ready: Installation) -> None:
    with ready.serve() as service:
        decide(service, "/", CALLS)
        start(ready.engine, ready.files, "calls", by="Bob", reason="by the command", now_s=NOW_S)
        service.until(lambda: one(service, "c1")["experiment"])


def test_results_and_the_promotion_of_a_won_experiment_by_http(ready: Installation, other_candidate: Candidate) -> None:
    rival = judged(ready, other_candidate)
    plan = {"name": "rival", "subject": "models", "challenger": rival, "metric": "retention", **SIZES}
    with ready.serve() as service:
        begin(service, plan)
        records = [{"customer_id": f"customer {i}", "attributes": ONLINE_ROWS[0]} for i in range(1_000)]
        batch = service.post("/predict/batch", {"records": records}).json()["predictions"]
        treated = {item["customer_id"] for item in batch if item["experiment"]["arm"] == "treatment"}
    ready.config.clock.fix(datetime.fromtimestamp(NOW_S + 31 * DAY_S, UTC))
    said = [
        Outcome(name, None, i % (20 if name in treated else 2) == 0)
        for i, name in enumerate(map("customer {}".format, range(1_000)))
    ]
    with ready.serve() as service:
        early = service.get("/experiments/rival").json()["results"]
        assert (early["verdict"], early["effect"], early["matured"]) == ("too_early", None, 0)
        refused = problem(service.post("/experiments/rival/promote", {"reason": "now"}, key="Ada"), 409)
        assert "not won. Too early" in refused["detail"]
        assert ready.newest_epoch() == 2
        save(ready.engine, said, Sender("key1", "r1", NOW_S + 31 * DAY_S))
        told = service.get("/experiments/rival").json()["results"]
        assert (told["verdict"], told["matured"]) == ("better", 1_000)
        assert {arm["arm"]: arm["units"] for arm in told["arms"]}["treatment"] >= len(treated)
        assert 0.3 < told["effect"]["low"] < told["effect"]["estimate"] < told["effect"]["high"] < 0.7
        problem(service.post("/experiments/rival/promote", {"reason": "it won"}), 403)
        promoted = decide(service, "/rival/promote", {"reason": "it won"})
        assert (promoted["state"], promoted["decisions"][-1]["found"]) == ("stopped", told["words"])
        row = service.get("/models").json()["releases"][0]
        assert (row["kind"], row["reason"]) == ("approved", "experiment rival is won: it won")
        service.until(lambda: service.get("/model/version").json()["epoch"] == 3)
        assert one(service, "c1")["experiment"] is None
        assert decide(service, "/rival/promote", {"reason": "again"}) == promoted
        assert ready.newest_epoch() == 3
