"""Intervals of figures, clustered by customer, as a customer may have many rows.

Belongs here: bootstrap intervals of measures, the interval of a mean, and the paired difference of two models with its one-sided
bounds. Does not belong here: the measures (``measures``, ``profit``), and decisions by them (``champion.gate``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.evaluation.measures import Labels, Scores, Weights, weighted_auc
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

LEAST_DRAWS_USED = 0.5
"""Least share of draws with both classes; with fewer, the interval would not be of these rows."""

MOST_DRAWS = 1_000
"""Greatest number of draws; with few churners more draws than requested are needed, to reach far quantiles."""


@dataclass(frozen=True)
class Difference:
    """The mean difference between two models on the same rows, with one-sided bounds.

    Attributes:
        mean: mean per row.
        low: one-sided lower bound: the truth lies below it with probability ``1 - confidence`` at most.
        high: one-sided upper bound, with the same confidence.
        standard_error: standard error of the mean, clustered by customer.
        customers: number of customers.
        differing: number of customers with a row that differs.
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
    """The mean difference of two models on the same rows, with bounds that also hold if few customers differ.

    Two models with nearly equal decisions differ in few rows, whose profits are skewed: many small gains may hide a rare great loss that
    is not in the sample. So each bound adds one imaginary customer, whose only row differs by ``largest`` to the wrong side. Of Student's t
    and its correction for skewness (Hall 1992, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54, section 2) the wider
    bound is taken. The standard error is clustered by customer (Cameron and Miller 2015, "A practitioner's guide to cluster-robust
    inference", section II). Coverage was simulated: docs/decisions/0012.

    Args:
        ours: value of each row by our model.
        theirs: value of each row by the other model.
        customers: customer of each row.
        confidence: confidence of each bound, such as 0.95.
        largest: greatest possible difference of a row, such as ``evaluation.profit.largest_difference``; default: the greatest in the
            sample.

    Raises:
        InputError: there are fewer than two customers.
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
    """The smallest true difference whose lower bound would have been above 0 with probability ``power``, at this size."""
    reach = float(scipy.stats.t.ppf(power, difference.customers - 1)) * difference.standard_error
    return difference.mean - difference.low + reach


def mean_interval(values: Scores, customers: pl.Series, *, confidence: float, largest: float | None = None) -> Interval:
    """The mean of rows with a two-sided interval, which has both bounds of ``paired_difference`` from rows of 0.

    Args:
        values: value of each row, such as its profit.
        customers: customer of each row.
        confidence: confidence of the interval.
        largest: greatest possible distance of a row from 0; default: the greatest in the sample.

    Raises:
        InputError: there are fewer than two customers.
    """
    above_zero = paired_difference(
        values, np.zeros_like(values), customers, confidence=(1 + confidence) / 2, largest=largest
    )
    return Interval(above_zero.mean, above_zero.low, above_zero.high)


def bootstrap(
    measured: Callable[[Weights | None], Mapping[str, float]],
    churned: Labels,
    customers: pl.Series,
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> dict[str, Interval]:
    """Measures with bootstrap intervals that draw whole customers (Cameron, Gelbach and Miller 2008, section III).

    The ends are quantiles of the draws, corrected for median bias (Efron 1987, "Better bootstrap confidence intervals", J. Amer.
    Statist. Assoc. 82, section 2). If few customers churned, they are further out: by Student's t with the number of customers of the
    minority class (Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69, section 5).

    Args:
        measured: function that gives the measures by the rows' weights, or without weights.
        churned: label of each row.
        customers: customer of each row.
        confidence: confidence of the two-sided intervals.
        seed: seed of the draws.
        draws: least number of draws; more are made if the ends lie further out. Draws with a single class are left out.

    Raises:
        InputError: there are fewer than two customers, or too many draws have a single class.
    """
    codes = customer_codes(customers)
    number = _number(codes)
    reach = _reach(churned, codes, confidence)
    draws = max(draws, min(MOST_DRAWS, math.ceil(1 / float(scipy.stats.norm.sf(reach)))))
    generator = np.random.default_rng(seed)
    drawn: list[Mapping[str, float]] = []
    for _ in range(draws):
        weights = np.bincount(generator.integers(0, number, number), minlength=number)[codes].astype(np.float64)
        if 0 < float(weights[churned].sum()) < float(weights.sum()):
            drawn.append(measured(weights))
    if len(drawn) < LEAST_DRAWS_USED * draws:
        raise InputError(
            f"{draws - len(drawn)} of {draws} draws of {number:,} customers hold only customers who churned, or only customers who "
            f"stayed ({int(churned.sum())} of {len(churned):,} rows churned); expected at most {1 - LEAST_DRAWS_USED:.0%} of them. "
            "Bring more judging rows"
        )
    return {
        name: _between_draws(value, np.array([values[name] for values in drawn]), reach)
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
    """The bootstrap interval of the difference in AUC between two models on the same rows, clustered by customer.

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
    """The distance of an interval's end from its middle in standard errors, by the number of customers of the minority class."""
    minority = max(2, min(len(np.unique(codes[churned])), len(np.unique(codes[~churned]))))
    return float(scipy.stats.t.ppf((1 + confidence) / 2, minority - 1)) * math.sqrt(minority / (minority - 1))


def _between_draws(value: float, drawn: Scores, reach: float) -> Interval:
    """The bias-corrected quantiles of the draws of one measure."""
    below = (np.sum(drawn < value) + np.sum(drawn == value) / 2) / len(drawn)
    bias = float(scipy.stats.norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn))))
    low, high = np.quantile(drawn, scipy.stats.norm.cdf([2 * bias - reach, 2 * bias + reach]), method="weibull")
    return Interval(value, min(value, float(low)), max(value, float(high)))


def customer_codes(customers: pl.Series) -> npt.NDArray[np.int64]:
    """A number from 0 for each row's customer."""
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
    """The one-sided lower bound, with the imaginary customer of ``paired_difference``."""
    number = _number(codes)
    mean, error, skewness = _clustered(np.append(values, -furthest), np.append(codes, number))
    reach = float(scipy.stats.t.ppf(confidence, number))
    skew = skewness / np.sqrt(number + 1)
    if abs(skew) > 1e-9:  # noqa: PLR2004 - below it the correction is rounding
        reach = max(reach, float(3 / skew * (np.cbrt(1 + skew * (reach - skew / 6)) - 1)))
    return mean - reach * error
