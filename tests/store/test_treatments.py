"""Treatments in the database: versions, what counts, and writers at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import Receipt, ReusedKeyError, Sender
from churn_store.treatments.log import Treatment, TreatmentCounts, count, record, versions_of
from churn_store.treatments.newest import NewestTreatment, newest_between
from tests.release_factory import NOW_S

T_S = NOW_S - 40 * DAY_S
SENDER = Sender("key1", "r1", NOW_S)
CALLED = Treatment("c1", T_S, "phone", "discount", True, 0.9)
HELD_OUT = replace(CALLED, treated=False)


def says(engine: sa.Engine) -> list[tuple[int, int, bool, float | None, bool]]:
    found = versions_of(engine, "c1", limit=99)
    return [(one.assigned_s, one.version, one.treated, one.propensity, one.is_newest) for one in found]


def test_a_correction_is_a_version_and_only_the_newest_counts(engine: sa.Engine) -> None:
    assert record(engine, [CALLED], SENDER).added == 1
    assert record(engine, [HELD_OUT], SENDER).corrected == 1
    assert record(engine, [HELD_OUT], replace(SENDER, now_s=NOW_S + DAY_S)).unchanged == 1
    assert says(engine) == [(T_S, 2, False, 0.9, True), (T_S, 1, True, 0.9, False)]
    assert list(newest_between(engine, T_S, T_S + 1)) == [
        NewestTreatment("c1", T_S, "phone", "discount", False, 0.9, NOW_S)
    ]


def test_a_propensity_that_becomes_known_is_a_correction(engine: sa.Engine) -> None:
    record(engine, [replace(CALLED, propensity=None)], SENDER)
    assert record(engine, [CALLED], SENDER).corrected == 1
    assert [propensity for *_, propensity, _ in says(engine)] == [0.9, None]


def test_another_time_channel_or_offer_is_a_treatment_of_its_own(engine: sa.Engine) -> None:
    others = [replace(CALLED, assigned_s=T_S + 1), replace(CALLED, channel="mail"), replace(CALLED, offer="")]
    assert record(engine, [CALLED, *others], SENDER).added == 4
    assert len(list(newest_between(engine, T_S, T_S + 2))) == 4
    assert len(list(newest_between(engine, T_S + 1, T_S + 2))) == 1


def test_a_key_that_stands_for_something_else_writes_nothing(engine: sa.Engine) -> None:
    record(engine, [replace(CALLED, idempotency_key="a")], replace(SENDER, idempotency_key="k", digest="1" * 64))
    with pytest.raises(ReusedKeyError) as refused:
        record(engine, [replace(CALLED, customer_id="c2"), replace(HELD_OUT, idempotency_key="a")], SENDER)
    assert refused.value.places == (1,)
    with pytest.raises(ReusedKeyError):
        record(engine, [HELD_OUT], replace(SENDER, idempotency_key="k", digest="2" * 64))
    assert versions_of(engine, "c2", limit=9) == []
    assert record(engine, [HELD_OUT], replace(SENDER, idempotency_key="k", digest="1" * 64)).replayed


def test_they_are_counted_by_what_they_say(engine: sa.Engine) -> None:
    assert count(engine) == TreatmentCounts(0, 0, 0, 0, 0, 0)
    record(engine, [CALLED, replace(HELD_OUT, customer_id="c2"), Treatment("c3", T_S)], SENDER)
    record(engine, [HELD_OUT], SENDER)
    assert count(engine) == TreatmentCounts(
        received=4, corrected=1, treated=1, held_out=2, without_propensity=1, unmatched=3
    )


def test_writers_at_the_same_time_make_each_version_once(engine: sa.Engine) -> None:
    def turn(number: int) -> Receipt:
        return record(engine, [replace(CALLED, propensity=(number + 1) / 100)], replace(SENDER, request_id=f"r{number}"))

    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(turn, range(20)))
    assert (sum(one.added for one in receipts), sum(one.corrected for one in receipts)) == (1, 19)
    assert [version for _, version, *_ in says(engine)] == list(range(20, 0, -1))
