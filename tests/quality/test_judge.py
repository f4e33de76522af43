"""A broken feed is told from a changed one, by chance and by what earlier periods had; clean months never block."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from churn_assets.quality.arrivals import absent_rows
from churn_assets.quality.findings import ABSENT, CONSTANT, DUPLICATED, LATE, MISSING, NEW, NULLS, UNIT, UNKNOWN, VANISHED
from churn_assets.quality.judge import judge
from churn_assets.quality.profile import SLICES, profile_of
from churn_assets.quality.units import UnitChange, unit_change
from churn_assets.settings.quality import Quality
from churn_store.mapping.tables import VALUE, Table
from tests.quality.company import CALENDAR, LAST, MONTHS, Change, judged, profile, rows_of

TABLES: tuple[Table, ...] = ("customers", "events", "payments")


def some(share: float) -> pl.Expr:
    return (pl.int_range(pl.len()) * 7_919 % 1_000) < share * 1_000


def lacking(column: str, share: float) -> Change:
    return lambda rows: rows.with_columns(pl.when(~some(share)).then(column).alias(column))


def scaled(column: str, factor: float) -> Change:
    return lambda rows: rows.with_columns((pl.col(column) * factor).floor().cast(pl.Int64))


def stopped_at(part: float, word: str | None = None) -> Change:
    start_s, end_s = CALENDAR.bounds_s(LAST)
    after = pl.col("known_s") >= start_s + part * (end_s - start_s)
    return lambda rows: rows.filter(~(after if word is None else after & (pl.col("event_type") == word)))


def set_to(column: str, value: object, share: float = 1.0) -> Change:
    return lambda rows: rows.with_columns(pl.when(some(share)).then(pl.lit(value)).otherwise(column).alias(column))


def doubled(row_id: str, share: float) -> Change:
    return lambda rows: pl.concat([rows, rows.filter(some(share)).with_columns(pl.col(row_id) + "-again")])


BROKEN: list[tuple[str, Table, Change]] = [
    (NULLS, "customers", lacking("country", 0.6)),
    (NULLS, "payments", lacking("list_cents", 0.2)),
    (VANISHED, "events", lambda rows: rows.filter(pl.col("event_type") != "feature_used")),
    (VANISHED, "events", stopped_at(0.5, "feature_used")),
    (UNIT, "payments", scaled("amount_cents", 0.01)),
    (UNIT, "payments", scaled("amount_cents", 100)),
    (UNIT, "events", scaled(VALUE, 1_000)),
    (UNIT, "events", scaled(VALUE, 1 / 60)),
    (UNIT, "events", scaled(VALUE, 10)),
    (DUPLICATED, "events", doubled("event_id", 0.3)),
    (DUPLICATED, "payments", doubled("payment_id", 1.0)),
    (ABSENT, "customers", pl.DataFrame.clear),
    (ABSENT, "events", pl.DataFrame.clear),
    (LATE, "events", stopped_at(0.8)),
    (LATE, "payments", stopped_at(0.5)),
    (CONSTANT, "customers", set_to("plan", "basic")),
    (NEW, "events", set_to("event_type", "ereignis", 0.8)),
]


@pytest.mark.parametrize(("kind", "table", "change"), BROKEN, ids=lambda one: one if isinstance(one, str) else "")
def test_a_broken_month_is_blocked_and_the_sentence_says_what_to_do(kind: str, table: Table, change: Change) -> None:
    judgement = judged(table, change)
    blocking = [one for one in judgement.findings if one.blocking and one.kind == kind]
    assert blocking, judgement.sentence
    assert f"{table} {LAST}: " in blocking[0].sentence
    assert "; expected " in blocking[0].sentence
    assert f"`churn quality accept {table} {LAST} --kind {kind} --by NAME --reason WHY`" in blocking[0].sentence


@pytest.mark.parametrize("customers", [60, 300, 1_500])
def test_no_clean_month_is_blocked_whatever_its_size(customers: int) -> None:
    for table in TABLES:
        for month in MONTHS:
            judgement = judged(table, month=month, customers=customers)
            assert not judgement.blocks, judgement.sentence


REAL: list[tuple[str, Table, Change]] = [
    ("a price that rises by half", "payments", scaled("amount_cents", 1.5)),
    ("a new country of a tenth", "customers", set_to("country", "PL", 0.1)),
    ("a type that halves", "events", lambda rows: rows.filter((pl.col("event_type") != "feature_used") | some(0.5))),
    ("yearly payments of ten times as much, by a third", "payments", lambda rows: rows.with_columns(
        pl.when(some(0.33)).then(pl.col("amount_cents") * 10).otherwise("amount_cents").alias("amount_cents"))),
    ("a month of half the rows", "events", lambda rows: rows.filter(some(0.5))),
    ("two of few rows without a country", "customers", lacking("country", 0.04)),
]  # fmt: skip


@pytest.mark.parametrize(("table", "change"), [one[1:] for one in REAL], ids=[one[0] for one in REAL])
def test_a_real_change_is_let_pass(table: Table, change: Change) -> None:
    judgement = judged(table, change)
    assert not judgement.blocks, judgement.sentence


def test_a_new_category_below_its_share_is_reported_without_its_words() -> None:
    judgement = judged("customers", set_to("country", "Wonderland", 0.2))
    [told] = [one for one in judgement.findings if one.kind == NEW]
    assert not told.blocking
    assert told.column == "country"
    assert "Wonderland" not in told.sentence


def test_the_share_of_new_categories_is_a_setting() -> None:
    change = set_to("country", "PL", 0.4)
    assert not judged("customers", change).blocks
    assert judged("customers", change, rules=Quality(new_category_limit=0.1)).blocks


def test_with_too_few_earlier_months_nothing_is_blocked_and_nothing_is_fine() -> None:
    judgement = judged("events", pl.DataFrame.clear, month=MONTHS[3])
    assert not judgement.blocks
    assert [one.kind for one in judgement.findings] == [UNKNOWN]
    assert "too few earlier periods to tell" in judgement.sentence
    assert "2, expected 3 or more" in judgement.sentence


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({f"2025-03-{day:02}": 20 if day % 7 in (1, 2) else 500 for day in range(1, 22)}, ("2025-03-22", 20)),  # a Saturday
        ({f"2024-{month:02}-01": 4 if 5 <= month <= 9 else 900 for month in range(1, 13)}, ("2025-05-01", 4)),
    ],
    ids=["weekends", "a season"],
)
def test_what_is_quiet_each_week_or_each_year_is_not_taken_for_lost_rows(
    before: dict[str, int], now: tuple[str, int]
) -> None:
    clean = profile("events", LAST)
    earlier = [replace(clean, period=period, rows=rows) for period, rows in before.items()]
    assert not list(absent_rows(replace(clean, period=now[0], rows=now[1]), earlier, Quality()))
    assert list(
        absent_rows(
            replace(clean, period="2025-03-20" if "03" in now[0] else "2025-11-01", rows=now[1]), earlier, Quality()
        )
    )


@pytest.mark.parametrize("without", [pl.DataFrame.clear, lambda rows: rows.drop("country")], ids=["no rows", "no column"])
def test_one_month_without_rows_or_before_a_column_came_switches_no_rule_off(without: Change) -> None:
    months = [profile("customers", month) for month in MONTHS[1:-1]]
    months[1] = profile_of(
        without(rows_of("customers", MONTHS[2])), "customers", MONTHS[2], bounds_s=CALENDAR.bounds_s(MONTHS[2])
    )
    broken = lacking("country", 1.0)(rows_of("customers", LAST))
    judgement = judge(
        profile_of(broken, "customers", LAST, bounds_s=CALENDAR.bounds_s(LAST)),
        months,
        table="customers",
        rules=Quality(),
        cadence="monthly",
    )
    assert NULLS in {one.kind for one in judgement.findings if one.blocking}


def test_campaigns_come_and_go_and_are_not_compared() -> None:
    some_rows = rows_of("customers", LAST)
    months = [profile_of(some_rows, "treatments", month, bounds_s=CALENDAR.bounds_s(month)) for month in MONTHS[:-1]]
    none = profile_of(some_rows.clear(), "treatments", LAST, bounds_s=CALENDAR.bounds_s(LAST))
    judgement = judge(none, months, table="treatments", rules=Quality(), cadence="monthly")
    assert (judgement.findings, judgement.sentence) == ((), "0 rows, they are not compared")


@pytest.mark.parametrize(
    ("before", "now", "blocks"),
    [(0.0, 0.3, True), (0.0, 0.15, False), (0.5, 0.55, False), (0.5, 0.75, True)],
)
def test_features_may_be_missing_up_to_the_limit_or_as_often_as_before_and_a_margin(
    before: float, now: float, blocks: bool
) -> None:
    rows = pl.DataFrame({"spend": np.arange(1_000) % 97})
    snapshots = [
        profile_of(lacking("spend", before)(rows), "customer_features", month, bounds_s=None) for month in MONTHS[:-1]
    ]
    newest = profile_of(lacking("spend", now)(rows), "customer_features", LAST, bounds_s=None)
    judgement = judge(newest, snapshots, table="customer_features", rules=Quality(), cadence="monthly")
    assert judgement.blocks == blocks, judgement.sentence
    assert {one.kind for one in judgement.findings if one.blocking} == ({MISSING} if blocks else set())


def test_a_column_that_is_always_constant_gives_no_fault_and_no_number_that_is_none() -> None:
    rows = pl.DataFrame({"amount_cents": [1_900] * 400})
    months = [profile_of(rows, "payments", month, bounds_s=None) for month in MONTHS]
    judgement = judge(months[-1], months[:-1], table="customer_features", rules=Quality(), cadence="monthly")
    assert judgement.findings == ()
    assert unit_change({65: 400}, [{65: 400}] * 5) is None
    assert unit_change({85: 400}, [{65: 400}] * 5) == UnitChange(10.0, 1.0)


def lognormal(decades: float, mean: float = 3.0, seed: int = 0, rows: int = 500) -> dict[int, int]:
    drawn = np.random.default_rng(seed).normal(mean, decades, rows)
    bins, counts = np.unique(np.floor(drawn * 20).astype(int), return_counts=True)
    return dict(zip(bins.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("factor", [10, 60, 100, 1_000])
@pytest.mark.parametrize("decades", [0.0, 0.3, 0.8])
def test_the_factor_is_told_of_narrow_and_of_wide_distributions(factor: int, decades: float) -> None:
    earlier = [lognormal(decades, seed=seed) for seed in range(6)]
    for sign, expected in ((1, float(factor)), (-1, 1 / factor)):
        change = unit_change(lognormal(decades, 3 + sign * math.log10(factor), seed=9), earlier)
        assert change == UnitChange(expected, 1.0)


def test_a_column_that_has_moved_as_far_by_itself_is_not_taken_for_another_unit() -> None:
    moved_once = [lognormal(0.3, mean, seed=number) for number, mean in enumerate((2.0, 2.0, 2.0, 3.0, 3.0, 3.0))]
    steady = [lognormal(0.3, 3.0, seed=number) for number in range(6)]
    now = lognormal(0.3, 4.0, seed=9)
    assert unit_change(now, steady) == UnitChange(10.0, 1.0)
    assert unit_change(now, moved_once) is None


def test_a_profile_counts_when_rows_arrived_and_holds_no_id() -> None:
    rows = rows_of("events", LAST)
    found = profile_of(rows, "events", LAST, bounds_s=CALENDAR.bounds_s(LAST))
    assert len(found.arrivals) == SLICES
    assert sum(found.arrivals) == found.rows == rows.height
    assert "customer_id" not in found.columns
    assert "event_id" not in found.columns


ORDERS: list[Callable[[pl.DataFrame], pl.DataFrame]] = [
    pl.DataFrame.reverse,
    lambda rows: rows.sample(fraction=1, shuffle=True, seed=3),
]


@pytest.mark.parametrize("order", ORDERS)
def test_a_profile_is_the_same_in_whatever_order_the_rows_come(order: Change) -> None:
    rows, bounds_s = rows_of("events", LAST), CALENDAR.bounds_s(LAST)
    assert profile_of(order(rows), "events", LAST, bounds_s=bounds_s) == profile_of(rows, "events", LAST, bounds_s=bounds_s)


def test_a_month_that_says_what_the_month_before_said_was_delivered_twice() -> None:
    start_s, end_s = CALENDAR.bounds_s(LAST)
    former = rows_of("events", MONTHS[-2])
    moved = former.with_columns((pl.col(name) + 31 * 86_400).clip(start_s, end_s - 1) for name in ("occurred_s", "known_s"))
    again = judged("events", lambda _: moved.with_columns(pl.col("event_id") + "x"))
    [told] = [one for one in again.findings if one.kind == DUPLICATED]
    assert f"say what those of {MONTHS[-2]} said" in told.sentence
