"""How often an experiment that is looked at every day is wrong, and how often it sees what is there: ``make bench-experiments``.

Customers arrive day by day and are assigned by the platform's own hash. Each has one matured outcome: stays or leaves, a profit, a
log loss. After each day the platform's own functions are asked, and the first verdict ends the experiment, as an impatient person
would. Beside it stands a test of a fixed size that is looked at as often, which most A/B tools are used as.

- no effect: false wins and losses of each measure, at most 5 % for all looks together, also where a twentieth is treated;
- an effect: how often it is proven within three times the sample of a single look with 80 % power, at least 80 %;
- the assignment: false alarms of the sample ratio at most 1 %, and how often 52 to 48 in place of 50 to 50 is found.

Intervals are those of Clopper and Pearson (95 %); the exit status is 1 where a promise is broken by them.
"""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from churn_store.experiments.assignment import is_treated
from churn_store.experiments.inference import (
    LEAST_ARM,
    RATE_CONCENTRATION,
    RATIO_CONCENTRATION,
    Moments,
    difference,
    multinomial_p,
)
from churn_store.experiments.planning import fixed_size

ALPHA, RATIO_ALPHA, POWER = 0.05, 0.01, 0.8
SHARES = (0.5, 0.5)
CHURN = 0.07
"""Share of the control's customers that leave."""

ONE_LOOK = 1.96
A_DAY = 200
"""Customers a day in experiments without an effect."""
ROUNDING = 1e-9
"""Variance beside the squared mean below which values are equal but for rounding."""

Values = NDArray[np.float64]
Drawn = Callable[[np.random.Generator, NDArray[np.bool_], bool], Values]


@dataclass(frozen=True)
class Verdicts:
    """What experiments of one kind came to.

    Attributes:
        better: those in which the treated arm was proven to have the greater mean.
        worse: those in which it was proven to have the smaller one.
        peeked: those that a test for one look, looked at as often, would have ended.
        days: day of the verdict, of those that ended.
    """

    better: int
    worse: int
    peeked: int
    days: list[int]


def retention(random: np.random.Generator, treated: NDArray[np.bool_], effect: bool) -> Values:
    """1 of a customer who stays; the effect keeps a quarter of those who would leave."""
    leaves = CHURN * np.where(treated & effect, 0.75, 1.0)
    return (random.random(treated.size) >= leaves).astype(float)


def profit(random: np.random.Generator, treated: NDArray[np.bool_], effect: bool) -> Values:
    """Money a customer: one in five is called at a price of 11, a few of them stay and are worth 200; the effect calls better."""
    called = random.random(treated.size) < 0.2
    saved = random.random(treated.size) < np.where(treated & effect, 0.14, 0.08)
    return called * (200.0 * saved - 11.0)


def log_loss(random: np.random.Generator, treated: NDArray[np.bool_], effect: bool) -> Values:
    """Log loss of a customer, by a model that knows each one's probability; with the effect the control's knows half of it."""
    probability = np.clip(random.beta(0.7, 0.7 * (1 - CHURN) / CHURN, treated.size), 1e-4, 1 - 1e-4)
    leaves = random.random(treated.size) < probability
    given = np.where(treated | (not effect), probability, CHURN + (probability - CHURN) / 2)
    return -np.where(leaves, np.log(given), np.log1p(-given))


def alike_log_loss(random: np.random.Generator, treated: NDArray[np.bool_], effect: bool) -> Values:
    """Log loss of a model that gives everybody the same probability, so that all of it is in the few who leave; with the effect the control's gives half."""
    given = np.where(treated | (not effect), CHURN, CHURN / 2)
    return -np.where(random.random(treated.size) < CHURN, np.log(given), np.log1p(-given))


def profit_of_actions(random: np.random.Generator, treated: NDArray[np.bool_], effect: bool) -> Values:
    """What a customer brings who is worth 200 and stays: nothing of those who leave."""
    return 200.0 * retention(random, treated, effect)


MEASURES: dict[str, Drawn] = {"retention": retention, "profit": profit, "log loss": log_loss}
SKEWED: dict[str, Drawn] = {
    "log loss": log_loss,
    "alike log loss": alike_log_loss,
    "profit": profit,
    "profit of actions": profit_of_actions,
    "retention": retention,
}
SMALL_SHARES = (0.1, 0.05)


