"""Whether a candidate brings more money than the champion, and to no segment much less.

Each model decides at its own threshold, on the same rows; what each row brings is compared pair by pair. Several snapshots are
pooled, and the rows of a customer are taken together, as they are not independent.
"""

import numpy as np
import polars as pl
from scipy import stats

from churn_assets.champion.gate.case import Case, Found
from churn_assets.evaluation.intervals import Difference, detectable, paired_difference
from churn_assets.evaluation.measures import Labels
from churn_assets.evaluation.profit import largest_difference, profit_by_row
from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.settings import Evaluation, Gate, Profit

NO_CHAMPION = "no champion yet"
POWER = 0.8


def gain(case: Case, profit: Profit) -> float | None:
    """The profit per customer above the champion's; none without a champion."""
    if case.champion is None:
        return None
    ours, theirs = _decisions(case)
    return float(np.mean(profit_by_row(case.churned, ours, profit) - profit_by_row(case.churned, theirs, profit)))


def more_profit_than_champion(case: Case, bounds: Gate, profit: Profit) -> Found:
    """The candidate brings more per customer than the champion, by more than chance."""
    if case.champion is None:
        return Found(True, NO_CHAMPION, "the first model needs none; the baselines judge it")
    return compared(case.churned, *_decisions(case), case.customers, bounds=bounds, profit=profit)


def compared(churned: Labels, ours: Labels, theirs: Labels, customers: pl.Series, *, bounds: Gate, profit: Profit) -> Found:
    """What the candidate's decisions bring beside the champion's.

    Args:
        churned: true labels.
        ours: whom the candidate calls a churner.
        theirs: whom the champion does.
        customers: whose each row is.
        bounds: the confidence, and how many rows and churners a decision needs.
        profit: costs and values.

    Returns:
        Passed where the one-sided lower bound of the difference is above 0. Undecided where there are too few rows or churners. A tie
        where the upper bound is not below 0 either.
    """
    difference = _difference(churned, ours, theirs, customers, bounds, profit)
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
    }
    on = f"on {rows} rows of {difference.customers} customers"
    found = (
        f"{difference.mean:+.3f} per customer ({bounds.confidence:.0%} bound {difference.low:+.3f}) {on}, of which {differing} are "
        f"decided otherwise; a gain of {numbers['detectable']:.3f} would have been seen in {POWER:.0%} of cases"
    )
    if differing == 0:
        found = f"+0.000 per customer: both decide alike {on}"
    if rows < bounds.minimum_rows or churners < bounds.minimum_churners:
        return Found(
            False,
            f"no decision: {churners} churners among {rows} rows are too few; {found}",
            f"at least {bounds.minimum_rows} rows and {bounds.minimum_churners} churners; bring more snapshots or customers",
            undecided=True,
            numbers=numbers,
        )
    tie = difference.low <= 0 <= difference.high
    return Found(
        difference.low > 0,
        f"a tie: {found}" if tie else found,
        "a lower bound above 0; a tie keeps the champion",
        tie=tie,
        numbers=numbers,
    )


def no_segment_worse(case: Case, bounds: Gate, profit: Profit, evaluation: Evaluation) -> Found:
    """No group of customers brings much less than with the champion.

    A segment is worse where its difference is below minus the margin and below 0 by more than chance, after Holm's correction for the
    number of segments that were looked at (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    allowed = (
        f"no segment of at least {evaluation.segment_rows} rows below -{bounds.segment_margin:g} per customer and below 0 beyond chance "
        f"({bounds.confidence:.0%}, corrected for their number)"
    )
    if case.champion is None:
        return Found(True, NO_CHAMPION, allowed)
    columns = segment_columns(case.scorer.signature, evaluation)
    ours, theirs = _decisions(case)
    differences: dict[str, Difference] = {}
    for column, word, rows in segments_of(case.judging, columns, evaluation):
        inside = rows.to_numpy()
        differences[f"{column} {word or 'missing'}"] = _difference(
            case.churned[inside], ours[inside], theirs[inside], case.customers.filter(rows), bounds, profit
        )
    below = holm({name: chance_of_less(found) for name, found in differences.items()}, 1 - bounds.confidence)
    worse = [name for name, found in differences.items() if name in below and found.mean < -bounds.segment_margin]
    looked_at = f"{len(differences)} segments looked at"
    said = [f"{name}: {differences[name].mean:+.3f}" for name in worse]
    if not worse and differences:
        least = min(differences, key=lambda name: differences[name].mean)
        said = [f"the least is {least}: {differences[least].mean:+.3f} (bound {differences[least].low:+.3f})"]
    return Found(
        not worse,
        "; ".join([looked_at, *said]),
        allowed,
        numbers={
            "segments": len(differences),
            "worse": len(worse),
            **{name: found.mean for name, found in differences.items()},
        },
    )


def chance_of_less(difference: Difference) -> float:
    """How likely so low a difference is where there is none: the one-sided p-value of a t test over the customers."""
    if difference.standard_error == 0:
        return 1.0 if difference.mean >= 0 else 0.0
    return float(stats.t.cdf(difference.mean / difference.standard_error, df=max(difference.customers - 1, 1)))


def holm(chances: dict[str, float], level: float) -> set[str]:
    """Those that are rejected at a family-wise level by Holm's step-down procedure.

    Args:
        chances: p-values by name.
        level: probability of one wrong rejection or more.
    """
    rejected: set[str] = set()
    for name, chance in sorted(chances.items(), key=lambda entry: entry[1]):
        if not chance <= level / (len(chances) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def _decisions(case: Case) -> tuple[Labels, Labels]:
    """Whom the candidate and whom the champion calls a churner, each at its own threshold."""
    if case.champion is None:
        raise ValueError("there is no champion to compare with")
    return case.scores >= case.threshold, case.champion_scores >= case.champion.manifest.threshold


def _difference(
    churned: Labels, ours: Labels, theirs: Labels, customers: pl.Series, bounds: Gate, profit: Profit
) -> Difference:
    return paired_difference(
        profit_by_row(churned, ours, profit),
        profit_by_row(churned, theirs, profit),
        customers,
        confidence=bounds.confidence,
        largest=largest_difference(profit),
    )
