"""When a customer was last seen: the newest event or payment of any kind in a real lake, and nothing from T on."""

from pathlib import Path

import polars as pl
import pytest

from churn_assets.evaluation.baselines import LAST_SEEN, RECENCY, baselines
from churn_assets.evaluation.last_activity import with_last_activity
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar, epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from tests.evaluation.rows import model, training_set
from tests.features.company import SNAPSHOT, T, event_rows, payment_rows
from tests.features.edges import CALENDAR, SNAPSHOTS, lake_of_edges

BOTH: tuple[Table, ...] = ("customers", "events", "payments")


def written(folder: Path, events: pl.DataFrame, payments: pl.DataFrame, period: str = "2025-06-01") -> Lake:
    lake = Lake(str(folder))
    for table, rows in (("events", events), ("payments", payments)):
        lake.replace(table, {period: rows}, run_id="r")
    return lake


def days(lake: Lake, *customers: str, tables: tuple[Table, ...] = BOTH, rule: AtRisk | None = None) -> list[float | None]:
    rows = pl.DataFrame({"customer_id": customers, "snapshot_s": [T] * len(customers)})
    seen = with_last_activity(
        lake, rows, tables=tables, calendar=Calendar("monthly", CALENDAR.start), rule=rule or AtRisk()
    )
    assert seen["customer_id"].to_list() == list(customers)
    return seen[LAST_SEEN].to_list()


def test_an_event_of_any_type_and_a_payment_of_any_status_are_activity(tmp_path: Path) -> None:
    lake = written(
        tmp_path,
        event_rows([("b", "no role at all", 4 * DAY_S, 0), ("b", "session", 9 * DAY_S, 0), ("a", "x", 30 * DAY_S, 0)]),
        payment_rows([("a", "failed", 100, 2 * DAY_S, 0), ("b", "settled", 100, 7 * DAY_S, 0)]),
    )
    assert days(lake, "b", "a", "nobody") == [4.0, 2.0, None]
    assert days(lake, "b", "a", tables=("customers", "payments")) == [7.0, 2.0]


@pytest.mark.parametrize(("age", "delay"), [(0, 0), (-5, 0), (DAY_S, DAY_S)])
def test_what_happened_or_became_known_at_the_snapshot_or_later_is_not_seen(tmp_path: Path, age: int, delay: int) -> None:
    lake = written(tmp_path, event_rows([("a", "session", age, delay), ("a", "session", 3 * DAY_S, 0)]), payment_rows([]))
    assert days(lake, "a") == [3.0]


def test_everybody_at_risk_was_seen_and_no_feature_says_a_later_sight(tmp_path: Path) -> None:
    history = lake_of_edges(tmp_path)
    for snapshot, frame in PolarsEngine().snapshots(history, SNAPSHOTS):
        seen = with_last_activity(history.lake, frame, tables=BOTH, calendar=CALENDAR, rule=history.rule)
        assert seen.drop(LAST_SEEN).equals(frame)
        assert 0 < seen[LAST_SEEN].min() <= seen[LAST_SEEN].max() <= history.rule.active_days
        since = pl.min_horizontal("days_since_last_login", "days_since_last_ticket", "days_since_last_payment")
        assert (seen.select(since.fill_null(999) >= pl.col(LAST_SEEN)).to_series()).all()
        rows = history.lake.scan("events").filter(pl.col("known_s") < epoch_s(snapshot), pl.col(PERIOD) < str(snapshot))
        assert rows.collect().height


def test_the_recency_rule_goes_by_it_where_no_feature_tells(tmp_path: Path) -> None:
    rows = training_set()
    blind = rows.with_columns(days_since_last_login=pl.lit(None, dtype=pl.Float64))
    seen = blind.with_columns(rows["days_since_last_login"].alias(LAST_SEEN))
    signature = model(rows).signature
    assert (baselines(seen, signature)[RECENCY] == baselines(rows, signature)[RECENCY]).all()
    assert len(set(baselines(blind, signature)[RECENCY])) == 1
    assert SNAPSHOTS[2] == SNAPSHOT
    assert with_last_activity(Lake(str(tmp_path)), rows, tables=BOTH, calendar=None, rule=AtRisk()) is rows
