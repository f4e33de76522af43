"""Which rows arrive in which period: a source that says when they became known, and one that does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.periods import Calendar, day_of, epoch_s, text
from churn_assets.raw.arrivals import arrivals
from churn_assets.raw.delivery import Ingested
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import QUARANTINE, SCHEMAS, Delivery, Table
from churn_store.model.signature import Column

CALENDAR = Calendar("monthly", date(2024, 1, 1))
JAN, FEB, MAR, APR = (f"2024-0{month}-01" for month in range(1, 5))


def at(day: str) -> int:
    return epoch_s(date.fromisoformat(day))


def end(key: str) -> int:
    return CALENDAR.bounds_s(key)[1]


@dataclass
class Feed:
    """A source whose rows a test changes from load to load."""

    recorded: bool = False
    rows: dict[Table, pl.DataFrame] = field(default_factory=dict)
    unreadable: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    attributes: tuple[Column, ...] = ()

    def given(self, table: Table) -> frozenset[str]:
        """None."""
        return frozenset()

    def numeric_words(self, table: Table) -> frozenset[str]:
        """None."""
        return frozenset()

    def says_when_known(self, table: Table) -> bool:
        """As the test says."""
        return self.recorded

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """See ``Source``."""
        rows = self.rows[table]
        if self.recorded:
            known = pl.col("known_s").is_between(pl.lit(start_s), pl.lit(end_s), closed="left")
            return Delivery(rows.filter(known), self.unreadable.filter(known.fill_null(value=True)))
        return Delivery(rows.filter(pl.col("occurred_s") < end_s).with_columns(known_s="occurred_s"), self.unreadable)

    def fingerprint(self) -> str:
        """Nobody asks."""
        return "feed"


@dataclass
class Loads:
    """What a lake has after some loads."""

    feed: Feed
    table: Table
    kept: dict[str, pl.DataFrame] = field(default_factory=dict)
    quarantine: dict[str, pl.DataFrame] = field(default_factory=dict)

    def rows(self, key: str, columns: Sequence[str] | None) -> pl.DataFrame:
        """A period's rows."""
        return self.kept[key] if columns is None else self.kept[key].select(columns)

    def load(self, *keys: str, anew: bool = False) -> Mapping[str, pl.DataFrame]:
        """Ingest periods; what was kept of each."""
        nothing = pl.DataFrame(schema=QUARANTINE)
        before = Ingested(set(self.kept), self.rows, lambda key: self.quarantine.get(key, nothing))
        found = {}
        for key, arrived in arrivals(self.feed, self.table, keys, CALENDAR, before, anew=anew):
            found[key] = self.kept[key] = arrived.delivery.rows
            self.quarantine[key] = arrived.delivery.unreadable
        return found


def events(rows: Sequence[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame([(name, "c", "x", when, when) for name, when in rows], schema=SCHEMAS["events"], orient="row")


def shop(rows: Sequence[tuple[str, int]], **feed: Any) -> Loads:
    return Loads(Feed(rows={"events": events(rows)}, **feed), "events")


def ids(frame: pl.DataFrame) -> list[str]:
    return sorted(frame["event_id"])


def test_the_first_load_knows_its_rows_when_they_happened_and_what_is_older_comes_first() -> None:
    loads = shop([("a", at("2019-05-05")), ("b", at(JAN)), ("c", at(FEB)), ("d", end(FEB))])
    found = loads.load(JAN, FEB)
    assert {key: ids(frame) for key, frame in found.items()} == {JAN: ["a", "b"], FEB: ["c"]}
    assert all((frame["known_s"] == frame["occurred_s"]).all() for frame in found.values())


def test_a_row_that_turns_up_later_is_known_at_that_load_and_no_earlier_period_changes() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB))])
    loads.load(JAN)
    before = loads.kept[JAN]
    loads.feed.rows["events"] = events([("late", at("2024-01-20")), ("a", at(JAN)), ("b", at(FEB))])
    found = loads.load(FEB)[FEB]
    assert dict(found.select("event_id", "known_s").rows()) == {"b": at(FEB), "late": end(FEB) - 1}
    assert loads.kept[JAN].equals(before)
    assert ids(loads.load(MAR)[MAR]) == []


