"""The synthetic company: reproducible period by period, a lawful history, and an exact ceiling."""

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from churn_assets.simulator import law
from churn_assets.simulator.scenarios import EFFECTS, Kind
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_assets.tables import Source
from churn_store.mapping.tables import KEYS, SCHEMAS, Table

DAY_S = 86_400
HORIZON_DAYS = 30
TABLES: tuple[Table, ...] = ("customers", "events", "payments")
START_S = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
END_S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
COMPANY = SyntheticSettings(customers=4_000)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource(COMPANY)


@pytest.fixture(scope="module")
def tables(source: SyntheticSource) -> dict[Table, pl.DataFrame]:
    return {table: source.read(table, START_S, END_S).rows for table in TABLES}


@pytest.fixture(scope="module")
def outcomes(source: SyntheticSource, tables: dict[Table, pl.DataFrame]) -> pl.DataFrame:
    """The customers of every thirtieth day: when they left, their probability of leaving, days since the last row."""
    signed_up = tables["customers"].group_by("customer_id").agg(pl.col("signed_up_s").first())
    left = tables["events"].filter(event_type="cancelled").select("customer_id", left_s="occurred_s")
    active = pl.concat(
        [
            tables["events"].select("customer_id", "occurred_s", "known_s"),
            tables["payments"].filter(status="settled").select("customer_id", "occurred_s", "known_s"),
        ]
    )
    parts = []
    for snapshot_s in range(START_S + 60 * DAY_S, END_S - HORIZON_DAYS * DAY_S, HORIZON_DAYS * DAY_S):
        seen = active.filter(pl.col("known_s") < snapshot_s).group_by("customer_id").agg(pl.col("occurred_s").max())
        present = (
            signed_up.filter(pl.col("signed_up_s") < snapshot_s)
            .join(left, on="customer_id", how="left")
            .filter(pl.col("left_s").is_null() | (pl.col("left_s") >= snapshot_s))
            .join(seen, on="customer_id", how="left")
            .sort("customer_id")
        )
        probability = source.probability_of_leaving(present["customer_id"].to_list(), snapshot_s, HORIZON_DAYS * DAY_S)
        parts.append(
            present.select(
                "customer_id",
                probability=pl.Series(probability),
                left=(pl.col("left_s") < snapshot_s + HORIZON_DAYS * DAY_S).fill_null(value=False),
                at_risk=(pl.col("signed_up_s") <= snapshot_s - 30 * DAY_S)
                & (pl.col("occurred_s") >= snapshot_s - 60 * DAY_S).fill_null(value=False),
                recency_s=(snapshot_s - pl.col("occurred_s")).fill_null(END_S),
            )
        )
    return pl.concat(parts)


def standard_errors_off(rows: pl.DataFrame) -> float:
    probability = rows["probability"].to_numpy()
    return float((rows["left"].sum() - probability.sum()) / np.sqrt((probability * (1 - probability)).sum()))


@given(
    cuts=st.lists(st.integers(START_S - 5 * DAY_S, START_S + 100 * DAY_S), min_size=3, max_size=6, unique=True),
    order=st.randoms(use_true_random=False),
    fresh=st.booleans(),
    kind=st.sampled_from(get_args(Kind)),
    dirt=st.sampled_from([0.0, 0.2]),
)
@settings(max_examples=15, deadline=None)
def test_rows_are_the_same_however_the_range_is_cut_and_whatever_was_read_before(
    cuts: list[int], order: Any, fresh: bool, kind: Kind, dirt: float
) -> None:
    scenario = {"kind": kind} if kind == "none" else {"kind": kind, "start": date(2024, 2, 10)}
    company = SyntheticSettings(customers=1_000, scenario=scenario, dirt=dirt)
    cuts = sorted(cuts)
    reused = SyntheticSource(company)
    periods = list(pairwise(cuts))
    order.shuffle(periods)
    for table in TABLES:
        parts = [(SyntheticSource(company) if fresh else reused).read(table, *period).rows for period in periods]
        whole = SyntheticSource(company).read(table, cuts[0], cuts[-1]).rows
        assert pl.concat(parts).sort(whole.columns).equals(whole.sort(whole.columns))
        if not dirt:
            assert whole.equals(whole.sort(KEYS[table]))


