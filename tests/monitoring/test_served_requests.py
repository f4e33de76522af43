"""Served requests as rows: of one release, in one period, of a customer once, and never read wrong."""

from typing import Any

import pytest
import sqlalchemy as sa

from churn_assets.monitoring.judged_windows import CALLED
from churn_assets.monitoring.served_requests import ServedRequests, served_requests
from churn_assets.tables import SCORE
from churn_store.database.schema import prediction_log
from churn_store.model.signature import Column, Signature

RELEASE = "a" * 64
SIGNATURE = Signature(
    (Column(name="visits", kind="number", nullable=True), Column(name="plan", kind="category", categories=("pro",)))
)


def log(engine: sa.Engine, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        for place, row in enumerate(rows):
            plain = {
                "request_id": f"r{place:04}", "item": 0, "answered_s": 100.0, "customer_id": None, "release": RELEASE, "epoch": 1,
                "role": "champion", "probability": 0.5, "churn": True, "threshold": 0.5, "features": {"visits": 1, "plan": "pro"},
                "latency_us": 1,
            }  # fmt: skip
            connection.execute(prediction_log.insert().values({**plain, **row}))


def served(engine: sa.Engine, **said: Any) -> ServedRequests:
    return served_requests(engine, RELEASE, SIGNATURE, **{"start_s": 100, "end_s": 200, **said})


def test_only_answers_of_the_release_in_the_period_count_by_id_and_by_attributes(engine: sa.Engine) -> None:
    log(
        engine,
        {"features": {"visits": None, "plan": None}},
        {"customer_id": "c1", "features": {"visits": 2.5, "plan": "free", "of_another_model": 1}},
        {"answered_s": 99.0},
        {"answered_s": 200.0},
        {"release": "b" * 64},
    )
    found = served(engine)
    assert (found.answered, found.damaged) == (2, 0)
    assert found.rows.rows(named=True) == [
        {"visits": None, "plan": None, SCORE: 0.5, CALLED: True},
        {"visits": 2.5, "plan": "free", SCORE: 0.5, CALLED: True},
    ]


def test_of_a_customer_the_last_answer_counts_alone(engine: sa.Engine) -> None:
    asked = [{"customer_id": "c1", "answered_s": 150.0 - place, "probability": place / 10} for place in range(3)]
    log(engine, *asked, {}, {})
    found = served(engine)
    assert (found.answered, found.rows.height) == (5, 3)
    assert sorted(found.rows[SCORE]) == [0.0, 0.5, 0.5]


def test_no_more_answers_are_read_than_asked_for_and_all_are_counted(engine: sa.Engine) -> None:
    log(engine, *({} for _ in range(30)))
    found = served(engine, most=10)
    assert (found.answered, found.rows.height) == (30, 10)


@pytest.mark.parametrize(
    "damage",
    [
        {"features": {"visits": "many", "plan": "pro"}},
        {"features": {"visits": 1}},
        {"features": []},
        {"features": {"visits": 1, "plan": 7}},
    ],
)
def test_an_answer_that_can_not_be_read_is_counted_and_hides_no_other(engine: sa.Engine, damage: dict[str, Any]) -> None:
    log(engine, damage, {})
    found = served(engine)
    assert (found.answered, found.damaged, found.rows.height) == (2, 1, 1)


def test_a_period_without_requests_has_no_rows(engine: sa.Engine) -> None:
    found = served(engine)
    assert (found.answered, found.rows.height) == (0, 0)
    assert found.rows.columns == ["visits", "plan", SCORE, CALLED]
