"""How sure a figure is, when a customer may have many rows: whole customers are drawn, and deviations are summed by customer.

Belongs here: bootstrap intervals of measures, the interval of a mean, and the paired difference of two models with its one-sided
bounds. Does not belong here: what is measured (``measures``, ``profit``), and what follows (``champion.gate``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import norm
from scipy.stats import t as student

from churn_assets.evaluation.measures import Labels, Scores, Weights, weighted_auc
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

LEAST_DRAWS_USED = 0.5
"""Share of the draws that must hold both classes, or the interval would speak of other rows."""

MOST_DRAWS = 1_000
"""Few churners need the far ends of the draws, and so more draws than were asked for; at most this many."""


@dataclass(frozen=True)
class Difference:
    """The mean over rows of what one model brings above another on the same rows.

    Attributes:
        mean: mean per row.
        low: one-sided lower bound: the truth lies below it in at most a share of ``1 - confidence`` of all cases.
        high: one-sided upper bound, likewise.
        standard_error: standard error of the mean, clustered by customer.
        customers: number of customers.
        differing: how many of them have a row that differs.
        confidence: confidence level of each bound.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    customers: int
    differing: int
    confidence: float


def paired_difference(
    ours: Scores, theirs: Scores, customers: pl.Series, *, confidence: float, largest: float | None = None
) -> Difference:
    """The mean difference of two models on the same rows, with bounds that hold for few differing customers too.

    Two models that call nearly the same customers differ in a few rows, and what those bring is skewed: many small gains may
    hide a rare great loss that was not seen. So each bound looks at one more customer, imaginary, whose one row differs by
    ``largest`` to the wrong side; and it is the wider one of Student's t and of the same corrected for skewness (Hall 1992, "On the removal
    of skewness by transformation", J. R. Statist. Soc. B 54, section 2). The standard error sums deviations by customer (Cameron and
    Miller 2015, "A practitioner's guide to cluster-robust inference", section II). Coverage was simulated: docs/decisions/0012.

    Args:
        ours: what each row brings with our model.
        theirs: the same values of the other model.
        customers: customer of each row.
        confidence: confidence of each bound, such as 0.95.
        largest: by how much one row could differ at all, such as ``evaluation.profit.largest_difference``; default: the most that was seen.

    Raises:
        InputError: fewer than two customers.
    """
    values, codes = ours - theirs, customer_codes(customers)
    number = _number(codes)
    mean, error, _ = _clustered(values, codes)
    furthest = float(np.abs(values).max()) if largest is None else largest
    return Difference(
        mean=mean,
        low=min(mean, _lower_bound(values, codes, confidence, furthest)),
        high=max(mean, -_lower_bound(-values, codes, confidence, furthest)),
        standard_error=error,
        customers=number,
        differing=len(np.unique(codes[values != 0])),
        confidence=confidence,
    )


def detectable(difference: Difference, *, power: float = 0.8) -> float:
    """The smallest true difference of which the lower bound would have been above 0, at this size, with that probability."""
    reach = float(student.ppf(power, difference.customers - 1)) * difference.standard_error
    return difference.mean - difference.low + reach


def mean_interval(values: Scores, customers: pl.Series, *, confidence: float, largest: float | None = None) -> Interval:
    """The mean of rows with its two-sided interval: both bounds of ``paired_difference`` beside rows of 0.

    Args:
        values: one for each row, such as what asking its customer brings.
        customers: customer of each row.
        confidence: confidence of the interval.
        largest: how far from 0 one row could be at all; default: the furthest that was seen.

    Raises:
        InputError: fewer than two customers.
    """
    found = paired_difference(values, np.zeros_like(values), customers, confidence=(1 + confidence) / 2, largest=largest)
    return Interval(found.mean, found.low, found.high)