def test_a_period_that_is_loaded_again_is_as_it_was_and_what_turned_up_since_waits_for_the_next() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB))])
    loads.load(JAN)
    loads.feed.rows["events"] = events([("a", at(JAN)), ("late", at(JAN) + 9), ("b", at(FEB))])
    loads.load(FEB)
    loads.feed.rows["events"] = events([("a", at(JAN)), ("late", at(JAN) + 9), ("b", at(FEB)), ("later", at(FEB) + 9)])
    again = {key: loads.load(key)[key].sort("event_id") for key in (FEB, JAN)}
    assert ids(again[JAN]) == ["a"]
    assert again[FEB].select("event_id", "known_s").rows() == [("b", at(FEB)), ("late", end(FEB) - 1)]
    assert loads.load(MAR)[MAR].select("event_id", "known_s").rows() == [("later", end(MAR) - 1)]


def test_after_some_time_off_each_row_comes_with_its_period_and_a_late_one_with_the_newest() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB)), ("c", at(MAR))])
    loads.load(JAN)
    loads.feed.rows["events"] = events([("a", at(JAN)), ("late", at(JAN)), ("b", at(FEB)), ("c", at(MAR))])
    assert {key: ids(frame) for key, frame in loads.load(FEB, MAR).items()} == {FEB: ["b"], MAR: ["c", "late"]}


def test_rows_of_a_period_that_is_missing_wait_for_it() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB)), ("c", at(MAR))])
    loads.load(JAN)
    assert ids(loads.load(MAR)[MAR]) == ["c"]
    assert ids(loads.load(FEB)[FEB]) == ["b"]
    assert loads.kept[FEB]["known_s"].to_list() == [at(FEB)]


def test_only_who_asks_for_it_loads_the_source_anew_and_then_all_of_it() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB))])
    loads.load(JAN)
    loads.load(FEB)
    loads.feed.rows["events"] = events([("a", at(JAN) + DAY_S), ("n", at(JAN)), ("b", at(FEB))])
    assert {key: ids(frame) for key, frame in loads.load(JAN, FEB).items()} == {JAN: ["a"], FEB: ["b"]}
    with pytest.raises(InputError, match="can be loaded anew only as a whole: 2024-02-01 to 2024-02-01 would stay"):
        loads.load(JAN, anew=True)
    assert {key: ids(frame) for key, frame in loads.load(JAN, FEB, anew=True).items()} == {JAN: ["a", "n"], FEB: ["b"]}


def test_a_period_that_is_mended_beside_later_ones_takes_nothing_that_turned_up_since() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB)), ("c", at(MAR))])
    loads.load(JAN)
    loads.load(MAR)
    loads.feed.rows["events"] = events([("a", at(JAN)), ("late", at(JAN) + 9), ("b", at(FEB)), ("c", at(MAR))])
    assert ids(loads.load(FEB)[FEB]) == ["b"]
    assert loads.load(APR)[APR].select("event_id", "known_s").rows() == [("late", end(APR) - 1)]


def test_a_source_that_gives_its_old_rows_other_ids_is_refused_until_all_is_loaded_anew() -> None:
    loads = shop([(f"a{n}", at(JAN) + n) for n in range(30)])
    loads.load(JAN)
    january = loads.kept[JAN]
    loads.feed.rows["events"] = events([*((f"b{n}", at(JAN) + n) for n in range(30)), ("c", at(FEB))])
    with pytest.raises(InputError, match=r"source\.events: of 30 rows .* 30 are not there by their ids.* --anew"):
        loads.load(FEB)
    assert loads.kept == {JAN: january}
    assert {key: frame.height for key, frame in loads.load(JAN, FEB, anew=True).items()} == {JAN: 30, FEB: 1}


def test_a_source_that_no_longer_has_its_old_rows_is_read_on() -> None:
    loads = shop([(f"a{n}", at(JAN) + n) for n in range(30)])
    loads.load(JAN)
    loads.feed.rows["events"] = events([("c", at(FEB))])
    assert ids(loads.load(FEB)[FEB]) == ["c"]


