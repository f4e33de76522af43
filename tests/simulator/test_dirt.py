"""Dirt of the synthetic company: the contracts set aside exactly what it spoiled and repeated; the rest is clean or late."""

from datetime import date

import polars as pl
import pytest

from churn_assets.contracts import Sifted, sift
from churn_assets.periods import epoch_s
from churn_assets.raw.contracts import raw_contract
from churn_assets.simulator.dirt import LONGEST_DELAY_DAYS
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S
from churn_store.mapping.tables import KEYS, Table

TABLES: tuple[Table, ...] = ("customers", "events", "payments")
START_S, END_S = epoch_s(date(2024, 1, 1)), epoch_s(date(2024, 7, 1))
LATEST_S = END_S + (LONGEST_DELAY_DAYS + 1) * DAY_S
SHARE = 0.08
KNOWN_KINDS = {
    "customers": {
        ("no missing values", "customer_id"),
        ("no missing values", "signed_up_s"),
        ("no missing values", "plan"),
        ("no missing values", "country"),
        ("1 to 256 characters", "customer_id"),
        ("1900-01-01 or later, in seconds since 1970", "occurred_s"),
        ("1900-01-01 or later, in seconds since 1970", "signed_up_s"),
        ("one row a customer_id, occurred_s", "customer_id, occurred_s"),
    },
    "events": {
        ("no missing values", "customer_id"),
        ("no missing values", "event_type"),
        ("1 to 256 characters", "customer_id"),
        ("1 to 256 characters", "event_type"),
        ("1900-01-01 or later, in seconds since 1970", "occurred_s"),
        ("one row a event_id", "event_id"),
    },
    "payments": {
        ("no missing values", "customer_id"),
        ("no missing values", "amount_cents"),
        ("no missing values", "status"),
        ("0 to 100,000,000,000 cents", "amount_cents"),
        ("one of settled, failed, refunded", "status"),
        ("1900-01-01 or later, in seconds since 1970", "occurred_s"),
        ("one row a payment_id", "payment_id"),
    },
}


def rows(table: Table, dirt: float) -> pl.DataFrame:
    """Everything that happened before ``END_S``, however late it is delivered."""
    company = SyntheticSource(SyntheticSettings(customers=6_000, dirt=dirt))
    return company.read(table, START_S, LATEST_S).rows.filter(pl.col("occurred_s") < END_S)


@pytest.fixture(scope="module")
def clean() -> dict[Table, pl.DataFrame]:
    return {table: rows(table, 0.0) for table in TABLES}


@pytest.fixture(scope="module")
def dirty(clean: dict[Table, pl.DataFrame]) -> dict[Table, pl.DataFrame]:
    found = {table: rows(table, SHARE) for table in TABLES}
    # A time of 1850 hides what happened after END_S; ids are never spoiled.
    ids: dict[Table, str] = {"events": "event_id", "payments": "payment_id"}
    for table, name in ids.items():
        found[table] = found[table].join(clean[table], on=name, how="semi")
    return found


@pytest.fixture(scope="module")
def sifted(dirty: dict[Table, pl.DataFrame]) -> dict[Table, Sifted]:
    attributes = SyntheticSource(SyntheticSettings()).attributes
    return {table: sift(raw_contract(table, attributes), dirty[table]) for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_what_the_contract_keeps_is_clean_but_for_late_rows(
    clean: dict[Table, pl.DataFrame], sifted: dict[Table, Sifted], table: Table
) -> None:
    content = [name for name in clean[table].columns if name != "known_s"]
    kept = sifted[table].kept.join(clean[table], on=content, how="left", suffix="_clean")
    assert kept["known_s_clean"].null_count() == 0
    assert kept.filter(pl.col("known_s") < pl.col("known_s_clean")).is_empty()
    if table == "events":
        kept = kept.filter(pl.col("event_type") != "cancelled")
    late = kept.filter(pl.col("known_s") > pl.col("known_s_clean"))
    assert late.height / kept.height == pytest.approx(SHARE / 4, rel=0.3)


@pytest.mark.parametrize("table", TABLES)
def test_what_the_contract_sets_aside_is_dirty_and_nothing_dirty_is_kept(
    clean: dict[Table, pl.DataFrame], dirty: dict[Table, pl.DataFrame], sifted: dict[Table, Sifted], table: Table
) -> None:
    content = [name for name in clean[table].columns if name != "known_s"]
    spoiled = dirty[table].join(clean[table], on=content, how="anti", nulls_equal=True)
    repeated = dirty[table].join(clean[table], on=content, how="semi").filter(~pl.struct(KEYS[table]).is_first_distinct())
    again = sifted[table].set_aside["rule"].str.starts_with("one row a")
    assert (~again).sum() == spoiled.height > 50
    assert again.sum() == repeated.height > 50
    assert sifted[table].kept.height + spoiled.height + repeated.height == dirty[table].height
    assert sifted[table].kept.height + spoiled.height == clean[table].height


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_of_dirt_breaks_its_rule(sifted: dict[Table, Sifted], table: Table) -> None:
    assert set(sifted[table].set_aside.select("rule", "column").rows()) == KNOWN_KINDS[table]


@pytest.mark.parametrize("table", TABLES)
def test_the_share_is_the_share_of_the_rows_that_are_hit(
    clean: dict[Table, pl.DataFrame], dirty: dict[Table, pl.DataFrame], table: Table
) -> None:
    whole = clean[table].columns
    untouched = clean[table].join(dirty[table].unique(KEYS[table], keep="first", maintain_order=True), on=whole, how="semi")
    repeated = dirty[table].height - clean[table].height
    hit = (clean[table].height - untouched.height + repeated) / clean[table].height
    assert hit == pytest.approx(SHARE, rel=0.2)


@pytest.mark.parametrize("table", TABLES)
def test_some_repetitions_come_in_the_same_period_and_some_in_a_later_one(
    dirty: dict[Table, pl.DataFrame], table: Table
) -> None:
    month = pl.from_epoch("known_s").dt.month()
    keys = (
        dirty[table].filter(pl.struct(KEYS[table]).is_duplicated()).group_by(KEYS[table]).agg(month.n_unique().alias("n"))
    )
    assert set(keys["n"]) == {1, 2}


def test_cancellations_lose_nothing_but_time(clean: dict[Table, pl.DataFrame], dirty: dict[Table, pl.DataFrame]) -> None:
    content = [name for name in clean["events"].columns if name != "known_s"]
    was, came = (side["events"].filter(event_type="cancelled") for side in (clean, dirty))
    assert came.select(content).equals(was.select(content))
    days = came.join(was, on="event_id").select((pl.col("known_s") - pl.col("known_s_right")) / DAY_S).to_series()
    assert 0.6 < (days > 0).mean() < 0.95
    assert days.filter(days > 0).is_between(2, LONGEST_DELAY_DAYS).all()


def test_another_seed_hits_other_rows_and_more_dirt_hits_the_same_ones_and_more(clean: dict[Table, pl.DataFrame]) -> None:
    company = SyntheticSource(SyntheticSettings(customers=6_000, dirt=SHARE / 2))
    less = company.read("payments", START_S, LATEST_S).rows.filter(pl.col("occurred_s") < END_S)
    more = rows("payments", SHARE)

    def hit(frame: pl.DataFrame) -> set[str]:
        untouched = frame.join(clean["payments"], on=frame.columns, how="semi")
        return set(clean["payments"]["payment_id"]) - set(untouched["payment_id"])

    assert hit(less) < hit(more)
