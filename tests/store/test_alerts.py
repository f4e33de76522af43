"""Alerts in the database: one open row for each cause, closed when it is over, opened anew when it begins again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from churn_store.alerts.log import Alert, close_alerts, newest_alerts, open_alerts, raise_alerts
from churn_store.errors import InputError
from tests.release_factory import NOW_S

NULLS = Alert(
    "quality/events/2026-01-01/nulls",
    "quality",
    "critical",
    "events 2026-01-01: 40 % are null",
    "2026-01-01",
    details={"share": 0.4},
)


def test_a_cause_that_stays_is_one_alert_with_the_newest_sentence(engine: sa.Engine) -> None:
    raise_alerts(engine, [NULLS], now_s=NOW_S)
    [again] = raise_alerts(engine, [replace(NULLS, sentence="half are null", details={"share": 0.5})], now_s=NOW_S + 60)
    [found] = open_alerts(engine)
    assert found == again
    assert (found.occurrence, found.first_s, found.last_s, found.alert.sentence) == (1, NOW_S, NOW_S + 60, "half are null")
    assert found.alert.details == {"share": 0.5}


def test_a_cause_that_is_over_is_closed_with_a_reason_and_begins_anew_as_another_alert(engine: sa.Engine) -> None:
    raise_alerts(engine, [NULLS], now_s=NOW_S)
    assert close_alerts(engine, [NULLS.cause, "quality/never"], because="delivered again", now_s=NOW_S + 1) == 1
    assert close_alerts(engine, [NULLS.cause], because="twice", now_s=NOW_S + 2) == 0
    assert open_alerts(engine) == []
    raise_alerts(engine, [NULLS], now_s=NOW_S + 3)
    assert [(one.occurrence, one.closed_s, one.closed_because) for one in newest_alerts(engine, limit=9)] == [
        (2, None, ""),
        (1, NOW_S + 1, "delivered again"),
    ]


def test_a_clock_that_was_set_back_does_not_take_back_when_a_cause_was_seen(engine: sa.Engine) -> None:
    raise_alerts(engine, [NULLS], now_s=NOW_S)
    [again] = raise_alerts(engine, [NULLS], now_s=NOW_S - 60)
    assert (again.first_s, again.last_s) == (NOW_S, NOW_S)


def test_causes_are_found_by_what_they_begin_with_and_no_character_stands_for_others(engine: sa.Engine) -> None:
    raise_alerts(engine, [NULLS, replace(NULLS, cause="quality_/a"), replace(NULLS, cause="qualityx/a")], now_s=NOW_S)
    assert [one.alert.cause for one in open_alerts(engine, under="quality_/")] == ["quality_/a"]


@pytest.mark.parametrize("seen", [[replace(NULLS, cause="")], [replace(NULLS, cause="c" * 201)], [NULLS, NULLS]])
def test_a_cause_that_names_nothing_or_two_things_is_refused_and_nothing_is_written(
    engine: sa.Engine, seen: list[Alert]
) -> None:
    with pytest.raises(InputError):
        raise_alerts(engine, [replace(NULLS, cause="good"), *seen], now_s=NOW_S)
    assert newest_alerts(engine, limit=9) == []


def test_writers_at_the_same_time_open_one_alert(engine: sa.Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: raise_alerts(engine, [NULLS], now_s=NOW_S), range(8)))
    assert len(newest_alerts(engine, limit=99)) == 1
