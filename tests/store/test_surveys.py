"""Submissions of surveys in the database: each once by its key, later ones as versions, writers at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from churn_store.surveys.log import ReusedSurveyKeyError, Submission, SurveyVersion, record, versions_of
from tests.release_factory import NOW_S

FIRST = Submission("c1", "satisfaction", {"score": 3.0, "why": "too slow", "again": None, "told": True}, NOW_S - 60, "k1")


def saved(engine: sa.Engine, sent: Submission, *, key_id: str = "key1", now_s: float = NOW_S) -> SurveyVersion:
    return record(engine, sent, key_id=key_id, request_id="r", now_s=now_s)


def says(engine: sa.Engine, customer_id: str = "c1") -> list[tuple[str, int, bool]]:
    return [(one.survey, one.version, one.is_newest) for one in versions_of(engine, customer_id, limit=99)]


def test_a_submission_is_read_as_it_was_given_with_both_its_times(engine: sa.Engine) -> None:
    assert saved(engine, FIRST).version == 1
    [found] = versions_of(engine, "c1", limit=9)
    assert dict(found.answers) == dict(FIRST.answers)
    assert (found.answered_s, found.received_s) == (NOW_S - 60, NOW_S)
    saved(engine, replace(FIRST, answered_s=None, idempotency_key="k2"), now_s=NOW_S + 0.5)
    assert versions_of(engine, "c1", limit=1)[0].answered_s == NOW_S


def test_sent_again_under_its_key_it_counts_once_also_after_a_later_one(engine: sa.Engine) -> None:
    saved(engine, FIRST)
    later = replace(FIRST, answers={"score": 1.0}, idempotency_key="k2")
    assert saved(engine, later).version == 2
    again = saved(engine, FIRST, now_s=NOW_S + 9)
    assert (again.version, again.is_repeated, again.is_newest, again.received_s) == (1, True, False, NOW_S)
    assert says(engine) == [("satisfaction", 2, True), ("satisfaction", 1, False)]


def test_a_key_with_other_content_is_refused_and_another_api_keys_keys_are_its_own(engine: sa.Engine) -> None:
    saved(engine, FIRST)
    for other in (
        replace(FIRST, answers={"score": 1.0}),
        replace(FIRST, customer_id="c2"),
        replace(FIRST, survey="leaving"),
        replace(FIRST, answered_s=NOW_S),
    ):
        with pytest.raises(ReusedSurveyKeyError):
            saved(engine, other)
    assert saved(engine, replace(FIRST, customer_id="c2"), key_id="key2").version == 1
    assert says(engine) == [("satisfaction", 1, True)]


def test_versions_are_counted_by_customer_and_survey(engine: sa.Engine) -> None:
    for place, (customer_id, survey) in enumerate([("c1", "a"), ("c1", "b"), ("c2", "a"), ("c1", "a")]):
        saved(engine, replace(FIRST, customer_id=customer_id, survey=survey, idempotency_key=f"k{place}"))
    assert says(engine) == [("a", 2, True), ("b", 1, True), ("a", 1, False)]
    assert says(engine, "c2") == [("a", 1, True)]


def test_of_many_at_the_same_time_each_has_a_version(engine: sa.Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        sent = [replace(FIRST, idempotency_key=f"k{place}") for place in range(12)]
        found = list(pool.map(lambda one: saved(engine, one), sent * 2))
    assert sorted({one.version for one in found}) == list(range(1, 13))
    assert sum(one.is_repeated for one in found) == 12
