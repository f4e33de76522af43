"""The alerts follow what blocks: opened once, closed by themselves, opened again when it comes back."""

import datetime as dt

import sqlalchemy as sa

from churn_assets.quality.alerting import OVERDUE, alerts_of, follow, overdue_tables
from churn_store.alerts.log import Alert, newest_alerts, open_alerts, raise_alerts
from churn_store.mapping.tables import Table
from churn_store.monitoring.facts import QualityFinding
from tests.quality.company import CALENDAR, MONTHS

Present = dict[Table, set[str]]

TODAY = dt.date(2024, 10, 5)
DAYS = 3


def finding(column: str, kind: str = "unit_changed") -> QualityFinding:
    return QualityFinding(
        table="payments", period=MONTHS[-1], kind=kind, column=column, blocking=True, sentence=f"{column} is broken."
    )


def test_the_alert_of_a_kind_says_all_of_it_and_closes_when_the_month_is_right(engine: sa.Engine) -> None:
    other = Alert("drift/x", "drift", "info", "something else")
    raise_alerts(engine, [other], now_s=1)
    wanted = alerts_of([finding("amount_cents"), finding("list_cents")], [])
    assert follow(engine, wanted, now_s=5) == (1, 0)
    assert follow(engine, wanted, now_s=6) == (0, 0)
    [alert] = open_alerts(engine, under="quality/")
    assert alert.alert.cause == f"quality/payments/{MONTHS[-1]}/unit_changed"
    assert alert.alert.sentence == "amount_cents is broken. list_cents is broken."
    assert alert.alert.severity == "critical"
    assert alert.first_s == alert.last_s == 5, "a cause that goes on is not written again and again"

    assert follow(engine, [], now_s=9) == (0, 1)
    assert [one.alert.cause for one in open_alerts(engine)] == ["drift/x"], "alerts of others stay"
    assert follow(engine, wanted, now_s=12) == (1, 0)
    assert newest_alerts(engine, limit=1)[0].occurrence == 2


def test_a_table_that_lacks_a_month_long_after_its_end_is_overdue() -> None:
    present: Present = {"events": set(MONTHS), "payments": set(MONTHS[:-1]), "customers": set(MONTHS[:-1])}
    refused = {("customers", MONTHS[-1])}
    [found] = overdue_tables(CALENDAR, TODAY, present, days=DAYS, refused=refused)
    assert (found.table, found.period, found.kind) == ("payments", MONTHS[-1], OVERDUE)
    assert "expected within 3 days of its end on 2024-10-01, and today is 2024-10-05" in found.sentence
    assert alerts_of([], [found])[0].severity == "warning"


def test_a_table_is_not_overdue_while_its_month_may_still_come() -> None:
    present: Present = {"payments": set(MONTHS[:-1])}
    assert overdue_tables(CALENDAR, dt.date(2024, 10, 3), present, days=DAYS, refused=()) == []


def test_of_several_overdue_months_the_oldest_is_told() -> None:
    present: Present = {"payments": set(MONTHS[:-3])}
    [found] = overdue_tables(CALENDAR, TODAY, present, days=DAYS, refused=())
    assert found.period == MONTHS[-3]
    assert "(and 2 later periods)" in found.sentence


def test_nothing_is_overdue_before_the_first_ingest() -> None:
    empty: Present = {"payments": set()}
    assert overdue_tables(CALENDAR, TODAY, empty, days=DAYS, refused=()) == []
