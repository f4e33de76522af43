"""The engine reads as little as it can, and says what all rows of the lake would say."""

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.features.engines.base import History
from churn_assets.features.engines.open_engine import open_engine
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.lake.row_digest import digest
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.engine import Spark
from churn_assets.settings.events import EventRoles
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from tests.features.edges import SNAPSHOTS, from_all_rows, lake_of_edges


def bits(frame: pl.DataFrame) -> str:
    return digest(frame, key=["customer_id", "snapshot_s"])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return lake_of_edges(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize("customers_at_a_time", [1_000, 7])
def test_snapshots_from_what_is_in_reach_equal_those_from_all_rows_bit_by_bit(
    history: History, customers_at_a_time: int
) -> None:
    found = dict(PolarsEngine(customers_at_a_time).snapshots(history, SNAPSHOTS))
    assert list(found) == SNAPSHOTS
    for snapshot, frame in found.items():
        assert frame.height > 10
        assert bits(frame) == bits(from_all_rows(history, snapshot))


def test_a_snapshot_alone_equals_the_same_snapshot_after_others(history: History) -> None:
    after_others = dict(PolarsEngine().snapshots(history, SNAPSHOTS))
    for snapshot in SNAPSHOTS:
        [(_, alone)] = PolarsEngine().snapshots(history, [snapshot])
        assert bits(alone) == bits(after_others[snapshot])


def test_a_company_without_an_event_that_ends_customers_has_them_at_risk_again(tmp_path: Path) -> None:
    history = lake_of_edges(tmp_path, rule=AtRisk(cancelled_event=None))
    [(_, frame)] = PolarsEngine().snapshots(history, SNAPSHOTS[-1:])
    assert bits(frame) == bits(from_all_rows(history, SNAPSHOTS[-1]))


def test_roles_of_several_words_give_the_same_bits_and_count_a_day_once(tmp_path: Path, history: History) -> None:
    """`login` is an event without a role in the same rows of ``history``."""
    several = EventRoles(session=("session", "login"), ticket=("support_ticket", "export"))
    shared = lake_of_edges(tmp_path, roles=several)
    for (snapshot, frame), (_, of_one) in zip(
        PolarsEngine(7).snapshots(shared, SNAPSHOTS), PolarsEngine().snapshots(history, SNAPSHOTS), strict=True
    ):
        assert bits(frame) == bits(from_all_rows(shared, snapshot))
        assert frame["customer_id"].to_list() == of_one["customer_id"].to_list()
        assert frame["sessions_90d"].sum() > of_one["sessions_90d"].sum()
        assert frame["tickets_90d"].sum() > of_one["tickets_90d"].sum()
        assert (frame["active_days_90d"] <= frame["sessions_90d"]).all()
        assert frame.select("^event.*$").equals(of_one.select("^event.*$"))


def test_several_events_that_end_customers_end_them_whenever_they_came(tmp_path: Path) -> None:
    history = lake_of_edges(tmp_path, rule=AtRisk(cancelled_event=("cancelled", "export")))
    one = lake_of_edges(tmp_path / "one")
    for (snapshot, frame), (_, of_one) in zip(
        PolarsEngine(7).snapshots(history, SNAPSHOTS), PolarsEngine().snapshots(one, SNAPSHOTS), strict=True
    ):
        assert bits(frame) == bits(from_all_rows(history, snapshot))
        assert set(frame["customer_id"]) < set(of_one["customer_id"])


def test_a_company_with_payments_alone_has_snapshots(history: History) -> None:
    versions: dict[Table, int] = {table: version for table, version in history.versions.items() if table != "events"}
    features = tuple(feature for feature in history.features if "events" not in feature.tables)
    paying = History(history.lake, versions, history.calendar, features, history.rule, history.roles)
    [(_, frame)] = PolarsEngine().snapshots(paying, SNAPSHOTS[:1])
    assert frame.height > 10
    assert bits(frame) == bits(from_all_rows(paying, SNAPSHOTS[0]))


def test_rows_that_lie_in_an_earlier_period_than_they_became_known_count_from_then_on(tmp_path: Path) -> None:
    history = lake_of_edges(tmp_path)
    lake, (home, early) = history.lake, ("2025-04-01", "2025-05-01")
    for table in ("customers", "events", "payments"):
        both = pl.concat([lake.read(table, home), lake.read(table, early)])
        lake.replace(table, {home: both, early: both.clear()}, run_id="early")
    moved = History(
        lake,
        {table: lake.version(table) for table in history.versions},
        history.calendar,
        history.features,
        history.rule,
        history.roles,
    )
    for snapshot, frame in PolarsEngine().snapshots(moved, SNAPSHOTS[1:3]):
        assert bits(frame) == bits(from_all_rows(moved, snapshot))


def test_before_the_first_arrival_nobody_is_at_risk(history: History) -> None:
    [(_, frame)] = PolarsEngine().snapshots(history, [history.calendar.first])
    assert frame.height == 0
    assert frame.columns == ["customer_id", "snapshot_s", *(feature.name for feature in history.features)]


def test_each_period_is_read_once_and_a_new_snapshot_reads_only_its_own(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    collect = pl.LazyFrame.collect

    def counted(frame: pl.LazyFrame, **options: Any) -> Any:
        plan = frame.explain(optimized=False)
        if "period" in plan and "event_type" in plan:
            read.append(plan)
        return collect(frame, **options)

    monkeypatch.setattr(pl.LazyFrame, "collect", counted)
    snapshots = PolarsEngine().snapshots(history, SNAPSHOTS[:2])
    next(snapshots)
    first = len(read)
    next(snapshots)
    assert len(read) - first == 1


def test_spark_is_chosen_by_churn_yaml_and_says_how_to_install_it(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_engine("polars", Spark()), PolarsEngine)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    engine = open_engine("spark", Spark())
    with pytest.raises(InputError, match="make setup-spark"):
        next(engine.snapshots(history, SNAPSHOTS[:1]))
