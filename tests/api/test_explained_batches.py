"""Batches with reasons: each row has those of the single routes, in every form; they are bounded, and take turns with other requests."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl
import pytest

from churn_api.predictions.batch_reasons import EXPLAINED_AT_ONCE
from churn_api.schemas.predictions import Batch, StreamedPrediction
from churn_store.model.scorer import Scorer
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.api.test_explanations import PLAN
from tests.release_factory import train

MOST = 45
NDJSON = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
IDS = [f"c{place}" for place in range(2 * EXPLAINED_AT_ONCE + 3)]


@pytest.fixture(scope="module")
def explaining(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A release with a plan; a batch with reasons may have 45 rows."""
    with Installation.make(tmp_path_factory.mktemp("explaining"), max_explained_rows=MOST) as made:
        made.release(train(reasons=PLAN))
        made.put_online()
        with made.serve() as service:
            yield service


def ask(service: Service, body: Any, *, kind: str = "application/json", accept: str = "application/json") -> httpx.Response:
    return service.post("/predict/batch?explain=true", body, headers={"content-type": kind, "accept": accept})


def items(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == NDJSON:
        lines = response.content.splitlines()
        for line in lines:
            msgspec.json.decode(line, type=StreamedPrediction)
        return [msgspec.json.decode(line) for line in lines]
    msgspec.json.decode(response.content, type=Batch)
    return list(response.json()["predictions"])


def singles(service: Service, ids: list[str]) -> list[dict[str, Any]]:
    return [service.get(f"/explain/{customer_id}").json()["reasons"] for customer_id in ids]


def as_records(count: int = len(IDS)) -> dict[str, Any]:
    return {"records": [{"attributes": ONLINE_ROWS[place], "customer_id": f"c{place}"} for place in range(count)]}


def as_csv(count: int = len(IDS)) -> bytes:
    rows = [{**row, "customer_id": f"c{place}"} for place, row in enumerate(ONLINE_ROWS[:count])]
    return pl.DataFrame(rows).write_csv().encode()


def as_parquet(count: int = len(IDS)) -> bytes:
    rows = [{**row, "customer_id": f"c{place}"} for place, row in enumerate(ONLINE_ROWS[:count])]
    written = io.BytesIO()
    pl.DataFrame(rows).write_parquet(written)
    return written.getvalue()


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_each_row_has_the_reasons_of_the_single_route(explaining: Service, accept: str) -> None:
    expected = singles(explaining, IDS)
    bodies: list[tuple[Any, str]] = [
        ({"customer_ids": IDS}, "application/json"),
        (as_records(), "application/json"),
        (as_csv(), "text/csv"),
        (as_parquet(), PARQUET),
    ]
    for body, kind in bodies:
        before = len(explaining.installation.spooled())
        found = items(ask(explaining, body, kind=kind, accept=accept))
        assert [one["reasons"] for one in found] == expected, kind
        assert [one["customer_id"] for one in found] == IDS
        assert len(explaining.installation.spooled()) == before + len(IDS)


def test_a_row_that_can_not_be_scored_has_an_error_and_no_reasons(explaining: Service) -> None:
    for accept in ("application/json", NDJSON):
        known, unknown = items(ask(explaining, {"customer_ids": ["c1", "nobody"]}, accept=accept))
        assert known["reasons"]["contributions"]
        assert (unknown["error"]["status"], "reasons" in unknown) == (404, False)
    lacking = {**ONLINE_ROWS[0], "sessions_30d": "many"}
    body = pl.DataFrame([{**ONLINE_ROWS[1], "sessions_30d": "3"}, lacking]).write_csv().encode()
    scored, refused = items(ask(explaining, body, kind="text/csv", accept=NDJSON))
    assert scored["reasons"]["contributions"]
    assert (refused["error"]["status"], "reasons" in refused) == (400, False)


def test_without_being_asked_for_no_row_has_reasons(explaining: Service) -> None:
    for accept in ("application/json", NDJSON):
        answer = explaining.post("/predict/batch", {"customer_ids": IDS}, headers={"accept": accept})
        assert all("reasons" not in one for one in items(answer))


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_more_rows_than_can_be_explained_are_refused_and_nothing_is_logged(explaining: Service, accept: str) -> None:
    before = len(explaining.installation.spooled())
    more = MOST + 1
    bodies: list[tuple[Any, str]] = [
        ({"customer_ids": [f"c{place}" for place in range(more)]}, "application/json"),
        (as_records(more), "application/json"),
        (as_csv(more), "text/csv"),
        (as_parquet(more), PARQUET),
    ]
    for body, kind in bodies:
        refused = problem(ask(explaining, body, kind=kind, accept=accept), 400)
        assert refused["errors"][0]["path"] == "explain"
        assert f"at most {MOST} rows with explain=true, found more" in refused["detail"]
    assert len(explaining.installation.spooled()) == before
    assert len(items(ask(explaining, as_csv(MOST), kind="text/csv", accept=accept))) == MOST


def test_csv_has_no_room_for_reasons(explaining: Service) -> None:
    refused = problem(ask(explaining, {"customer_ids": IDS}, accept="text/csv"), 400)
    assert refused["errors"][0]["path"] == "explain"


def test_a_release_that_can_not_be_explained_refuses_before_it_scores(service: Service) -> None:
    before = len(service.installation.spooled())
    for accept in ("application/json", NDJSON):
        refused = problem(ask(service, {"customer_ids": IDS}, accept=accept), 503)
        assert refused["type"].endswith("no-reasons")
    assert len(service.installation.spooled()) == before


def test_the_challengers_customers_get_its_reasons(tmp_path: Path) -> None:
    with Installation.make(tmp_path) as made:
        made.release(train(reasons=PLAN))
        made.challenge(train(reasons=PLAN, seed=5), 0.5)
        made.put_online()
        with made.serve() as service:
            service.until(lambda: service.get("/model/version").json()["challenger"] is not None)
            found = items(ask(service, {"customer_ids": IDS}, accept=NDJSON))
            assert {one["role"] for one in found} == {"champion", "challenger"}
            assert [one["reasons"] for one in found] == singles(service, IDS)


def test_a_model_that_gives_no_number_on_the_way_to_a_row_costs_that_row(
    explaining: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Scorer._both
    bad = ONLINE_ROWS[1]["sessions_30d"]

    def lying(self: Scorer, numbers: Any, categories: Any) -> Any:
        given = honest(self, numbers, categories)
        mixed = numbers[:, list(self.signature.numbers).index("sessions_30d")] == bad
        return given + 2.0 * (
            mixed[:, None] & (len(given) > 3)
        )  # among the rows of an explanation, not where the batch is scored

    monkeypatch.setattr(Scorer, "_both", lying)
    before = len(explaining.installation.spooled())
    told = items(ask(explaining, {"customer_ids": ["c0", "c1", "c2"]}, accept=NDJSON))
    failed = [one["customer_id"] for one in told if "error" in one]
    assert "c1" in failed
    assert len(failed) < len(told)
    assert {one["error"]["status"] for one in told if "error" in one} == {500}
    assert len(explaining.installation.spooled()) == before + len(told) - len(failed)
    problem(ask(explaining, {"customer_ids": ["c0", "c1", "c2"]}), 500)
    assert len(explaining.installation.spooled()) == before + len(told) - len(failed)


def test_the_document_tells_of_reasons_in_batches(explaining: Service) -> None:
    api = explaining.client.get("/docs/openapi.json").json()
    batch = api["paths"]["/predict/batch"]["post"]
    assert "explain" in [one["name"] for one in batch["parameters"]]
    for schema in ("BatchItem", "StreamedPrediction"):
        assert "reasons" in api["components"]["schemas"][schema]["properties"]
