"""The forward filter: Bayes' rule over the hidden paths, calibrated, and made of nothing but rows that were known."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy.stats import poisson
from sklearn.metrics import log_loss, roc_auc_score

from churn_assets.simulator import bills, law, rows
from churn_assets.simulator.customers import Block, CustomerDay, Market
from churn_assets.simulator.forward_filter import HIDDEN, Belief, ForwardFilter, kernels, moved
from churn_assets.simulator.observations import (
    DAYS_UNTIL_ALL_KNOWN,
    FAILURE_SHOWN,
    KNOWN_THE_SAME_DAY,
    NOTHING_SHOWN,
    TICKET_SHOWN,
    Observation,
    observed,
)
from churn_assets.simulator.scenarios import LIST_CENTS, Scenario
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S

HORIZON_S = 30 * DAY_S
COMPANY = SyntheticSettings(customers=4_000, months=12)
START_S = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
SNAPSHOTS_S = [int(datetime(2024, month, 1, tzinfo=UTC).timestamp()) for month in (8, 9, 10, 11)]
END_S = SNAPSHOTS_S[-1] + HORIZON_S
BASIC, TUESDAY = 1, 19_002
LAW = law.Law.calibrated(0.06)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource(COMPANY)


@pytest.fixture(scope="module")
def predicted(source: SyntheticSource) -> pl.DataFrame:
    """The customers at risk of each snapshot: whether they left, the probability by their state and by the filter, days of silence."""
    customers, events = (source.read(table, START_S, END_S).rows for table in ("customers", "events"))
    signed_up = customers.group_by("customer_id").agg(pl.col("signed_up_s").first())
    left = events.filter(event_type="cancelled").select("customer_id", left_s="occurred_s")
    parts = []
    for snapshot_s in SNAPSHOTS_S:
        newest = events.filter(pl.col("known_s") < snapshot_s).group_by("customer_id").agg(pl.col("occurred_s").max())
        at_risk = (
            signed_up.filter(pl.col("signed_up_s") <= snapshot_s - 30 * DAY_S)
            .join(left, on="customer_id", how="left")
            .filter(pl.col("left_s").is_null() | (pl.col("left_s") >= snapshot_s))
            .join(newest.filter(pl.col("occurred_s") >= snapshot_s - 60 * DAY_S), on="customer_id")
            .sort("customer_id")
        )
        ids = at_risk["customer_id"].to_list()
        parts.append(
            at_risk.select(
                left=(pl.col("left_s") < snapshot_s + HORIZON_S).fill_null(value=False),
                by_state=pl.Series(source.probability_of_leaving(ids, snapshot_s, HORIZON_S)),
                by_filter=pl.Series(source.filtered_probability_of_leaving(ids, snapshot_s, HORIZON_S)),
                silence_s=snapshot_s - pl.col("occurred_s"),
            )
        )
    return pl.concat(parts)


def day_of(
    number: int,
    *,
    sessions: int = 0,
    uses: int = 0,
    shown: int = NOTHING_SHOWN,
    bill: list[float] | None = None,
    complete: bool = True,
) -> Observation:
    """One day of one customer of the basic plan."""
    one = np.array([BASIC])
    return Observation(
        day=TUESDAY + number,
        complete=complete,
        stays=np.array([True]),
        plan=one,
        plan_after=one,
        sessions=np.array([sessions]),
        uses=np.array([uses]),
        shown=np.array([shown]),
        billed=np.arange(0 if bill is None else 1),
        bill_likelihood=np.array([] if bill is None else [bill]).reshape(-1, law.FRICTION_LEVELS),
    )


def enumerated(prior: npt.NDArray[np.float64], days: list[Observation]) -> npt.NDArray[np.float64]:
    """The posterior of the hidden pair after all days, as the sum over every path of outcomes."""
    troubles = {
        NOTHING_SHOWN: {law.NO_TROUBLE, law.RELIEF},
        TICKET_SHOWN: {law.TICKET},
        FAILURE_SHOWN: {law.FAILED_PAYMENT},
    }
    posterior = np.zeros(HIDDEN)

    @cache
    def shows(number: int, state: int) -> float:
        seen = days[number]
        engagement, friction = law.ENGAGEMENT_OF_STATE[state], law.FRICTION_OF_STATE[state]
        sessions, uses = int(seen.sessions[0]), int(seen.uses[0])
        rate = rows.SESSIONS_PER_DAY[engagement] * rows.season(seen.day)
        likelihood = poisson.pmf(sessions, rate) * poisson.pmf(uses, sessions * rows.FEATURES_PER_SESSION[engagement])
        return float(likelihood * (seen.bill_likelihood[0, friction] if len(seen.billed) else 1))

    def walk(number: int, state: int, probability: float) -> None:
        if number == len(days):
            posterior[state % HIDDEN] += probability
            return
        seen = days[number]
        for outcome in range(law.LEAVES):
            chance = LAW.probability[len(seen.billed), state, outcome]
            consistent = law.TROUBLE_OF_OUTCOME[outcome] in troubles[int(seen.shown[0])]
            if chance and consistent and law.PLAN_CHANGE_OF_OUTCOME[outcome] == 0:
                walk(number + 1, int(LAW.next_state[state, outcome]), probability * shows(number, state) * chance)

    for hidden in np.flatnonzero(prior):
        walk(0, BASIC * HIDDEN + int(hidden), float(prior[hidden]))
    return posterior / posterior.sum()


@pytest.mark.parametrize(
    "days",
    [
        [day_of(0), day_of(1), day_of(2)],
        [day_of(0, sessions=2, uses=3), day_of(1, shown=TICKET_SHOWN), day_of(2, sessions=1)],
        [day_of(0, shown=FAILURE_SHOWN, bill=[1, 1, 1, 1]), day_of(1, shown=TICKET_SHOWN), day_of(2)],
        [day_of(0, shown=TICKET_SHOWN), day_of(1, sessions=1, uses=1, bill=[0.05, 0.1, 0.15, 0.2]), day_of(2)],
    ],
)
def test_the_belief_is_bayes_rule_over_every_hidden_path(days: list[Observation]) -> None:
    prior = np.random.default_rng(3).dirichlet(np.ones(HIDDEN))
    belief = Belief(TUESDAY, np.array([0]), np.array([BASIC]), prior[None].copy())
    for seen in days:
        belief = moved(belief, seen, kernels(LAW))
    np.testing.assert_allclose(belief.probability[0], enumerated(prior, days), rtol=1e-10)


def test_a_silent_day_that_is_not_yet_complete_says_less_than_a_complete_one() -> None:
    prior = np.full((1, HIDDEN), 1 / HIDDEN)
    low = np.isin(law.ENGAGEMENT_OF_STATE[:HIDDEN], (0, 1))

    def disengaged(*, complete: bool) -> float:
        belief = Belief(TUESDAY, np.array([0]), np.array([BASIC]), prior.copy())
        return float(moved(belief, day_of(0, complete=complete), kernels(LAW)).probability[0, low].sum())

    assert prior[0, low].sum() < disengaged(complete=False) < disengaged(complete=True)


def test_what_a_day_can_show_adds_up_to_staying_without_a_change_of_plan() -> None:
    shows = kernels(LAW).sum(axis=(2, 4)).reshape(2, -1)
    same_plan = np.flatnonzero((law.PLAN_CHANGE_OF_OUTCOME == 0) & (np.arange(law.OUTCOMES) != law.LEAVES))
    np.testing.assert_allclose(shows, LAW.probability[:, : law.GONE, same_plan].sum(axis=2), rtol=1e-12)


def test_the_filter_expects_of_the_hidden_state_what_is_true_of_it_in_every_decile(predicted: pl.DataFrame) -> None:
    assert predicted.height > 5_000
    decile = (predicted["by_filter"].rank("ordinal") * 10 // (predicted.height + 1)).alias("decile")
    for part in predicted.with_columns(decile, off=pl.col("by_state") - pl.col("by_filter")).partition_by("decile"):
        # Rows of one customer at neighbouring snapshots depend on each other: four rows count as two.
        off = part["off"].to_numpy()
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(len(off) / 2)


def test_the_filter_lies_between_silence_and_the_hidden_state(predicted: pl.DataFrame) -> None:
    left = predicted["left"]
    aucs = [float(roc_auc_score(left, predicted[name])) for name in ("silence_s", "by_filter", "by_state")]
    assert aucs[0] + 0.05 < aucs[1] < aucs[2]
    base_rate = np.full(predicted.height, left.mean())
    losses = [float(log_loss(left, known)) for known in (base_rate, predicted["by_filter"], predicted["by_state"])]
    assert losses[0] > losses[1] + 0.02
    assert losses[1] > losses[2]


def test_the_answer_does_not_depend_on_what_was_asked_before(source: SyntheticSource, predicted: pl.DataFrame) -> None:
    ids = ["c00000700", "c00003100", "c00000701"]
    present = [asked for asked in ids if _is_present(source, asked)]
    assert present
    fresh = SyntheticSource(COMPANY)
    backwards = [
        fresh.filtered_probability_of_leaving(present[::-1], moment, HORIZON_S)[::-1] for moment in SNAPSHOTS_S[::-3]
    ]
    forwards = [source.filtered_probability_of_leaving(present, moment, HORIZON_S) for moment in SNAPSHOTS_S[::-3]]
    np.testing.assert_allclose(backwards, forwards, rtol=1e-12)


def _is_present(source: SyntheticSource, customer_id: str) -> bool:
    try:
        for moment in SNAPSHOTS_S[::-3]:
            source.probability_of_leaving([customer_id], moment, HORIZON_S)
    except ValueError:
        return False
    return True


def test_somebody_who_is_no_customer_is_refused_as_by_the_hidden_state(source: SyntheticSource) -> None:
    with pytest.raises(ValueError, match="is no customer at"):
        source.filtered_probability_of_leaving(["c00009999"], SNAPSHOTS_S[0], HORIZON_S)
    with pytest.raises(ValueError, match="must be whole days"):
        source.filtered_probability_of_leaving(["c00000001"], SNAPSHOTS_S[0] + 1, HORIZON_S)


@pytest.fixture(scope="module")
def lived() -> list[CustomerDay]:
    """A month of a company's days."""
    market = Market(seed=5, first_block=0, start_s=START_S, span_s=365 * DAY_S, existing=9_000, new=3_000)
    first = START_S // DAY_S + 40
    return list(Block(0, market, Scenario().laws(0.06)).days(first, first + 30))