def simulate(
    random: np.random.Generator,
    measure: str,
    *,
    effect: bool,
    times: int,
    days: int,
    a_day: int,
    tightest_at: int,
    share: float = SHARES[1],
) -> Verdicts:
    """Experiments of one measure, each looked at daily until its first verdict.

    Args:
        random: source of the customers.
        measure: name of the measure.
        effect: whether the treatment has one.
        times: number of experiments.
        days: looks of each.
        a_day: customers that arrive a day.
        tightest_at: customers for which the interval is planned.
        share: share that is treated.
    """
    ended: list[tuple[int, bool]] = []
    peeked = 0
    for _ in range(times):
        treated = random.random(days * a_day) < share
        values = (MEASURES | SKEWED)[measure](random, treated, effect)
        arms = [_running(values, treated == arm, days, a_day) for arm in (False, True)]
        looks = list(zip(*arms, strict=True))
        peeked += any(_is_significant(*look) for look in looks)
        for day, look in enumerate(looks, start=1):
            if (is_better := proven(measure, *look, tightest_at=tightest_at, share=share)) is not None:
                ended.append((day, is_better))
                break
    better = sum(is_better for _, is_better in ended)
    return Verdicts(better, len(ended) - better, peeked, [day for day, _ in ended])


def proven(measure: str, control: Moments, treated: Moments, *, tightest_at: int, share: float = SHARES[1]) -> bool | None:
    """Whether the treated arm's mean is the greater one; ``None`` while nothing is proven."""
    found = difference(control, treated, alpha=ALPHA, tightest_at=tightest_at)
    if measure == "retention":
        if min(control.count, treated.count) < LEAST_ARM:
            return None
        left = [round(arm.count * (1 - arm.mean)) for arm in (control, treated)]
        is_proven = multinomial_p(left, (1 - share, share), concentration=RATE_CONCENTRATION) <= ALPHA
    else:
        is_proven = found.low > 0 or found.high < 0
    return found.estimate > 0 if is_proven else None


def alarms(random: np.random.Generator, share: float, *, times: int, days: int, a_day: int) -> int:
    """Experiments in which the sample ratio raises an alarm on some day, where an arm of 50 % has another share."""
    treated = random.binomial(a_day, share, (times, days)).cumsum(axis=1)
    all_of_them = np.arange(1, days + 1) * a_day
    return sum(
        any(
            multinomial_p((int(all_of_them[day] - arm[day]), int(arm[day])), SHARES, concentration=RATIO_CONCENTRATION)
            <= RATIO_ALPHA
            for day in range(days)
        )
        for arm in treated
    )


def _running(values: Values, of_arm: NDArray[np.bool_], days: int, a_day: int) -> list[Moments]:
    """Moments of an arm's values up to the end of each day."""

    def until(each: Values) -> Values:
        sums: Values = each.reshape(days, a_day).sum(axis=1).cumsum()
        return sums

    count, total, squares = until(of_arm.astype(float)), until(values * of_arm), until(values**2 * of_arm)
    cubes, some = until(values**3 * of_arm), np.maximum(count, 1)
    mean = total / some
    variance = (squares - count * mean**2) / np.maximum(count - 1, 1)
    variance[variance < ROUNDING * mean**2] = 0
    third = cubes / some - 3 * mean * squares / some + 2 * mean**3
    return [Moments(int(n), float(m), float(v), float(t)) for n, m, v, t in zip(count, mean, variance, third, strict=True)]


def _is_significant(control: Moments, treated: Moments) -> bool:
    """What a test for a single look says."""
    error = math.sqrt(control.variance / max(control.count, 1) + treated.variance / max(treated.count, 1))
    return error > 0 and abs(treated.mean - control.mean) > ONE_LOOK * error


def _effect(random: np.random.Generator, measure: str) -> tuple[float, float]:
    """The true effect of a measure and its standard deviation, from four million customers."""
    treated = np.arange(4_000_000) % 2 == 1
    values = MEASURES[measure](random, treated, True)
    deviation = ((values[treated].var() + values[~treated].var()) / 2) ** 0.5
    return float(values[treated].mean() - values[~treated].mean()), float(deviation)