def test_a_refund_of_a_late_payment_is_in_its_week_though_the_bill_is_weeks_older() -> None:
    company = SyntheticSource(SyntheticSettings(customers=10_000))
    weeks = list(pairwise(range(START_S, START_S + 245 * DAY_S, 7 * DAY_S)))
    parts = [company.read("payments", *week).rows for week in weeks]
    assert pl.concat(parts).sort("payment_id").equals(company.read("payments", START_S, weeks[-1][1]).rows)


def test_a_prediction_asked_for_early_late_or_alone_is_the_same(
    source: SyntheticSource, tables: dict[Table, pl.DataFrame]
) -> None:
    snapshot_s = START_S + 200 * DAY_S
    fresh = SyntheticSource(COMPANY)
    left = tables["events"].filter(pl.col("event_type") == "cancelled", pl.col("known_s") < snapshot_s)
    ids = (
        tables["customers"]
        .filter(pl.col("signed_up_s") < snapshot_s)
        .join(left, on="customer_id", how="anti")["customer_id"]
        .unique()
        .to_list()
    )
    forwards = source.probability_of_leaving(ids, snapshot_s, 30 * DAY_S)
    backwards = fresh.probability_of_leaving(ids[::-1], snapshot_s, 30 * DAY_S)[::-1]
    assert np.array_equal(forwards, backwards)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_its_canonical_columns_no_nulls_and_unique_keys(
    tables: dict[Table, pl.DataFrame], source: SyntheticSource, table: Table
) -> None:
    attributes = {column.name: pl.String for column in source.attributes} if table == "customers" else {}
    frame = tables[table]
    assert dict(frame.schema) == {**SCHEMAS[table], **attributes}
    assert frame.null_count().sum_horizontal().item() == 0
    assert not frame.select(KEYS[table]).is_duplicated().any()


@pytest.mark.parametrize("table", TABLES)
def test_a_row_is_known_within_its_period_and_never_before_it_occurred(
    tables: dict[Table, pl.DataFrame], table: Table
) -> None:
    frame = tables[table]
    assert frame.filter((pl.col("known_s") < START_S) | (pl.col("known_s") >= END_S)).is_empty()
    assert frame.filter(pl.col("known_s") < pl.col("occurred_s")).is_empty()


def test_some_rows_become_known_late_but_cancellations_at_once(tables: dict[Table, pl.DataFrame]) -> None:
    delay_s = pl.col("known_s") - pl.col("occurred_s")
    others = tables["events"].filter(pl.col("event_type") != "cancelled")
    assert 0.05 < others.select((delay_s > 0).mean()).item() < 0.15
    assert others.select(delay_s.max()).item() < DAY_S
    assert tables["events"].filter(pl.col("event_type") == "cancelled", delay_s > 0).is_empty()


@pytest.mark.parametrize("table", TABLES)
def test_nothing_happens_after_cancelling(tables: dict[Table, pl.DataFrame], table: Table) -> None:
    left = tables["events"].filter(event_type="cancelled").select("customer_id", left_s="occurred_s")
    assert left["customer_id"].is_unique().all()
    later = tables[table].join(left, on="customer_id").filter(pl.col("occurred_s") > pl.col("left_s"))
    assert later.is_empty()


def test_nothing_happens_before_signing_up(tables: dict[Table, pl.DataFrame]) -> None:
    signed_up = tables["customers"].group_by("customer_id").agg(pl.col("signed_up_s").first())
    for table in TABLES:
        early = tables[table].select("customer_id", "occurred_s").join(signed_up, on="customer_id", how="left")
        assert early.filter(pl.col("signed_up_s").is_null() | (pl.col("occurred_s") < pl.col("signed_up_s"))).is_empty()


