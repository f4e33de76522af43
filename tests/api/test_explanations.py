"""Reasons over HTTP: they add up to the prediction, are the same each time, and never name a protected attribute."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn_store.model.reasons.plan import Group, ReasonPlan
from churn_store.model.signature import Column
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import rows_of, small_columns, train

NAMES = [column.name for column in small_columns()]
PAID = tuple(name for name in NAMES if name.startswith("paid_"))
PLAN = ReasonPlan(
    reference=dict(rows_of(small_columns(), 1, 99)[0]),
    groups=(
        Group("sessions", ("sessions_30d",), actionable=True),
        Group("spend", PAID),
        Group("support", ("days_since_ticket",), actionable=True),
        Group("plan", ("plan", "channel")),
    ),
    protected=("country",),
)


@pytest.fixture(scope="module")
def explaining(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A release of today: its manifest has a plan, by which ``country`` is protected."""
    with Installation.make(tmp_path_factory.mktemp("explaining")) as made:
        made.release(train(reasons=PLAN))
        made.put_online()
        with made.serve() as service:
            yield service


def total(reasons: dict[str, Any]) -> float:
    parts = [reason["contribution"] for reason in reasons["contributions"]]
    return float(reasons["reference"]["log_odds"] + sum(parts) + reasons["not_named"] + reasons["difference"])


def test_the_reasons_of_a_customer_add_up_to_the_probability(explaining: Service) -> None:
    for i in range(10):
        answer = explaining.get(f"/explain/c{i}").json()
        reasons, probability = answer["reasons"], answer["probability"]
        assert probability == pytest.approx(explaining.get(f"/predict/c{i}").json()["probability"], abs=1e-9)
        assert total(reasons) == pytest.approx(reasons["log_odds"], abs=1e-9)
        assert reasons["log_odds"] == pytest.approx(math.log(probability / (1 - probability)), abs=1e-4)
        assert abs(reasons["difference"]) < 1e-4
        sizes = [reason["contribution"] for reason in reasons["contributions"]]
        assert sizes == sorted(sizes, reverse=True)


def test_a_reason_says_the_customers_own_number_and_the_usual_one(explaining: Service) -> None:
    [reason] = [
        one for one in explaining.get("/explain/c0").json()["reasons"]["contributions"] if one["code"] == "sessions"
    ]
    own, usual = ONLINE_ROWS[0]["sessions_30d"], PLAN.reference["sessions_30d"]
    assert reason["text"] == f"sessions in 30 days: {own:.0f}; usual here: {usual:.0f}"
    assert (reason["value"], reason["usual"], reason["actionable"], reason["attribute"]) == (
        own,
        usual,
        True,
        "sessions_30d",
    )


def test_a_protected_attribute_is_in_the_sum_and_never_named(explaining: Service) -> None:
    hidden = []
    for i, row in enumerate(ONLINE_ROWS[:20]):
        answer = explaining.get(f"/explain/c{i}")
        assert "country" not in answer.text
        hidden.append(answer.json()["reasons"]["not_named"])
        assert (row["country"] == PLAN.reference["country"]) == (hidden[-1] == 0)
    assert any(hidden)


def test_a_prediction_has_reasons_only_where_they_are_asked_for(explaining: Service) -> None:
    asked = explaining.get("/predict/c3?explain=true").json()
    assert asked["reasons"] == explaining.get("/explain/c3").json()["reasons"]
    body = {"attributes": ONLINE_ROWS[3], "customer_id": "c3"}
    assert explaining.post("/predict?explain=true", body).json()["reasons"] == asked["reasons"]
    for answer in (
        explaining.get("/predict/c3"),
        explaining.get("/predict/c3?explain=false"),
        explaining.post("/predict", body),
    ):
        assert answer.status_code == 200
        assert answer.json()["reasons"] is None


def test_an_explained_prediction_is_logged_and_an_explanation_is_not(explaining: Service) -> None:
    before = len(explaining.installation.spooled())
    explaining.get("/explain/c1")
    assert len(explaining.installation.spooled()) == before
    explaining.get("/predict/c1?explain=true")
    assert len(explaining.installation.spooled()) == before + 1


@pytest.mark.parametrize("query", ["explain=yes", "explain=true&explain=true", "explained=true", "explain="])
def test_another_value_or_parameter_is_refused_without_repeating_it(explaining: Service, query: str) -> None:
    refused = problem(explaining.get(f"/predict/c1?{query}"), 400)
    assert "yes" not in refused["detail"]


def test_an_unknown_customer_an_id_with_a_slash_and_a_key_without_the_scope_get_no_reasons(explaining: Service) -> None:
    assert problem(explaining.get("/explain/nobody"), 404)["snapshot"] == "2026-02-01"
    assert problem(explaining.get("/explain/c1%2F"), 400)["errors"]
    assert problem(explaining.get("/explain/c1", key=None), 401)
    explaining.installation.make_key("reader", "read")
    explaining.until(lambda: explaining.get("/models", key="reader").status_code == 200)
    assert problem(explaining.get("/explain/c1", key="reader"), 403)


def test_the_document_tells_of_reasons(explaining: Service) -> None:
    api = explaining.client.get("/docs/openapi.json").json()
    for path, method in (("/predict/{customer_id}", "get"), ("/predict", "post")):
        assert "explain" in [one["name"] for one in api["paths"][path][method]["parameters"]]
    assert {"404", "503"} <= set(api["paths"]["/explain/{customer_id}"]["get"]["responses"])
    assert "contributions" in api["components"]["schemas"]["Reasons"]["properties"]


def test_an_older_release_is_explained_by_its_reference_sample(tmp_path: Path) -> None:
    columns = (*small_columns(4), Column(name="gender", kind="category", categories=("f", "m")))
    with Installation.make(tmp_path) as made:
        made.release(train(columns, reference=True))
        made.put_online(columns=columns)
        with made.serve() as service:
            answer = service.get("/explain/c1")
            again = service.get("/explain/c1")
    assert answer.status_code == 200, answer.text
    assert answer.json()["reasons"] == again.json()["reasons"]
    assert "gender" not in answer.text, "its manifest says nothing of protected attributes; the name does"
    assert {one["code"] for one in answer.json()["reasons"]["contributions"]} <= {column.name for column in columns}
    assert total(answer.json()["reasons"]) == pytest.approx(answer.json()["reasons"]["log_odds"], abs=1e-9)


def test_a_release_that_can_not_be_explained_predicts_all_the_same(service: Service) -> None:
    refused = problem(service.get("/explain/c1"), 503)
    assert refused["type"].endswith("no-reasons")
    assert "reference.parquet" in refused["detail"]
    assert service.get("/predict/c1").status_code == 200
    assert problem(service.get("/predict/c1?explain=true"), 503)
