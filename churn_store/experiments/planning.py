"""Planning: how many customers an experiment needs before it can prove what is hoped for."""

import math
from collections.abc import Callable
from statistics import NormalDist

from churn_store.experiments.inference import RATE_CONCENTRATION, multinomial_p, width

MOST = 10**9
"""Customers beyond which no experiment is planned."""

HALVINGS = 60
"""Of the range in which the boundary of the exact test lies."""

GREATEST_OF_RATE = 0.5
"""Greatest standard deviation of a measure that is 0 or 1."""


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


def planned_retention_size(effect: float, *, deviation: float, share: float, alpha: float, power: float) -> int:
    """The same for retention, which is judged by the exact test of those who leave (``inference.multinomial_p``).

    That test asks whether the treated arm has its share of them. It sees less than an interval of the two rates, the more customers leave.

    Args:
        effect: difference of the rates that is worth seeing. It is looked for as fewer who leave, or as more where not so many leave.
        deviation: standard deviation of retention; of its two rates the one is taken at which fewer than half leave.
        share: share of the treated arm, between 0 and 1.
        alpha: chance of a false win or loss over all looks.
        power: chance of seeing the effect, between 0 and 1.

    Raises:
        ValueError: as ``planned_size``, or if no rate has this deviation.
    """
    _require_sense(effect, deviation, share, power)
    if deviation > GREATEST_OF_RATE:
        raise ValueError(
            f"a deviation of {deviation:g}; expected at most {GREATEST_OF_RATE:g}, as retention is 0 or 1: 0.26 where 7 % leave"
        )
    control = (1 - math.sqrt(1 - 4 * deviation**2)) / 2
    treated = control - effect if effect <= control else control + effect
    if treated > 1:
        raise ValueError(f"an effect of {effect:g} where {control:.0%} leave; expected one that retention can have")
    needed = NormalDist().inv_cdf(power)
    distance = share * (1 - share) * abs(control - treated)
    leaving = share * treated + (1 - share) * control
    spread = math.sqrt(share * (1 - share) * ((1 - share) * treated * (1 - treated) + share * control * (1 - control)))

    def is_enough(size: int) -> bool:
        boundary = _boundary(size * leaving, share, alpha, is_below=treated < control)
        return boundary is not None and size * distance >= boundary + needed * spread * math.sqrt(size)

    return _least(is_enough, effect)


def _boundary(left: float, share: float, alpha: float, *, is_below: bool) -> float | None:
    """How many fewer (or more) of those who left have to be treated than their share, for the exact test; ``None`` where there are too few."""
    side = -1 if is_below else 1

    def p_at(distance: float) -> float:
        of_treated = share * left + side * distance
        return multinomial_p((left - of_treated, of_treated), (1 - share, share), concentration=RATE_CONCENTRATION)

    low, high = 0.0, left * (share if is_below else 1 - share)
    if p_at(high) > alpha:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if p_at(middle) <= alpha else (middle, high)
    return high


def fixed_size(effect: float, *, deviation: float, share: float, alpha: float, power: float) -> int:
    """The same for a test that is looked at once, at its end."""
    once = NormalDist().inv_cdf(1 - alpha / 2)
    return _smallest(lambda _: once, effect, deviation, share, power)


def _smallest(widths: Callable[[int], float], effect: float, deviation: float, share: float, power: float) -> int:
    """The smallest number of customers at which the effect is ``width`` and the power's quantile of standard errors."""
    _require_sense(effect, deviation, share, power)
    needed = NormalDist().inv_cdf(power)
    spread = deviation * math.sqrt(1 / share + 1 / (1 - share))

    def is_enough(size: int) -> bool:
        return abs(effect) >= (widths(size) + needed) * spread / math.sqrt(size)

    return _least(is_enough, effect)


def _require_sense(effect: float, deviation: float, share: float, power: float) -> None:
    if effect == 0 or deviation <= 0 or not 0 < share < 1 or not 0 < power < 1:
        raise ValueError(
            f"an effect of {effect}, a deviation of {deviation}, a share of {share} and a power of {power}; expected an effect "
            "other than 0, a deviation above 0, and a share and a power between 0 and 1"
        )


def _least(is_enough: Callable[[int], bool], effect: float) -> int:
    """The smallest number of customers that is enough."""
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
