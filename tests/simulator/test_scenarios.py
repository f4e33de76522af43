"""Scenarios of the synthetic company: nothing before the day, exactly what was announced from the day on."""

from datetime import date
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from churn_assets.contracts import sift
from churn_assets.periods import epoch_s
from churn_assets.raw.contracts import raw_contract
from churn_assets.simulator.law import GONE, LEAVES
from churn_assets.simulator.scenarios import Kind, Scenario
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

TABLES: tuple[Table, ...] = ("customers", "events", "payments")
KINDS = tuple(kind for kind in get_args(Kind) if kind != "none")
DAY = date(2024, 9, 15)
START_S, DAY_0_S, END_S = epoch_s(date(2024, 1, 1)), epoch_s(DAY), epoch_s(date(2025, 3, 1))


def company(kind: Kind, customers: int = 3_000) -> SyntheticSource:
    scenario = Scenario(kind=kind, start=None if kind == "none" else DAY)
    return SyntheticSource(SyntheticSettings(customers=customers, scenario=scenario))


@pytest.fixture(scope="module")
def tables() -> dict[Kind, dict[Table, pl.DataFrame]]:
    return {kind: {table: company(kind).read(table, START_S, END_S).rows for table in TABLES} for kind in ("none", *KINDS)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrived_before_the_day_is_that_of_the_company_without_it_and_some_of_the_rest_is_not(
    tables: dict[Kind, dict[Table, pl.DataFrame]], kind: Kind
) -> None:
    same = []
    for table in TABLES:
        before = pl.col("known_s") < DAY_0_S
        assert tables[kind][table].filter(before).equals(tables["none"][table].filter(before))
        assert tables[kind][table].filter(before).height > 1_000
        same.append(tables[kind][table].equals(tables["none"][table]))
    assert not all(same)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", TABLES)
def test_its_rows_keep_the_contract_but_for_the_countries_that_the_bug_loses(
    tables: dict[Kind, dict[Table, pl.DataFrame]], kind: Kind, table: Table
) -> None:
    set_aside = sift(raw_contract(table, company(kind).attributes), tables[kind][table]).set_aside
    if kind == "tracking_bug" and table == "customers":
        assert set(set_aside["column"]) == {"country"}
        assert set(set_aside["rule"]) == {"no missing values"}
        arrived = tables[kind][table].filter(pl.col("known_s") >= DAY_0_S).height
        assert 0.2 < set_aside.height / arrived < 0.5
    else:
        assert set_aside.is_empty()


def test_a_price_increase_raises_list_prices_and_moves_people_but_no_hazard(
    tables: dict[Kind, dict[Table, pl.DataFrame]],
) -> None:
    after = tables["price_increase"]["payments"].filter(pl.col("due_s") >= DAY_0_S)
    assert set(after["list_cents"]) == {2_400, 6_400}
    before = tables["price_increase"]["payments"].filter(pl.col("due_s") < DAY_0_S)
    assert set(before["list_cents"]) == {1_900, 4_900}
    laws = Scenario(kind="price_increase", start=DAY).laws(0.06)
    assert np.array_equal(laws.before.probability[:, :, LEAVES], laws.after.probability[:, :, LEAVES])
    changes = [
        tables[kind]["customers"]
        .filter(pl.col("occurred_s") >= DAY_0_S, pl.col("occurred_s") > pl.col("signed_up_s"))
        .height
        for kind in ("none", "price_increase")
    ]
    assert changes[1] > 2 * changes[0]


def test_a_competitor_changes_who_leaves_and_the_prediction_stays_exact_over_a_window_that_spans_the_day() -> None:
    changed, unchanged = company("competitor", 30_000), company("none", 30_000)
    for snapshot_s, days in ((DAY_0_S - 15 * DAY_S, 30), (DAY_0_S, 30)):
        end_s = snapshot_s + days * DAY_S
        left = changed.read("events", START_S, end_s).rows.filter(event_type="cancelled")
        present = (
            changed.read("customers", START_S, snapshot_s)
            .rows.select("customer_id")
            .unique()
            .join(left.filter(pl.col("occurred_s") < snapshot_s), on="customer_id", how="anti")["customer_id"]
            .sort()
        )
        leaves = present.is_in(left["customer_id"].implode()).to_numpy()
        exact = changed.probability_of_leaving(present.to_list(), snapshot_s, days * DAY_S)
        assert abs(leaves.sum() - exact.sum()) < 4 * np.sqrt((exact * (1 - exact)).sum())
        for third in np.array_split(np.argsort(exact), 3):
            spread = np.sqrt((exact[third] * (1 - exact[third])).sum())
            assert abs(leaves[third].sum() - exact[third].sum()) < 4 * spread
        if snapshot_s == DAY_0_S:
            former = unchanged.probability_of_leaving(present.to_list(), snapshot_s, days * DAY_S)
            assert roc_auc_score(leaves, former) < roc_auc_score(leaves, exact) - 0.1


def test_a_tracking_bug_changes_rows_and_no_behaviour(tables: dict[Kind, dict[Table, pl.DataFrame]]) -> None:
    bug, fine = tables["tracking_bug"], tables["none"]
    after = pl.col("occurred_s") >= DAY_0_S
    assert "feature_used" in set(bug["events"].filter(~after)["event_type"])
    assert "feature_used" not in set(bug["events"].filter(after)["event_type"])
    assert bug["events"].equals(fine["events"].filter(~after | (pl.col("event_type") != "feature_used")))
    paid = bug["payments"].join(fine["payments"], on="payment_id").filter(after)
    assert paid.filter(pl.col("amount_cents") != pl.col("amount_cents_right") // 100).is_empty()
    assert paid.filter(pl.col("list_cents") != pl.col("list_cents_right") // 100).is_empty()
    assert bug["payments"].height == fine["payments"].height
    assert bug["customers"].drop("country").equals(fine["customers"].drop("country"))
    ids = fine["customers"].filter(pl.col("signed_up_s") > END_S - 30 * DAY_S)["customer_id"].to_list()
    staying = [name for name in ids if name not in set(fine["events"].filter(event_type="cancelled")["customer_id"])]
    with_bug, without = (
        company(kind).probability_of_leaving(staying, END_S, 30 * DAY_S) for kind in ("tracking_bug", "none")
    )
    assert np.array_equal(with_bug, without)


def test_a_new_country_brings_its_own_customers_with_other_plans_and_leaves_the_others_alone(
    tables: dict[Kind, dict[Table, pl.DataFrame]],
) -> None:
    grown, alone = tables["new_country"], tables["none"]
    abroad = grown["customers"].filter(country="PL")
    for table in TABLES:
        elsewhere = grown[table].filter(~pl.col("customer_id").is_in(abroad["customer_id"].implode()))
        assert elsewhere.equals(alone[table])
    assert abroad["signed_up_s"].min() >= DAY_0_S
    sign_ups = grown["customers"].filter(pl.col("signed_up_s") >= DAY_0_S).unique("customer_id")
    assert sign_ups.filter(country="PL").height / sign_ups.height == pytest.approx(1 / 3, abs=0.03)
    free = sign_ups.group_by("country").agg((pl.col("plan") == "free").mean())
    assert free.filter(country="PL")["plan"].item() > 0.6
    assert free.filter(country="DE")["plan"].item() < 0.5
    assert not set(alone["customers"]["country"]) & {"PL"}
    newest = abroad.sort("signed_up_s")["customer_id"].to_list()[-1]
    assert 0 < company("new_country").probability_of_leaving([newest], END_S, 30 * DAY_S)[0] < 1


def test_before_the_day_nothing_of_the_law_differs() -> None:
    laws = Scenario(kind="competitor", start=DAY).laws(0.06)
    day = epoch_s(DAY) // DAY_S
    assert laws.on(day - 1) is laws.before
    assert laws.on(day) is laws.after
    assert not np.array_equal(laws.before.probability[:, :GONE], laws.after.probability[:, :GONE])


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ({"kind": "competitor"}, "needs a `start`"),
        ({"start": DAY}, "name its `kind`"),
        ({"kind": "meteorite", "start": DAY}, "kind"),
        ({"kind": "competitor", "start": date(2023, 1, 1)}, "before the first day with data"),
    ],
)
def test_a_scenario_that_can_not_be_is_refused(scenario: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SyntheticSettings(scenario=scenario)