def test_of_the_last_day_about_the_expected_share_of_the_events_is_known(lived: list[CustomerDay]) -> None:
    known, all_of_them = (
        sum(
            int((seen.sessions + seen.uses).sum())
            for seen in (observed(today, LIST_CENTS, today.day + days) for today in lived)
        )
        for days in (1, 2)
    )
    assert all_of_them > 20_000
    assert known / all_of_them == pytest.approx(KNOWN_THE_SAME_DAY, abs=0.005)


def test_a_day_says_nothing_more_once_all_its_rows_are_known(lived: list[CustomerDay]) -> None:
    grows = 0
    for today in lived:
        early, settled, late = (
            observed(today, LIST_CENTS, today.day + days)
            for days in (5, DAYS_UNTIL_ALL_KNOWN + 1, DAYS_UNTIL_ALL_KNOWN + 100)
        )
        for name in ("sessions", "uses", "shown", "plan_after", "bill_likelihood"):
            np.testing.assert_array_equal(getattr(settled, name), getattr(late, name))
        grows += int((early.bill_likelihood != settled.bill_likelihood).any())
    assert grows > 20


def test_a_late_or_refunded_bill_speaks_for_friction(lived: list[CustomerDay]) -> None:
    likelihood = np.concatenate([observed(today, LIST_CENTS, today.day + 60).bill_likelihood for today in lived])
    in_time = 1 - bills.LATE_PAYMENTS * np.arange(1, 5)
    calm = 1 - bills.REFUND_SHARE * np.arange(1, 5)
    fates = {tuple(np.round(fate, 12)) for fate in (in_time * calm, (1 - in_time) * calm, in_time * (1 - calm), calm)}
    assert fates <= {tuple(np.round(fate, 12)) for fate in likelihood}
    late = np.isclose(likelihood, (1 - in_time) * calm).all(axis=1)
    assert 0.04 < late.mean() < 0.12


def test_before_the_first_customer_there_is_nobody_to_believe_anything_of() -> None:
    market = Market(seed=5, first_block=0, start_s=START_S, span_s=365 * DAY_S, existing=10, new=100)
    block = Block(0, market, Scenario().laws(0.06))
    assert (
        len(ForwardFilter(block, Scenario().laws(0.06), lambda _: LIST_CENTS).belief_before(START_S // DAY_S - 9).position)
        == 0
    )
