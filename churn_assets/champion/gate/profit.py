"""Whether a candidate brings money at all, and more of it than the champion.

Each model decides at its own threshold, on the same rows; what each row brings is compared pair by pair. Several snapshots are
pooled, and the rows of a customer are taken together, as they are not independent. Does not belong here: parts of the customers
(``segments``).
"""

import numpy as np
import polars as pl

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.intervals import Difference, detectable, paired_difference
from churn_assets.evaluation.measures import Labels
from churn_assets.evaluation.profit import largest_difference, profit_by_row
from churn_assets.settings.company import Gate, Profit

NO_CHAMPION = "no champion yet"
POWER = 0.8


def profit_not_negative(case: Evidence, bounds: Gate, profit: Profit) -> RuleResult:
    """The candidate does not lose money beyond chance: asking whom it calls is not proven to be worse than asking nobody.

    Whether it brings more than a champion is another rule's; one that loses less than a champion that loses is still a loss, and the first
    model has no champion. One that asks nobody brings nothing, and loses nothing.
    """
    asked = case.scores >= case.threshold
    found = difference_of(case.churned, asked, np.zeros_like(asked), case.customers, profit, confidence=bounds.confidence)
    meaning = "" if found.high >= 0 else "loses money beside asking nobody: "
    said = (
        f"{meaning}{found.mean:+.3f} per customer (upper {bounds.confidence:.0%} bound {found.high:+.3f}), {int(asked.sum())} of {len(asked)} "
        "rows asked"
    )
    return RuleResult(
        found.high >= 0,
        said if asked.any() else f"{said}: the model asks nobody",
        "an upper bound (gate.confidence) that is not below 0, which asking nobody brings; look at the costs in `profit`, and at the "
        "calibration",
        numbers={"profit": found.mean, "low": found.low, "high": found.high, "asked": int(asked.sum())},
    )


def more_profit_than_champion(case: Evidence, bounds: Gate, profit: Profit) -> RuleResult:
    """The candidate brings more per customer than the champion, by more than chance."""
    if case.champion is None:
        return RuleResult(True, NO_CHAMPION, "the first model needs none; the baselines judge it")
    return compared(case.churned, *decisions(case), case.customers, bounds=bounds, profit=profit, nth=case.nth)


def compared(
    churned: Labels,
    ours: Labels,
    theirs: Labels,
    customers: pl.Series,
    *,
    bounds: Gate,
    profit: Profit,
    nth: int = 1,
) -> RuleResult:
    """What the candidate's decisions bring beside the champion's.

    Args:
        churned: true labels.
        ours: whom the candidate calls a churner.
        theirs: whether the champion calls the customer, one value a row.
        customers: customer of each row.
        bounds: the confidence, and how many rows and churners a decision needs.
        profit: costs and values.
        nth: which try on these rows this is. The chance of a false promotion that is left to the n-th is that of the first over n
            squared, so that all tries together stay below 1.65 times that of the first.

    Returns:
        Passed where the one-sided lower bound of the difference is above 0. Undecided where there are too few rows or churners. A tie
        where the upper bound is not below 0 either.
    """
    bounds = bounds.model_copy(update={"confidence": 1 - (1 - bounds.confidence) / nth**2})
    difference = difference_of(churned, ours, theirs, customers, profit, confidence=bounds.confidence)
    rows, churners, differing = len(churned), int(churned.sum()), int(np.sum(ours != theirs))
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
    found = (
        f"{difference.mean:+.3f} per customer ({100 * bounds.confidence:.4g}% bound {difference.low:+.3f}) {on}, of which {differing} are "
        f"decided otherwise; a gain of {numbers['detectable']:.3f} would have been seen in {POWER:.0%} of cases"
    )
    if differing == 0:
        found = f"+0.000 per customer: both decide alike {on}"
    if nth > 1:
        found += f"; {nth} models were compared on these rows, so this one needs a bound of {100 * bounds.confidence:.4g}%"
    if rows < bounds.minimum_rows or churners < bounds.minimum_churners:
        return RuleResult(
            False,
            f"no decision: {churners} churners among {rows} rows are too few; {found}",
            f"at least {bounds.minimum_rows} rows (gate.minimum_rows) and {bounds.minimum_churners} churners (gate.minimum_churners); bring "
            "more snapshots or customers",
            undecided=True,
            numbers=numbers,
        )
    tie = difference.low <= 0 <= difference.high
    return RuleResult(
        difference.low > 0,
        f"{'a tie: ' if tie else 'brings less than the champion: ' if difference.high < 0 else ''}{found}",
        "a lower bound (gate.confidence) above 0; a tie keeps the champion",
        tie=tie,
        numbers=numbers,
    )


def decisions(case: Evidence) -> tuple[Labels, Labels]:
    """Whom the candidate and whom the champion calls a churner, each at its own threshold."""
    if case.champion is None:
        raise ValueError("there is no champion to compare with")
    return case.scores >= case.threshold, case.champion_scores >= case.champion.manifest.threshold


def difference_of(
    churned: Labels, ours: Labels, theirs: Labels, customers: pl.Series, profit: Profit, *, confidence: float
) -> Difference:
    """What some decisions bring beside others on the same rows, per customer."""
    return paired_difference(
        profit_by_row(churned, ours, profit),
        profit_by_row(churned, theirs, profit),
        customers,
        confidence=confidence,
        largest=largest_difference(profit),
    )
