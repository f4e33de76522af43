"""Outcomes in the database: versions, idempotency keys, writers at the same time, and how they meet the predictions."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import Receipt, ReusedKeyError, Sender
from churn_store.database.schema import outcome_keys, outcomes, prediction_log
from churn_store.outcomes.counts import count
from churn_store.outcomes.log import Outcome, record, versions_of
from tests.release_factory import NOW_S

T_S = NOW_S - 40 * DAY_S
SENDER = Sender("key1", "r1", NOW_S)
STAYED = Outcome("c1", T_S, False)
LEFT = Outcome("c1", T_S, True, T_S + DAY_S)


def says(engine: sa.Engine, customer_id: str = "c1") -> list[tuple[int | None, int, bool, bool]]:
    return [(one.snapshot_s, one.version, one.churned, one.is_newest) for one in versions_of(engine, customer_id, limit=99)]


def rows(engine: sa.Engine, table: sa.Table = outcomes) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def predicted(engine: sa.Engine, customer_id: str, *, snapshot_s: int | None, answered_s: float = NOW_S) -> None:
    row: dict[str, Any] = {
        "request_id": f"{customer_id}-{snapshot_s}-{answered_s}", "item": 0, "answered_s": answered_s, "customer_id": customer_id,
        "release": "d", "epoch": 1, "role": "champion", "probability": 0.5, "churn": True, "threshold": 0.4,
        "snapshot_s": snapshot_s, "features": {}, "latency_us": 1, "key_id": None,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(prediction_log.insert().values(row))


def test_a_correction_is_a_version_and_the_older_one_stays(engine: sa.Engine) -> None:
    assert record(engine, [STAYED], SENDER) == Receipt(received=1, added=1, corrected=0, unchanged=0, repeated=0)
    assert record(engine, [LEFT], SENDER) == Receipt(received=1, added=0, corrected=1, unchanged=0, repeated=0)
    assert says(engine) == [(T_S, 2, True, True), (T_S, 1, False, False)]
    assert record(engine, [LEFT], SENDER) == Receipt(received=1, added=0, corrected=0, unchanged=1, repeated=0)
    assert rows(engine) == 2


def test_another_snapshot_and_none_are_outcomes_of_their_own(engine: sa.Engine) -> None:
    record(engine, [STAYED, replace(LEFT, snapshot_s=T_S + DAY_S), replace(LEFT, snapshot_s=None)], SENDER)
    assert says(engine) == [(T_S + DAY_S, 1, True, True), (T_S, 1, False, True), (None, 1, True, True)]


def test_a_late_repetition_by_its_key_does_not_undo_a_correction(engine: sa.Engine) -> None:
    named = replace(STAYED, idempotency_key="a")
    record(engine, [named], SENDER)
    record(engine, [LEFT], SENDER)
    assert record(engine, [named], SENDER) == Receipt(received=1, added=0, corrected=0, unchanged=0, repeated=1)
    assert says(engine)[0] == (T_S, 2, True, True)


def test_a_key_of_an_outcome_that_changed_nothing_is_remembered_too(engine: sa.Engine) -> None:
    record(engine, [STAYED], SENDER)
    named = replace(STAYED, idempotency_key="a")
    assert record(engine, [named], SENDER).unchanged == 1
    record(engine, [LEFT], SENDER)
    assert record(engine, [named], SENDER).repeated == 1
    assert says(engine)[0] == (T_S, 2, True, True)


def test_a_request_by_its_key_is_answered_as_at_first_and_writes_nothing(engine: sa.Engine) -> None:
    named = replace(SENDER, idempotency_key="k", digest="1" * 64)
    first = record(engine, [STAYED], named)
    record(engine, [LEFT], SENDER)
    assert record(engine, [STAYED], named) == replace_replayed(first)
    assert says(engine)[0] == (T_S, 2, True, True)
    assert rows(engine) == 2


def replace_replayed(receipt: Receipt) -> Receipt:
    return Receipt(
        received=receipt.received, added=receipt.added, corrected=0, unchanged=0, repeated=0, replayed=True
    )  # fmt: skip


def test_a_key_that_stands_for_something_else_writes_nothing(engine: sa.Engine) -> None:
    record(engine, [replace(STAYED, idempotency_key="a")], replace(SENDER, idempotency_key="k", digest="1" * 64))
    with pytest.raises(ReusedKeyError) as refused:
        record(engine, [replace(STAYED, customer_id="c2"), replace(LEFT, idempotency_key="a")], SENDER)
    assert refused.value.places == (1,)
    with pytest.raises(ReusedKeyError) as refused:
        record(engine, [replace(STAYED, customer_id="c2")], replace(SENDER, idempotency_key="k", digest="2" * 64))
    assert refused.value.places == ()
    assert (rows(engine), rows(engine, outcome_keys)) == (1, 2)


def test_another_senders_key_and_a_requests_are_not_the_same_key(engine: sa.Engine) -> None:
    record(engine, [replace(STAYED, idempotency_key="a")], SENDER)
    assert record(engine, [replace(LEFT, idempotency_key="a")], replace(SENDER, key_id="key2")).corrected == 1
    assert not record(engine, [STAYED], replace(SENDER, idempotency_key="a", digest="1" * 64)).replayed


def test_a_large_batch_is_one_transaction(engine: sa.Engine) -> None:
    many = [Outcome(f"c{number}", T_S, number % 2 == 0, idempotency_key=f"k{number}") for number in range(2_000)]
    assert record(engine, many, SENDER).added == 2_000
    turned = [replace(one, churned=not one.churned, idempotency_key=None) for one in many[:700]]
    assert record(engine, [*turned, *many[700:]], SENDER) == Receipt(
        received=2_000, added=0, corrected=700, unchanged=0, repeated=1_300
    )


def test_writers_at_the_same_time_make_each_version_once(engine: sa.Engine) -> None:
    def turn(number: int) -> Receipt:
        return record(engine, [Outcome("c1", T_S, True, T_S + number)], replace(SENDER, request_id=f"r{number}"))

    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(turn, range(20)))
    assert sum(one.added for one in receipts) == 1
    assert sum(one.corrected for one in receipts) == 19
    assert [version for _, version, _, _ in says(engine)] == list(range(20, 0, -1))


def test_the_same_request_at_the_same_time_is_written_once(engine: sa.Engine) -> None:
    named = replace(SENDER, idempotency_key="k", digest="1" * 64)
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda _: record(engine, [STAYED], named), range(8)))
    assert sorted(one.replayed for one in receipts) == [False] + [True] * 7
    assert {one.added for one in receipts} == {1}
    assert rows(engine) == 1


@pytest.fixture
def joined(engine: sa.Engine) -> sa.Engine:
    """Predictions of two snapshots, and one from attributes."""
    predicted(engine, "c1", snapshot_s=T_S)
    predicted(engine, "c2", snapshot_s=NOW_S - DAY_S)
    predicted(engine, "c3", snapshot_s=None, answered_s=NOW_S - 31 * DAY_S)
    predicted(engine, "c3", snapshot_s=None, answered_s=NOW_S)
    return engine


def test_outcomes_meet_predictions_by_customer_and_snapshot(joined: sa.Engine) -> None:
    def counted(now_s: float = NOW_S) -> tuple[int | None, ...]:
        found = count(joined, now_s=now_s, horizon_days=30)
        assert found.customers_and_snapshots == found.joined + found.unmatched == found.received - found.corrected
        return found.received, found.corrected, found.joined, found.unmatched, found.matured, found.churned

    assert counted() == (0, 0, 0, 0, 0, 0)
    record(joined, [STAYED], SENDER)
    assert counted() == (1, 0, 1, 0, 1, 0)
    record(joined, [LEFT], SENDER)
    assert counted() == (2, 1, 1, 0, 1, 1)
    record(joined, [Outcome("c1", T_S + 1, True), Outcome("nobody", T_S, True), Outcome("c1", None, True)], SENDER)
    assert counted() == (5, 1, 1, 3, 1, 1)
    record(joined, [Outcome("c2", NOW_S - DAY_S, False)], SENDER)
    assert counted() == (6, 1, 2, 3, 1, 1)
    record(joined, [Outcome("c3", None, False)], SENDER)
    assert counted() == (7, 1, 3, 3, 2, 1)
    assert counted(NOW_S + 29 * DAY_S) == (7, 1, 3, 3, 3, 1)
    assert count(joined, now_s=NOW_S, horizon_days=None).matured == 3
    assert count(joined, now_s=NOW_S, horizon_days=None, is_known=False).matured is None
