"""Inference that stays valid however often it is looked at: the sample ratio, rates, and differences of means.

A test of a fixed size promises its error rate for one look. Whoever looks every day and stops at the first good one is wrong
far more often. What is here holds for all looks together: the chance that it is ever wrong is at most ``alpha``.

Belongs here: statistics of counts and of moments. Does not belong here: which customers count, when their outcomes are known, and
what is done with the result.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

RATIO_CONCENTRATION: Final = 1_000.0
"""Of the prior of the sample ratio: it looks for shares about 1.5 points off, as a bug makes them."""

RATE_CONCENTRATION: Final = 100.0
"""Of the prior of churners by arm: it looks for shares about 5 points off, which is a fifth fewer churners in one of two arms."""


LEAST_ARM: Final = 100
"""Fewest customers of each arm for an interval of means, however even their values are."""

RARE_EVENTS: Final = 10
"""Rare events that each arm has to be expected to have: so many times the squared skewness, which is ``1 / p`` of an event of chance ``p``."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What of an arm's values is needed.

    Attributes:
        count: number of values, one for each customer.
        mean: mean of the values.
        variance: variance of the values, divided by ``count - 1``; 0 of a single value.
        third: mean of the cubed distances from the mean; 0 of values that lie evenly around it.
    """

    count: int
    mean: float
    variance: float
    third: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> "Moments":
        """Moments of an arm's values.

        Raises:
            ValueError: if a value is not finite.
        """
        count, mean, squares, cubes = 0, 0.0, 0.0, 0.0
        for value in values:
            if not math.isfinite(value):
                raise ValueError(f"an arm has the value {value}; expected finite numbers")
            count += 1
            step = value - mean
            part = step / count
            mean += part
            added = step * part * (count - 1)
            cubes += part * (added * (count - 2) - 3 * squares)
            squares += added
        return cls(count, mean, squares / (count - 1) if count > 1 else 0.0, cubes / count if count else 0.0)


@dataclass(frozen=True, slots=True)
class Difference:
    """The treated arm's mean less the control's, with an interval that holds at all looks together.

    Attributes:
        estimate: difference of the means.
        low: lower end of the interval; minus infinity before both arms vary and are large enough.
        high: upper end of the interval.
    """

    estimate: float
    low: float
    high: float


def multinomial_p(counts: Sequence[float], shares: Sequence[float], *, concentration: float) -> float:
    """How likely counts as uneven as these are, at any look, where each unit falls into an arm with these shares.

    The inverse of the Bayes factor of a Dirichlet prior, centred at the shares, against the shares themselves; a non-negative
    martingale that begins at 1, so that by Ville's inequality it exceeds ``1 / alpha`` at any time with a chance of at most ``alpha``.
    For the sample ratio the units are customers. For equal rates they are those with the event, of whom each arm has its share where
    no arm changes the rate. Source: Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022.

    Args:
        counts: units by arm; whole numbers, but for planning.
        shares: expected shares by arm; they sum to 1.
        concentration: weight of the prior; a greater one looks for smaller deviations.

    Returns:
        A p value that may be looked at every day.

    Raises:
        ValueError: if a count is negative, or the shares are not positive or do not sum to 1.
    """
    if any(count < 0 for count in counts) or len(counts) != len(shares):
        raise ValueError(f"counts {list(counts)} for shares {list(shares)}; expected one count of 0 or more for each share")
    if min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"shares {list(shares)}; expected more than 0 each and 1 together")
    prior = [concentration * share for share in shares]
    log_odds = math.lgamma(concentration) - math.lgamma(concentration + sum(counts))
    for count, weight, share in zip(counts, prior, shares, strict=True):
        log_odds += math.lgamma(weight + count) - math.lgamma(weight) - count * math.log(share)
    return math.exp(-log_odds) if log_odds > 0 else 1.0


def least_arm(control: Moments, treated: Moments, *, is_skewed: bool = True) -> int:
    """The customers that each arm needs before the difference of the means has its promised interval.

    A confidence sequence of means is asymptotic: it holds from a size on at which the means are near normal, which a skewed measure reaches
    late (Waudby-Smith et al., as in ``difference``). The skewness is that of both arms together, each about its own mean: a small arm
    without its first rare event would look even. ``make bench-experiments`` counts that the promise is kept.

    Args:
        control: moments of the control.
        treated: moments of the treated arm.
        is_skewed: whether skewness asks for more than ``LEAST_ARM``.
    """
    variance = _pooled_variance(control, treated)
    if not is_skewed or variance <= 0:
        return LEAST_ARM
    third = (control.count * control.third + treated.count * treated.third) / (control.count + treated.count)
    return max(LEAST_ARM, math.ceil(RARE_EVENTS * third**2 / variance**3))


def difference(control: Moments, treated: Moments, *, alpha: float, tightest_at: int, is_skewed: bool = True) -> Difference:
    """The difference of two arms' means, with an interval for all looks together.

    An asymptotic confidence sequence of the normal mixture: beside an interval for one look it is wider by the square root of about
    ``log(n)``, and it is narrowest near ``tightest_at`` customers. Each arm has its own variance, or that of both arms where that is greater:
    a small arm that lacks rare events by chance has a mean that is off and a variance that hides it. Source: Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024, theorem
    2.2, with the ``rho`` that its appendix gives for one size.

    Args:
        control: moments of the control.
        treated: moments of the treated arm.
        alpha: chance that the interval ever misses the truth, over all looks.
        tightest_at: customers of both arms at which the interval is narrowest, such as the planned size.
        is_skewed: whether the arms need to be the larger, the more skewed their values are (``least_arm``).
    """
    estimate = treated.mean - control.mean
    size, least = control.count + treated.count, least_arm(control, treated, is_skewed=is_skewed)
    if min(control.count, treated.count) < least or min(control.variance, treated.variance) <= 0:
        return Difference(estimate, -math.inf, math.inf)
    pooled = _pooled_variance(control, treated)
    error = math.sqrt(sum(max(arm.variance, pooled) / arm.count for arm in (control, treated)))
    half = error * width(size, alpha=alpha, tightest_at=tightest_at)
    return Difference(estimate, estimate - half, estimate + half)


def _pooled_variance(control: Moments, treated: Moments) -> float:
    size = control.count + treated.count
    return (control.count * control.variance + treated.count * treated.variance) / size if size else 0.0


def width(size: int, *, alpha: float, tightest_at: int) -> float:
    """Half the interval for all looks together, in standard errors; 1.96 is that of a single look at ``alpha`` of 5 %.

    Args:
        size: customers so far, of both arms.
        alpha: chance that the interval ever misses the truth.
        tightest_at: customers at which it is narrowest.
    """
    log_alpha = -2 * math.log(alpha)
    rho_squared = (log_alpha + math.log(log_alpha + 1)) / tightest_at
    scaled = size * rho_squared + 1
    return math.sqrt(scaled / (size * rho_squared) * (math.log(scaled) + log_alpha))
