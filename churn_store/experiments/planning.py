"""Planning: how many customers an experiment needs before it can prove what is hoped for."""

import math
from collections.abc import Callable
from statistics import NormalDist

from churn_store.experiments.inference import width

MOST = 10**9
"""Customers beyond which no experiment is planned."""


def planned_size(effect: float, *, deviation: float, share: float, alpha: float, power: float) -> int:
    """The customers of both arms at which an effect is proven with a chance of ``power``, looked at every day.

    Args:
        effect: difference of the means that is worth seeing, in the unit of the measure.
        deviation: standard deviation of the measure from customer to customer, in the same unit.
        share: share of the treated arm, between 0 and 1.
        alpha: chance of a false win or loss over all looks.
        power: chance of seeing the effect, between 0 and 1.

    Returns:
        A number of customers; ``fixed_size`` gives that of a single look.

    Raises:
        ValueError: if the effect is 0, or so small that no company has the customers.
    """
    return _smallest(lambda size: width(size, alpha=alpha, tightest_at=size), effect, deviation, share, power)


def fixed_size(effect: float, *, deviation: float, share: float, alpha: float, power: float) -> int:
    """The same for a test that is looked at once, at its end."""
    once = NormalDist().inv_cdf(1 - alpha / 2)
    return _smallest(lambda _: once, effect, deviation, share, power)


def _smallest(widths: Callable[[int], float], effect: float, deviation: float, share: float, power: float) -> int:
    """The smallest number of customers at which the effect is ``width`` and the power's quantile of standard errors."""
    if effect == 0 or deviation <= 0 or not 0 < share < 1 or not 0 < power < 1:
        raise ValueError(
            f"an effect of {effect}, a deviation of {deviation}, a share of {share} and a power of {power}; expected an effect "
            "other than 0, a deviation above 0, and a share and a power between 0 and 1"
        )
    needed = NormalDist().inv_cdf(power)
    spread = deviation * math.sqrt(1 / share + 1 / (1 - share))

    def is_enough(size: int) -> bool:
        return abs(effect) >= (widths(size) + needed) * spread / math.sqrt(size)

    high = 4
    while not is_enough(high):
        high *= 2
        if high > MOST:
            raise ValueError(f"an effect of {effect} needs more than {MOST:,} customers; look for a greater one")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