def _at_least(count: int, times: int) -> float:
    """Lower end of the interval of a share."""
    return float(beta.ppf(0.025, count, times - count + 1)) if count else 0.0


def _at_most(count: int, times: int) -> float:
    """Upper end of the interval of a share."""
    return float(beta.ppf(0.975, count + 1, times - count)) if count < times else 1.0


def main() -> int:
    """Simulate and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="False and true verdicts of experiments that are looked at every day.")
    options.add_argument("--experiments", type=int, default=1_000, help="experiments a line")
    options.add_argument("--days", type=int, default=60, help="looks of each, one a day")
    options.add_argument("--quick", action="store_true", help="200 experiments of 30 days")
    asked = options.parse_args()
    times, days = (200, 30) if asked.quick else (asked.experiments, asked.days)
    random = np.random.default_rng(20261129)
    results = []

    def say(line: str, is_kept: bool) -> None:
        print(f"{line}   {'kept' if is_kept else 'BROKEN'}", flush=True)
        results.append(is_kept)

    print(f"{times:,} experiments a line, {days} looks each\n")
    print(f"{'no effect':<12}{'better':>8}{'worse':>8}{'wrong':>9}{'at most':>9}{'a test for one look':>21}")
    for measure in MEASURES:
        found = simulate(random, measure, effect=False, times=times, days=days, a_day=A_DAY, tightest_at=100 * days)
        wrong = found.better + found.worse
        say(
            f"{measure:<12}{found.better:>8}{found.worse:>8}{wrong / times:>9.1%}{ALPHA:>9.0%}{found.peeked / times:>21.1%}",
            _at_least(wrong, times) <= ALPHA,
        )
    print(f"\n{'no effect, few treated':<24}{'share':>7}{'better':>8}{'worse':>8}{'wrong':>9}{'at most':>9}")
    for measure, share in ((measure, share) for measure in SKEWED for share in SMALL_SHARES):
        found = simulate(
            random, measure, effect=False, times=times, days=days, a_day=A_DAY, tightest_at=A_DAY * days // 4, share=share
        )
        wrong = found.better + found.worse
        say(
            f"{measure:<24}{share:>7.0%}{found.better:>8}{found.worse:>8}{wrong / times:>9.1%}{ALPHA:>9.0%}",
            _at_least(wrong, times) <= ALPHA,
        )
    print(
        f"\n{'an effect':<12}{'effect':>9}{'one look':>10}{'customers':>11}{'proven':>9}{'at least':>10}{'median day':>12}"
    )
    for measure in MEASURES:
        effect, deviation = _effect(random, measure)
        once = fixed_size(effect, deviation=deviation, share=SHARES[1], alpha=ALPHA, power=POWER)
        a_day = -(-3 * once // days)
        found = simulate(random, measure, effect=True, times=times, days=days, a_day=a_day, tightest_at=2 * once)
        right = found.better if effect > 0 else found.worse
        say(
            f"{measure:<12}{effect:>9.4f}{once:>10,}{a_day * days:>11,}{right / times:>9.1%}{POWER:>10.0%}"
            f"{np.median(found.days):>12.0f}",
            _at_most(right, times) >= POWER,
        )
    print(f"\n{'assignment, 1,000 customers a day':<36}{'alarms':>9}{'asked':>10}")
    raised = alarms(random, 0.5, times=times, days=days, a_day=1_000)
    say(
        f"{'50 % in an arm of 50 %':<36}{raised / times:>9.1%}{f'<= {RATIO_ALPHA:.0%}':>10}",
        _at_least(raised, times) <= RATIO_ALPHA,
    )
    raised = alarms(random, 0.48, times=times, days=days, a_day=1_000)
    say(f"{'48 % in an arm of 50 %':<36}{raised / times:>9.1%}{f'>= {POWER:.0%}':>10}", _at_most(raised, times) >= POWER)
    ids = 100_000
    in_arm = sum(is_treated("salt", f"c{number}", SHARES[1]) for number in range(ids))
    p = multinomial_p((ids - in_arm, in_arm), SHARES, concentration=RATIO_CONCENTRATION)
    say(f"{f'the hash of {ids:,} ids':<36}{in_arm / ids:>9.2%}{f'p {p:.2f}':>10}", p > RATIO_ALPHA)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