def test_payments_are_the_price_of_a_paid_plan_and_refunds_follow_a_settled_one(tables: dict[Table, pl.DataFrame]) -> None:
    payments = tables["payments"]
    assert set(payments["status"]) == {"settled", "failed", "refunded"}
    assert set(payments["list_cents"]) == {1_900, 4_900}
    bill = pl.col("payment_id").str.head(-1)
    settled = payments.filter(status="settled").select(bill.alias("bill"), paid="amount_cents", paid_s="occurred_s")
    refunds = payments.filter(pl.col("status") == "refunded", pl.col("occurred_s") > START_S + 20 * DAY_S)
    paired = refunds.with_columns(bill=bill).join(settled, on="bill", how="left")
    assert refunds.height > 50
    assert paired.height == refunds.height
    assert paired.filter(pl.col("paid_s") >= pl.col("occurred_s")).is_empty()
    assert paired.filter(pl.col("paid") != pl.col("amount_cents")).is_empty()


def test_a_customer_pays_the_list_price_less_a_discount_that_runs_for_a_while(tables: dict[Table, pl.DataFrame]) -> None:
    paid = tables["payments"].with_columns(off=100 - pl.col("amount_cents") * 100 / pl.col("list_cents"))
    assert set(paid["off"]) == {0, 10, 20, 30}
    assert 0.05 < (paid["off"] > 0).mean() < 0.25
    changed = paid.sort("due_s").select("customer_id", now=pl.col("off") != pl.col("off").shift().over("customer_id"))
    changes = changed.group_by("customer_id").agg(pl.col("now").sum())["now"]
    assert changes.max() == 2