def bootstrap(
    measured: Callable[[Weights | None], Mapping[str, float]],
    churned: Labels,
    customers: pl.Series,
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> dict[str, Interval]:
    """Measures with their bootstrap intervals, whole customers drawn (Cameron, Gelbach and Miller 2008, section III).

    The ends are quantiles of the draws, corrected for the median bias (Efron 1987, "Better bootstrap confidence intervals", J. Amer.
    Statist. Assoc. 82, section 2), and further out where few customers churned: by Student's t of as many customers as the rarer class
    has (Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69, section 5).

    Args:
        measured: the measures of the rows, given how often each was drawn; without, of the rows as they are.
        churned: true labels, one for each row.
        customers: customer of each row.
        confidence: confidence of the two-sided intervals.
        seed: seed of the draws.
        draws: how many; more where the ends lie further out. One that holds a single class has no measures and is left out.

    Raises:
        InputError: fewer than two customers, or too many draws hold one class only.
    """
    codes = customer_codes(customers)
    number = _number(codes)
    reach = _reach(churned, codes, confidence)
    draws = max(draws, min(MOST_DRAWS, math.ceil(1 / float(norm.sf(reach)))))
    generator = np.random.default_rng(seed)
    found: list[Mapping[str, float]] = []
    for _ in range(draws):
        weights = np.bincount(generator.integers(0, number, number), minlength=number)[codes].astype(np.float64)
        if 0 < float(weights[churned].sum()) < float(weights.sum()):
            found.append(measured(weights))
    if len(found) < LEAST_DRAWS_USED * draws:
        raise InputError(
            f"{draws - len(found)} of {draws} draws of {number:,} customers hold only customers who churned, or only such who "
            f"stayed ({int(churned.sum())} of {len(churned):,} rows churned); expected at most {1 - LEAST_DRAWS_USED:.0%} of them. "
            "Bring more judging rows"
        )
    return {
        name: _between_draws(value, np.array([values[name] for values in found]), reach)
        for name, value in measured(None).items()
    }


def auc_difference_interval(
    churned: Labels,
    ours: Scores,
    theirs: Scores,
    customers: npt.NDArray[np.str_],
    *,
    seed: int,
    draws: int = 200,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of the difference in AUC of two models on the same rows, clustered by customer, as ``bootstrap`` draws.

    Returns:
        Lower and upper bound.
    """
    our_auc, their_auc = weighted_auc(churned, ours), weighted_auc(churned, theirs)

    def measured(weights: Weights | None) -> dict[str, float]:
        return {"difference": our_auc(weights) - their_auc(weights)}

    names = pl.Series(customers)
    interval = bootstrap(measured, churned, names, confidence=confidence, seed=seed, draws=draws)["difference"]
    return interval.low, interval.high


def _reach(churned: Labels, codes: npt.NDArray[np.int64], confidence: float) -> float:
    """So many standard errors an end of an interval lies from its middle, where a class has few customers."""
    rarer = max(2, min(len(np.unique(codes[churned])), len(np.unique(codes[~churned]))))
    return float(student.ppf((1 + confidence) / 2, rarer - 1)) * math.sqrt(rarer / (rarer - 1))


def _between_draws(value: float, drawn: Scores, reach: float) -> Interval:
    """The bias-corrected quantiles of the draws of one measure."""
    below = (np.sum(drawn < value) + np.sum(drawn == value) / 2) / len(drawn)
    bias = float(norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn))))
    low, high = np.quantile(drawn, norm.cdf([2 * bias - reach, 2 * bias + reach]), method="weibull")
    return Interval(value, min(value, float(low)), max(value, float(high)))


def customer_codes(customers: pl.Series) -> npt.NDArray[np.int64]:
    """Customers as numbers from 0."""
    return (customers.rank("dense") - 1).to_numpy().astype(np.int64)


def _number(codes: npt.NDArray[np.int64]) -> int:
    number = int(codes.max()) + 1 if len(codes) else 0
    if number < 2:  # noqa: PLR2004
        raise InputError(
            f"{len(codes)} rows of {number} customers; expected at least two, or nothing says how much they vary"
        )
    return number


def _clustered(values: Scores, codes: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """The mean of rows, its standard error, and the skewness of the customers' deviations; both clustered."""
    number = _number(codes)
    mean = float(values.mean())
    deviations = np.bincount(codes, weights=values - mean, minlength=number)
    spread = float((deviations**2).mean())
    error = number * np.sqrt(spread / (number - 1)) / len(values)
    return mean, float(error), float((deviations**3).mean() / spread**1.5) if spread > 0 else 0.0


def _lower_bound(values: Scores, codes: npt.NDArray[np.int64], confidence: float, furthest: float) -> float:
    """One-sided, with the imaginary customer."""
    number = _number(codes)
    mean, error, skewness = _clustered(np.append(values, -furthest), np.append(codes, number))
    reach = float(student.ppf(confidence, number))
    lean = skewness / np.sqrt(number + 1)
    if abs(lean) > 1e-9:  # noqa: PLR2004 - below it the correction is rounding
        reach = max(reach, float(3 / lean * (np.cbrt(1 + lean * (reach - lean / 6)) - 1)))
    return mean - reach * error
