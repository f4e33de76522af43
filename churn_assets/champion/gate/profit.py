"""The rules that a candidate does not lose money, and brings more than the champion.

Each model decides at its own threshold, on the same rows, and the profits are compared row by row. Several snapshots are pooled. Intervals
are clustered by customer, as a customer's rows are not independent. Does not belong here: segments of the customers (``segments``).
"""

import numpy as np
import polars as pl

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.intervals import Difference, detectable, paired_difference
from churn_assets.evaluation.measures import Labels
from churn_assets.evaluation.profit import largest_difference, profit_by_row
from churn_assets.settings.gate import Gate
from churn_assets.settings.profit import Profit

NO_CHAMPION = "no champion yet"
POWER = 0.8
"""Probability with which a detectable difference would have been found."""


def profit_not_negative(case: Evidence, bounds: Gate, profit: Profit) -> RuleResult:
    """The candidate's decisions are not significantly worse than contacting nobody.

    The comparison with the champion is not enough: a candidate that loses less than a champion that loses would still lose money, and the
    first model has no champion. A candidate that contacts nobody loses nothing.
    """
    asked = case.scores >= case.threshold
    difference = difference_of(
        case.churned, asked, np.zeros_like(asked), case.customers, profit, confidence=bounds.confidence
    )
    meaning = "" if difference.high >= 0 else "loses money beside asking nobody: "
    finding = (
        f"{meaning}{difference.mean:+.3f} per customer (upper {bounds.confidence:.0%} bound {difference.high:+.3f}), {int(asked.sum())} of {len(asked)} "
        "rows asked"
    )
    return RuleResult(
        difference.high >= 0,
        finding if asked.any() else f"{finding}: the model asks nobody",
        "an upper bound (gate.confidence) that is not below 0, which asking nobody brings; look at the costs in `profit`, and at the "
        "calibration",
        numbers={"profit": difference.mean, "low": difference.low, "high": difference.high, "asked": int(asked.sum())},
    )


def more_profit_than_champion(case: Evidence, bounds: Gate, profit: Profit) -> RuleResult:
    """The candidate brings significantly more profit per customer than the champion."""
    if case.champion is None:
        return RuleResult(True, NO_CHAMPION, "the first model needs none; the baselines judge it")
    return compared(
        case.churned, *decisions(case), case.customers, bounds=bounds, profit=profit, nth=case.nth, counted=case.counted
    )


def compared(
    churned: Labels,
    ours: Labels,
    theirs: Labels,
    customers: pl.Series,
    *,
    bounds: Gate,
    profit: Profit,
    nth: int = 1,
    counted: tuple[int, int] | None = None,
) -> RuleResult:
    """Compare the profit of the candidate's decisions with that of the champion's.

    Args:
        churned: labels, one for each row.
        ours: whether the candidate calls each row a churner.
        theirs: whether the champion calls each row a churner.
        customers: customer of each row.
        bounds: confidence, and least numbers of rows and churners for a decision.
        profit: costs and values.
        nth: number of this candidate among those compared on these rows, from 1. The n-th one's chance of a false promotion is that of the
            first over n squared, so that the chance over all of them stays below 1.65 times that of the first.
        counted: number of rows and of churners, where some rows stand for others; default: as many as there are.

    Returns:
        Passed if the one-sided lower bound of the difference is above 0; undecided with too few rows or churners; a tie if the interval
        holds 0.
    """
    bounds = bounds.model_copy(update={"confidence": 1 - (1 - bounds.confidence) / nth**2})
    difference = difference_of(churned, ours, theirs, customers, profit, confidence=bounds.confidence)
    rows, churners = counted or (len(churned), int(churned.sum()))
    differing = int(np.sum(ours != theirs))
    numbers = {
        "gain": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "detectable": detectable(difference, power=POWER),
        "rows": rows,
        "customers": difference.customers,
        "churners": churners,
        "differing_decisions": differing,
        "nth_model_on_these_rows": nth,
    }
    on = f"on {rows} rows of {difference.customers} customers"
    finding = (
        f"{difference.mean:+.3f} per customer ({100 * bounds.confidence:.4g}% bound {difference.low:+.3f}) {on}, of which {differing} are "
        f"decided otherwise; a gain of {numbers['detectable']:.3f} would have been seen in {POWER:.0%} of cases"
    )
    if differing == 0:
        finding = f"+0.000 per customer: both decide alike {on}"
    if nth > 1:
        finding += (
            f"; {nth} models were compared on these rows, so this one needs a bound of {100 * bounds.confidence:.4g}%"
        )
    if rows < bounds.minimum_rows or churners < bounds.minimum_churners:
        return RuleResult(
            False,
            f"no decision: {churners} churners among {rows} rows are too few; {finding}",
            f"at least {bounds.minimum_rows} rows (gate.minimum_rows) and {bounds.minimum_churners} churners (gate.minimum_churners); bring "
            "more snapshots or customers",
            undecided=True,
            numbers=numbers,
        )
    tie = difference.low <= 0 <= difference.high
    return RuleResult(
        difference.low > 0,
        f"{'a tie: ' if tie else 'brings less than the champion: ' if difference.high < 0 else ''}{finding}",
        "a lower bound (gate.confidence) above 0; a tie keeps the champion",
        tie=tie,
        numbers=numbers,
    )


def decisions(case: Evidence) -> tuple[Labels, Labels]:
    """Whether the candidate, and whether the champion, calls each row a churner, each at its own threshold."""
    if case.champion is None:
        raise ValueError("there is no champion to compare with")
    return case.scores >= case.threshold, case.champion_scores >= case.champion.manifest.threshold


def difference_of(
    churned: Labels, ours: Labels, theirs: Labels, customers: pl.Series, profit: Profit, *, confidence: float
) -> Difference:
    """The difference in profit per customer between two sets of decisions on the same rows."""
    return paired_difference(
        profit_by_row(churned, ours, profit),
        profit_by_row(churned, theirs, profit),
        customers,
        confidence=confidence,
        largest=largest_difference(profit),
    )
