"""How often degradation is found where nothing has changed, and where something has: ``make bench-degradation [BENCH=--quick]``.

The product's own rule looks at every snapshot of worlds by the simulator's own law (``degradation_worlds``): all customers together and the
segments by plan and country. Promised are a false degradation in at most 5 % of the worlds of five years in which nothing changes, and
that the scenario ``competitor`` is found at the first snapshot after it in at least 95 %. Beside them stand rules that people use, which
must break the promise, or the worlds could not show a bad rule.

The exit status is 1 if a promise is broken, or one that must be is kept.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from degradation_worlds import COMPETITOR, SERVES, Month, World, months
from scipy.stats import beta

from churn_assets.evaluation.measures import auc, log_losses
from churn_assets.performance.degradation import Point, Rule, Series, Step, detect
from churn_assets.performance.excess import excess_log_loss
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.performance import PerformanceSettings
from churn_assets.simulator.customers import COUNTRIES
from churn_assets.simulator.law import PLANS, Effects

FIVE_YEARS = 60
ALLOWED, FOUND = 0.05, 0.95
LEAST = EvaluationSettings().segment_rows
ONE_LOOK = 1.96
SMALLER = Effects(plan=(0.9, 0.0, -0.6), friction=0.75)
"""A change that takes away a part of what the model knows, and is not promised to be seen at once."""


@dataclass
class Seen:
    """What a world's months showed.

    Attributes:
        steps: what the rule made of each month.
        aucs: AUC of each month.
        off: standard errors between the promised and the seen churn rate.
        by_people: by rule of thumb whether it alarmed in each month.
    """

    steps: list[dict[Series, Step]] = field(default_factory=list)
    aucs: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    by_people: dict[str, list[bool]] = field(default_factory=dict)

    def first(self, *, since: int = 0) -> int | None:
        """The first month with a degradation."""
        return next(
            (at for at, steps in enumerate(self.steps) if at >= since and any(one.is_degraded for one in steps.values())),
            None,
        )

    @property
    def false(self) -> int:
        """How often a degradation began."""
        begun, before = 0, set[Series]()
        for steps in self.steps:
            now = {series for series, one in steps.items() if one.is_degraded}
            begun += len(now - before)
            before = now
        return begun


def points(month: Month) -> dict[Series, Point]:
    """What the product measures of a month: all customers, and each segment with enough rows."""
    found = {}
    for series, inside in _series(month):
        churned = month.churned[inside]
        if len(churned) < LEAST or min(churned.sum(), (~churned).sum()) < PerformanceSettings().least_churners:
            continue
        one = excess_log_loss(churned, month.scores[inside], month.customers.filter(inside), month.gate)
        found[series] = Point(one.value, one.variance, one.promised, one.gate_error)
    return found


def _series(month: Month) -> Iterator[tuple[Series, np.ndarray]]:
    release = str(month.release)
    yield Series(release, None, None), np.ones(len(month.churned), dtype=bool)
    for name, words, codes in (("plan", PLANS, month.plan), ("country", COUNTRIES, month.country)):
        for code, word in enumerate(words):
            yield Series(release, None, f"{name}={word}"), codes == code


def live(world: World, served: int, rule: Rule) -> Seen:
    """Live through a world."""
    seen, found = Seen(), []
    for month in months(world, served):
        found.append(points(month))
        losses = log_losses(month.churned, month.scores)
        error = losses.std() / np.sqrt(len(losses))
        rate, promised = month.churned.mean(), month.scores.mean()
        off = (rate - promised) / np.sqrt(promised * (1 - promised) / len(losses))
        seen.aucs.append(auc(month.churned, month.scores))
        seen.off.append(float(off))
        assert month.gate.log_loss is not None
        thumbs = {
            "log loss above the gate's, outside its 95 %": losses.mean() - ONE_LOOK * error > month.gate.log_loss,
            "churn rate off the promised, outside its 95 %": abs(off) > ONE_LOOK,
            "excess above 0, one test of 5 % a month": found[-1][Series(str(month.release), None, None)].excess
            > 1.645 * np.sqrt(found[-1][Series(str(month.release), None, None)].variance),
        }
        for name, alarmed in thumbs.items():
            seen.by_people.setdefault(name, []).append(bool(alarmed))
    seen.steps = detect(found, rule)
    return seen


def interval(count: int, of: int) -> str:
    """The interval of 95 % of a share (Clopper and Pearson 1934), in words."""
    low = float(beta.ppf(0.025, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, of - count)) if count < of else 1.0
    return f"{low:.1%} to {high:.1%}"


def main() -> int:
    """Live through the worlds and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="False and true degradations, by the rule of the product.")
    options.add_argument("--worlds", type=int, default=200, help="worlds a line")
    options.add_argument("--quick", action="store_true", help="20 worlds a line")
    asked = options.parse_args()
    worlds, began = 20 if asked.quick else asked.worlds, time.monotonic()
    settings = PerformanceSettings()
    rule = Rule.of(false_alarms=settings.false_alarms, margin=settings.margin, cadence="monthly", horizon_days=30)
    kept = []

    def say(line: str, is_kept: bool) -> None:
        print(f"{line}   {'kept' if is_kept else 'BROKEN'}", flush=True)
        kept.append(is_kept)

    unchanged = [
        live(World(seed=1_000 + number, customers=(1_500, 7_400)[number % 2], growth=(0.0, 0.01, 0.02)[number % 3], season=(0.1, 0.2)[number // 2 % 2]), FIVE_YEARS, rule)
        for number in range(worlds)
    ]  # fmt: skip
    larger = [seen for number, seen in enumerate(unchanged) if number % 2]
    least, most = (np.mean([end(seen.aucs) for seen in larger]) for end in (min, max))
    print(f"{worlds} worlds of {FIVE_YEARS} months in which nothing changes")
    print(
        f"  of the larger: AUC {np.mean([np.mean(seen.aucs) for seen in larger]):.3f}, in the worst and best month {least:.3f} and {most:.3f}; "
        f"churn rate off the promised by up to {np.mean([max(map(abs, seen.off)) for seen in larger]):.1f} standard errors\n"
    )
    hit = sum(seen.first() is not None for seen in unchanged)
    false = sum(seen.false for seen in unchanged)
    print(f"{'nothing changes':<50}{'worlds':>8}{'share':>8}{'interval':>18}{'promised':>12}")
    say(
        f"{'a false degradation in five years':<50}{hit:>8}{hit / worlds:>8.1%}{interval(hit, worlds):>18}{f'<= {ALLOWED:.0%}':>12}",
        hit <= ALLOWED * worlds,
    )
    print(f"{'  false degradations, segments too, of all':<50}{false:>8}{false / worlds:>8.3f} in five years")
    for name in unchanged[0].by_people:
        alarmed = sum(any(seen.by_people[name]) for seen in unchanged)
        say(
            f"{name:<50}{alarmed:>8}{alarmed / worlds:>8.1%}{interval(alarmed, worlds):>18}{'must break':>12}",
            alarmed > ALLOWED * worlds,
        )
    print(f"\n{'something changes':<50}{'worlds':>8}{'share':>8}{'interval':>18}{'promised':>12}")
    for name, change, customers, at, promised in (
        ("competitor, found at the first snapshot", COMPETITOR, 7_400, 9, FOUND),
        ("competitor, 1,500 customers, at the first snapshot", COMPETITOR, 1_500, 9, None),
        ("a smaller change, found at the first snapshot", SMALLER, 7_400, 2, None),
    ):
        changed = [
            live(World(seed=5_000 + number, customers=customers, change=change, change_at=at), SERVES, rule)
            for number in range(worlds)
        ]
        before, after = (np.mean([np.mean(seen.aucs[part]) for seen in changed]) for part in (slice(at), slice(at, None)))
        at_once = sum(seen.first() == at for seen in changed)
        within = sum(first >= at for seen in changed if (first := seen.first()) is not None)
        line = f"{name:<50}{at_once:>8}{at_once / worlds:>8.1%}{interval(at_once, worlds):>18}"
        if promised is None:
            print(f"{line}{'shown':>12}", flush=True)
        else:
            say(f"{line}{f'>= {promised:.0%}':>12}", at_once >= promised * worlds)
        print(
            f"  AUC {before:.3f} before and {after:.3f} after; found within {SERVES - at} snapshots: {within / worlds:.1%}"
        )
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