def test_a_bill_is_due_on_its_day_and_paid_on_it_or_days_late_more_often_under_trouble(
    tables: dict[Table, pl.DataFrame],
) -> None:
    payments = tables["payments"].filter(pl.col("payment_id").str.ends_with("0"))
    assert (payments["due_s"] % DAY_S == DAY_S - 1).all()
    settled = payments.filter(status="settled").with_columns(late_s=pl.col("occurred_s") - pl.col("due_s"))
    late = pl.col("late_s") > 0
    assert 0.03 < settled.select(late.mean()).item() < 0.15
    assert settled.filter(late).select((pl.col("late_s") // DAY_S).unique().sort()).to_series().to_list() == list(range(9))
    assert settled.filter(pl.col("late_s") <= -DAY_S).is_empty()
    tickets = tables["events"].filter(event_type="support_ticket").select("customer_id", ticket_s="occurred_s")
    troubled = (
        settled.join(tickets, on="customer_id")
        .filter((pl.col("due_s") - pl.col("ticket_s")).is_between(0, 10 * DAY_S))
        .unique("payment_id")
    )
    assert troubled.select(late.mean()).item() > 1.3 * settled.select(late.mean()).item()
    assert (
        tables["payments"]
        .filter(pl.col("payment_id").str.ends_with("1"), pl.col("occurred_s") <= pl.col("due_s"))
        .is_empty()
    )


def test_a_failed_payment_is_retried_within_days_unless_the_customer_leaves(tables: dict[Table, pl.DataFrame]) -> None:
    bill = pl.col("payment_id").str.head(-1)
    attempts = tables["payments"].filter(pl.col("status") != "refunded").with_columns(bill=bill).sort("occurred_s")
    bills = attempts.group_by("bill", maintain_order=True).agg("status", "occurred_s")
    retried = bills.filter(pl.col("status").list.len() > 1)
    first, second = retried["status"].list.get(0), retried["status"].list.get(1)
    waited_s = retried["occurred_s"].list.get(1) - retried["occurred_s"].list.get(0)
    assert set(first) == {"failed"}
    assert 0.6 < (second == "settled").mean() < 0.8
    assert waited_s.is_between(2 * DAY_S, 6 * DAY_S).all()
    assert retried.height > 0.9 * bills.filter(pl.col("status").list.first() == "failed").height


def test_exactly_the_asked_number_signs_up_within_the_months_and_more_come_afterwards(
    source: SyntheticSource, tables: dict[Table, pl.DataFrame]
) -> None:
    assert tables["customers"]["customer_id"].n_unique() == COMPANY.customers
    later = source.read("customers", END_S, END_S + 30 * DAY_S).rows
    new = later.filter(pl.col("signed_up_s") >= END_S)["customer_id"].n_unique()
    assert new == pytest.approx(0.85 * COMPANY.customers / 731 * 30, abs=2)
    assert source.read("events", END_S, END_S + 30 * DAY_S).rows.height > 1_000


def test_some_customers_were_there_for_years_before_the_start(tables: dict[Table, pl.DataFrame]) -> None:
    existing = tables["customers"].filter(pl.col("known_s") == START_S)
    assert existing.height == pytest.approx(0.15 * COMPANY.customers, abs=1)
    assert existing["signed_up_s"].min() < START_S - 3 * 365 * DAY_S


def test_a_company_larger_than_a_block_has_no_seam() -> None:
    large = SyntheticSource(SyntheticSettings(customers=40_000, months=1))
    end_s = START_S + 31 * DAY_S
    customers = large.read("customers", START_S, end_s).rows
    assert customers["customer_id"].n_unique() == 40_000
    events = large.read("events", START_S, end_s).rows
    assert events["event_id"].is_unique().all()
    assert events.filter(pl.col("customer_id") >= "c00034000").height > 0
    assert len(large.probability_of_leaving(["c00039999", "c00032767"], end_s, DAY_S)) == 2


def test_a_period_before_the_start_is_empty_with_the_same_columns(
    source: SyntheticSource, tables: dict[Table, pl.DataFrame]
) -> None:
    for table in TABLES:
        empty = source.read(table, START_S - 60 * DAY_S, START_S).rows
        assert empty.is_empty()
        assert empty.schema == tables[table].schema


def test_the_probability_of_leaving_is_calibrated_overall_and_in_every_decile(outcomes: pl.DataFrame) -> None:
    assert outcomes.height > 15_000
    assert abs(standard_errors_off(outcomes)) < 4
    decile = (outcomes["probability"].rank("ordinal") * 10 // (outcomes.height + 1)).alias("decile")
    for rows in outcomes.with_columns(decile).partition_by("decile"):
        assert abs(standard_errors_off(rows)) < 4


def test_about_the_configured_share_leaves_and_more_where_more_is_asked_for(outcomes: pl.DataFrame) -> None:
    at_risk = outcomes.filter("at_risk")
    assert 0.05 < at_risk["left"].mean() < 0.08
    calm, usual, harsh = (law.Law.calibrated(share) for share in (0.02, 0.06, 0.20))
    assert calm.intercept < usual.intercept < harsh.intercept


def test_the_ceiling_is_where_it_should_be_and_recency_stays_below_it(outcomes: pl.DataFrame) -> None:
    at_risk = outcomes.filter("at_risk")
    ceiling = roc_auc_score(at_risk["left"], at_risk["probability"])
    assert 0.77 < ceiling < 0.84
    assert ceiling > roc_auc_score(at_risk["left"], at_risk["recency_s"]) + 0.05


def leave_by_simulation(
    random: np.random.Generator,
    intercept: float,
    effects: list[law.Effects],
    state: tuple[int, int, int],
    bills_due: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """The law written down a second time, customer by customer and draw by draw, without the table of outcomes."""
    copies = 40_000
    plan, friction, engagement = (np.full(copies, level) for level in state)
    gone = np.zeros(copies, dtype=bool)
    for today, due in zip(effects, bills_due, strict=True):
        logit = intercept + np.array(today.plan)[plan] + today.friction * friction + np.array(today.engagement)[engagement]
        gone |= random.random(copies) < 1 / (1 + np.exp(-logit))
        ticket, down = law.TICKETS_PER_DAY[friction], law.DOWN_PER_DAY[friction]
        failure = law.FAILURES_PER_BILL * (due & (plan > 0))
        trouble, move, change = random.random((3, copies))
        engagement = np.clip(engagement - (move < down) + (move > 1 - law.UP_PER_DAY), 0, 5)
        raised = friction + (trouble < ticket) + 2 * ((trouble >= ticket) & (trouble < ticket + failure))
        friction = np.clip(raised - (trouble > 1 - law.RELIEF_PER_DAY), 0, 3)
        plan = np.clip(plan - (change < today.downgrades_per_day) + (change > 1 - law.UPGRADES_PER_DAY), 0, 2)
    return gone


@pytest.mark.parametrize("changes_to", [law.Effects(), EFFECTS["competitor"], EFFECTS["price_increase"]])
@pytest.mark.parametrize("state", [(0, 0, 0), (1, 0, 3), (1, 3, 4), (2, 1, 2), (2, 0, 5)])
def test_the_matrix_product_equals_brute_force_simulation_from_the_state_also_over_a_change_of_law(
    state: tuple[int, int, int], changes_to: law.Effects
) -> None:
    before = law.Law.calibrated(0.06)
    laws = law.DatedLaws(before, law.Law(before.intercept, changes_to), from_day=1_020)
    bills_due = np.arange(60) % 30 == 12
    exact = laws.probability_of_leaving(1_000, bills_due[:, None])[np.ravel_multi_index(state, law.SHAPE), 0]
    effects = [law.Effects()] * 20 + [changes_to] * 40
    gone = leave_by_simulation(np.random.default_rng(7), before.intercept, effects, state, bills_due)
    assert abs(gone.mean() - exact) < 4 * np.sqrt(exact * (1 - exact) / len(gone))


def test_outcomes_are_probabilities_and_transitions_lose_nobody() -> None:
    chain = law.Law.calibrated(0.5)
    assert chain.probability.min() >= 0
    assert np.allclose(chain.probability.sum(axis=2), 1)
    assert np.allclose(chain.transition.sum(axis=2), 1)


def test_nobody_leaves_within_no_time_and_more_leave_within_more(source: SyntheticSource) -> None:
    within = [source.probability_of_leaving(["c00000001"], START_S, days * DAY_S)[0] for days in (0, 1, 30, 365)]
    assert within[0] == 0
    assert within == sorted(within)
    assert 0 < within[1] < within[3] < 1


def test_a_prediction_for_somebody_who_is_no_customer_is_refused(
    source: SyntheticSource, tables: dict[Table, pl.DataFrame]
) -> None:
    leaver = tables["events"].filter(event_type="cancelled").row(0, named=True)
    for customer_id in (leaver["customer_id"], "c99999999", "c1", "x00000001", ""):
        with pytest.raises(ValueError, match="is no customer"):
            source.probability_of_leaving([customer_id], END_S, 30 * DAY_S)


def test_a_prediction_for_a_part_of_a_day_is_refused(source: SyntheticSource) -> None:
    with pytest.raises(ValueError, match="whole days"):
        source.probability_of_leaving(["c00000001"], START_S + 1, 30 * DAY_S)
    with pytest.raises(ValueError, match="whole days"):
        source.probability_of_leaving(["c00000001"], START_S, 3_600)


def test_another_seed_gives_another_company_with_another_fingerprint() -> None:
    one, same, other = (SyntheticSource(SyntheticSettings(customers=500, seed=seed)) for seed in (1, 1, 2))
    period = (START_S, START_S + 20 * DAY_S)
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    for table in TABLES:
        assert one.read(table, *period).rows.equals(same.read(table, *period).rows)
        assert not one.read(table, *period).rows.equals(other.read(table, *period).rows)


def test_it_is_a_source_and_its_settings_take_nothing_unknown(source: SyntheticSource) -> None:
    as_source: Source = source
    assert [column.name for column in as_source.attributes] == ["plan", "country"]
    with pytest.raises(ValidationError, match="customer"):
        SyntheticSettings.model_validate({"customer": 5})


def test_a_company_that_starts_within_a_month_starts_on_that_day() -> None:
    late = SyntheticSource(SyntheticSettings(customers=500, start=date(2025, 12, 31), months=2))
    start_s = int(datetime(2025, 12, 31, tzinfo=UTC).timestamp())
    assert late.read("events", start_s - DAY_S, start_s).rows.is_empty()
    assert late.read("events", start_s, start_s + DAY_S).rows.height > 0