def test_a_row_that_a_later_period_has_already_is_not_taken_into_one_that_is_mended() -> None:
    rows = [("x", "c", "x", at(JAN), at(FEB)), ("x", "c", "x", at(JAN), at(MAR)), ("y", "c", "x", at(FEB), at(FEB))]
    feed = Feed(recorded=True, rows={"events": pl.DataFrame(rows, schema=SCHEMAS["events"], orient="row")})
    loads = Loads(feed, "events")
    loads.load(JAN)
    assert ids(loads.load(MAR)[MAR]) == ["x"]
    assert ids(loads.load(FEB)[FEB]) == ["y"]


def bad(row: str, known_s: int | None) -> pl.DataFrame:
    return pl.DataFrame([("a time", "when", "?", row, known_s)], schema=QUARANTINE, orient="row")


@pytest.mark.parametrize("recorded", [False, True])
def test_an_unreadable_row_without_a_time_is_held_once_with_the_newest_period(recorded: bool) -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB)), ("c", at(MAR))], recorded=recorded, unreadable=bad("{}", None))
    loads.load(JAN, FEB)
    assert {key: frame.height for key, frame in loads.quarantine.items()} == {JAN: 0, FEB: 1}
    loads.load(MAR)
    assert loads.quarantine[MAR].height == 0
    loads.load(FEB)
    assert loads.quarantine[FEB].height == 1
    loads.load(JAN)
    assert loads.quarantine[JAN].height == 0


def test_an_unreadable_row_is_held_in_its_period_and_if_it_turned_up_later_in_that_one() -> None:
    loads = shop([("a", at(JAN)), ("b", at(FEB))], unreadable=bad("{1}", at(JAN)))
    loads.load(JAN)
    loads.feed.unreadable = pl.concat([loads.feed.unreadable, bad("{2}", at(JAN))])
    loads.load(FEB)
    assert [loads.quarantine[key]["row"].to_list() for key in (JAN, FEB)] == [["{1}"], ["{2}"]]


def test_of_a_source_that_says_when_a_row_came_again_in_a_later_period_is_told_apart() -> None:
    rows = [("a", "c", "x", at(JAN), at(JAN)), ("b", "c", "x", at(FEB), at(FEB)), ("a", "c", "x", at(JAN), at(MAR))]
    loads = Loads(
        Feed(recorded=True, rows={"events": pl.DataFrame(rows, schema=SCHEMAS["events"], orient="row")}), "events"
    )
    nothing = pl.DataFrame(schema=QUARANTINE)
    kept = loads.kept
    again = {}
    for key, arrived in arrivals(
        loads.feed, "events", [JAN, FEB, MAR], CALENDAR, Ingested((), loads.rows, lambda _: nothing)
    ):
        kept[key] = arrived.delivery.rows
        again[key] = arrived.again["event_id"].to_list()
    assert {key: ids(frame) for key, frame in kept.items()} == {JAN: ["a"], FEB: ["b"], MAR: []}
    assert again == {JAN: [], FEB: [], MAR: ["a"]}


def test_a_row_of_another_age_of_the_world_is_left_to_the_contract() -> None:
    rows = [("a", "c", "x", -(10**12), at(JAN)), ("b", "c", "x", at(JAN), at(JAN))]
    feed = Feed(recorded=True, rows={"events": pl.DataFrame(rows, schema=SCHEMAS["events"], orient="row")})
    assert ids(Loads(feed, "events").load(JAN)[JAN]) == ["a", "b"]


