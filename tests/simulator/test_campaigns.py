"""Campaigns of the synthetic company: an effect that is known, the true AUC under it, and a company without them as it was."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from churn_assets.simulator.campaigns import Campaign
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_assets.treatments.weights import treatment_weights
from churn_store.clock import DAY_S
from churn_store.mapping.tables import KEYS, SCHEMAS, Table

DAY = date(2025, 6, 1)
T_S = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
HORIZON_S = 30 * DAY_S
EVER_S = 2**62
END_S = int(datetime(2024, 7, 1, tzinfo=UTC).timestamp())
CUSTOMERS = 60_000

AS_BEFORE: dict[tuple[float, Table], str] = {
    (0.0, "customers"): "926a38d3af566dc8", (0.0, "events"): "a00f0eeb99775a41", (0.0, "payments"): "6bb047995baf6364",
    (0.02, "customers"): "1c9ffdefa154d93f", (0.02, "events"): "73467d54cd6f29a8", (0.02, "payments"): "1cb8c21b5848622f",
}  # fmt: skip
"""Digests of the tables of a small company as they were before there were campaigns, by dirt."""
FINGERPRINTS = {0.0: "cf9075c796686927", 0.02: "1b5c037f4f6e0811"}


def company(*campaigns: Campaign, customers: int = CUSTOMERS) -> SyntheticSource:
    return SyntheticSource(SyntheticSettings(customers=customers, campaigns=campaigns))


def left(source: SyntheticSource, customers: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each customer leaves within the horizon."""
    gone = source.read("events", T_S, T_S + HORIZON_S + 3 * DAY_S).rows.filter(
        pl.col("event_type") == "cancelled", pl.col("occurred_s") < T_S + HORIZON_S
    )
    return customers.is_in(gone["customer_id"].implode()).to_numpy()


def listed(source: SyntheticSource) -> pl.DataFrame:
    return source.read("treatments", T_S, T_S + 1).rows.rename({"occurred_s": "assigned_s"})


@dataclass(frozen=True)
class World:
    """Everybody at a day, with what becomes of them without a campaign and under one."""

    customers: pl.Series
    score: npt.NDArray[np.float64]
    true: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.bool_]
    treatments: pl.DataFrame


@pytest.fixture(scope="module")
def world() -> World:
    treated = company(Campaign(day=DAY, share=0.1, holdout=0.1, keeps=0.3))
    customers = listed(company(Campaign(day=DAY, share=1, keeps=0)))["customer_id"]
    score = treated.probability_of_leaving(customers.to_list(), T_S, HORIZON_S)
    return World(customers, score, left(company(), customers), left(treated, customers), listed(treated))


def test_leaving_the_treated_out_and_weighing_those_held_out_gives_the_true_auc(world: World) -> None:
    weights = treatment_weights(
        world.customers, world.treatments, snapshot_s=T_S, horizon_s=HORIZON_S, everyone=world.customers
    )
    weight = weights.rows["weight"].to_numpy()
    true, seen = roc_auc_score(world.true, world.score), roc_auc_score(world.seen, world.score)
    left_out = roc_auc_score(world.seen[weight > 0], world.score[weight > 0])
    weighted = roc_auc_score(world.seen, world.score, sample_weight=weight)
    assert weights.state == "weighted"
    assert seen < true - 0.02
    assert left_out < seen - 0.01
    assert abs(weighted - true) < 0.01
    assert np.average(world.seen, weights=weight) == pytest.approx(world.true.mean(), rel=0.05)


def test_the_effect_is_the_one_that_is_asked_for_and_touches_nobody_else(world: World) -> None:
    treated = world.customers.is_in(world.treatments.filter("treated")["customer_id"].implode()).to_numpy()
    kept = world.true & ~world.seen
    assert not kept[~treated].any()
    assert not (world.seen & ~world.true)[~treated].any()
    assert kept.sum() / world.true[treated].sum() == pytest.approx(0.3, abs=0.05)


def test_the_list_holds_those_most_likely_to_leave_and_a_tenth_of_it_is_held_out(world: World) -> None:
    on_list = world.customers.is_in(world.treatments["customer_id"].implode()).to_numpy()
    assert on_list.mean() == pytest.approx(0.1, abs=0.001)
    assert world.score[on_list].mean() > 3 * world.score[~on_list].mean()
    assert 1 - world.treatments["treated"].cast(pl.Float64).mean() == pytest.approx(0.1, abs=0.02)
    assert set(world.treatments["propensity"]) == {0.9}


def test_the_table_is_canonical_the_same_on_each_read_and_in_its_period_only() -> None:
    campaigns = (Campaign(day=date(2024, 5, 1), by="random", share=0.3, holdout=0.5, channel="mail", offer="month free"),
                 Campaign(day=date(2024, 5, 20), share=0.2))  # fmt: skip
    source, again = company(*campaigns, customers=1_000), company(*campaigns, customers=1_000)
    rows = source.read("treatments", -EVER_S, EVER_S).rows
    assert dict(rows.schema) == SCHEMAS["treatments"]
    assert not rows.select(KEYS["treatments"]).is_duplicated().any()
    again.read("events", -EVER_S, END_S)
    assert again.read("treatments", -EVER_S, EVER_S).rows.equals(rows)
    first = rows.filter(pl.col("channel") == "mail")
    day_s = int(first["occurred_s"][0])
    assert source.read("treatments", day_s, day_s + 1).rows.equals(first)
    assert source.read("treatments", day_s + 1, day_s + 2).rows.is_empty()
    assert source.read("events", -EVER_S, END_S).rows.equals(again.read("events", -EVER_S, END_S).rows)


@pytest.mark.parametrize("dirt", [0.0, 0.02])
def test_a_company_without_campaigns_is_the_one_it_was_byte_by_byte(dirt: float) -> None:
    more = {"dirt": 0.02, "scenario": {"kind": "competitor", "start": "2024-03-01"}} if dirt else {}
    source = SyntheticSource(SyntheticSettings.model_validate({"customers": 1_000, "months": 6, **more}))
    start_s, end_s = (int(datetime(2024, month, 1, tzinfo=UTC).timestamp()) for month in (1, 7))
    tables: tuple[Table, ...] = ("customers", "events", "payments")
    for table in tables:
        written = source.read(table, start_s, end_s).rows.write_csv().encode()
        assert hashlib.sha256(written).hexdigest()[:16] == AS_BEFORE[dirt, table]
    assert source.fingerprint()[:16] == FINGERPRINTS[dirt]
    assert source.read("treatments", -EVER_S, EVER_S).rows.is_empty()


@pytest.mark.parametrize(
    ("campaigns", "said"),
    [
        ([{"day": "2023-12-31"}], "before the first day with data"),
        ([{"day": "2024-05-01"}, {"day": "2024-05-01", "share": 0.2}], "two campaigns are on one day"),
        ([{"day": "2024-05-01", "holdout": 1}], "less than 1"),
    ],
)
def test_campaigns_that_can_not_be_are_refused(campaigns: list[dict[str, object]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SyntheticSettings.model_validate({"campaigns": campaigns})