def customers(rows: Sequence[tuple[str, int, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(name, since, since, since, plan) for name, since, plan in rows],
        schema={**SCHEMAS["customers"], "plan": pl.String},
        orient="row",
    ).select("customer_id", "occurred_s", "known_s", "signed_up_s", "plan")


def test_a_customer_whose_record_changed_has_a_new_version_from_that_load_on() -> None:
    feed = Feed(rows={"customers": customers([("c", at(JAN), "free"), ("d", at(JAN), "pro")])})
    loads = Loads(feed, "customers")
    loads.load(JAN)
    january = loads.kept[JAN]
    feed.rows["customers"] = customers([("c", at(JAN), "pro"), ("d", at(JAN), "pro"), ("e", at(FEB), "free")])
    found = loads.load(FEB)[FEB].sort("customer_id")
    assert found.select("customer_id", "occurred_s", "known_s", "plan").rows() == [
        ("c", end(FEB) - 1, end(FEB) - 1, "pro"),
        ("e", at(FEB), at(FEB), "free"),
    ]
    feed.rows["customers"] = customers([("c", at(JAN), "free"), ("d", at(JAN), "pro"), ("e", at(FEB), "free")])
    assert loads.load(JAN)[JAN].sort("customer_id").equals(january.sort("customer_id"))
    assert loads.load(FEB)[FEB].sort("customer_id").equals(found)
    assert loads.load(MAR)[MAR].select("customer_id", "plan").rows() == [("c", "free")]
    assert loads.load(APR)[APR].height == 0


def test_a_record_that_turned_bad_is_held_once_and_not_again_with_every_load() -> None:
    feed = Feed(rows={"customers": customers([("c", at(JAN), "free"), ("d", at(JAN), "pro")])})
    loads = Loads(feed, "customers")
    loads.load(JAN)
    feed.rows["customers"] = customers([("c", at(JAN), "?"), ("d", at(JAN), "pro")])
    [bad_one] = loads.load(FEB)[FEB].rows(named=True)
    assert bad_one["plan"] == "?"
    # The contract sets it aside: so the table does not have it, and the quarantine does.
    row = loads.kept[FEB].select(pl.struct(pl.exclude("known_s")).struct.json_encode().alias("row"), "known_s")
    nothing = pl.lit("?")
    loads.quarantine[FEB] = row.select(
        nothing.alias("rule"), nothing.alias("column"), nothing.alias("value"), "row", "known_s"
    )
    loads.kept[FEB] = loads.kept[FEB].clear()
    assert loads.load(MAR)[MAR].height == 0


def test_a_change_that_is_seen_while_an_old_period_is_mended_is_not_dated_back_to_it() -> None:
    feed = Feed(rows={"customers": customers([("c", at(JAN), "free"), ("d", at(FEB), "pro")])})
    loads = Loads(feed, "customers")
    loads.load(JAN)
    loads.load(MAR)
    feed.rows["customers"] = customers([("c", at(JAN), "pro"), ("d", at(FEB), "pro")])
    assert loads.load(FEB)[FEB].select("customer_id", "plan").rows() == [("d", "pro")]
    assert loads.load(APR)[APR].select("customer_id", "occurred_s", "plan").rows() == [("c", end(APR) - 1, "pro")]


days = st.integers(at(JAN) - 40 * DAY_S, end(APR) - 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(days, st.integers(0, 3)), max_size=25), st.sampled_from([1, 2]))
def test_however_rows_turn_up_each_is_in_the_lake_once_and_never_before_it_was_there(
    drawn: list[tuple[int, int]], step: int
) -> None:
    """Each row has the load from which on the source has it."""
    keys = [JAN, FEB, MAR, APR]
    turned_up = [(f"e{i}", when, load) for i, (when, load) in enumerate(drawn)]
    loads = shop([])
    for first in range(0, len(keys), step):
        now = first + step - 1
        loads.feed.rows["events"] = events([(name, when) for name, when, load in turned_up if load <= now])
        loads.load(*keys[first : first + step])
        for key in keys[:first]:
            before = loads.kept[key]
            assert loads.load(key)[key].sort("event_id").equals(before.sort("event_id"))
    whole = pl.concat(frame.with_columns(pl.lit(key).alias("key")) for key, frame in loads.kept.items())
    assert ids(whole) == sorted(name for name, *_ in turned_up)
    for name, when, load in turned_up:
        [(key, known_s)] = whole.filter(event_id=name).select("key", "known_s").rows()
        start_s, end_s = CALENDAR.bounds_s(key)
        assert when <= known_s < end_s
        assert known_s >= start_s or key == JAN
        own = max(JAN, text(CALENDAR.floor(day_of(when))))
        assert keys.index(key) // step == max(keys.index(own) // step, load // step)
