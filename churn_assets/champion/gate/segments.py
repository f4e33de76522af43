"""Whether a candidate brings some group of customers much less than the champion does, and in which groups that could have been seen.

Belongs here: the test of each segment, its correction for their number, and the smallest loss that it could have shown. Does not
belong here: which segments there are (``evaluation.segments``), and all customers together (``profit``).
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from scipy.stats import t as student

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.champion.gate.profit import NO_CHAMPION, POWER, decisions, difference_of
from churn_assets.evaluation.intervals import Difference
from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.settings.company import EvaluationSettings, Gate, Profit

JUDGED_MARGINS = 3.0
"""A segment in which only a loss of more than so many margins could have been seen is too small for the rule to say anything of it."""

SHOWN = 3

LEAST_CHANCE = 1e-9
"""A p-value is not told apart from a smaller one than this."""

HALVINGS = 20


class Segment(Protocol):
    """What the candidate brings above the champion in a segment, with bounds of any confidence."""

    def __call__(self, *, confidence: float) -> Difference:
        """The difference."""


def no_segment_worse(case: Evidence, bounds: Gate, profit: Profit, evaluation: EvaluationSettings) -> RuleResult:
    """No group of customers brings much less than with the champion.

    A segment is worse where its difference is below minus the margin and below 0 by more than chance, after Holm's correction for the
    number of segments that were looked at (Holm 1979, Scandinavian Journal of Statistics 6). One that is not worse, and in which a loss
    of ``JUDGED_MARGINS`` could not have been seen, was not judged: it is named as such, and fails nothing.
    """
    limit = JUDGED_MARGINS * bounds.segment_margin
    allowed = (
        f"no segment of at least {evaluation.segment_rows} rows below -{bounds.segment_margin:g} (gate.segment_margin) per customer and below 0 "
        f"beyond chance ({bounds.confidence:.0%}, corrected for their number); one in which only a loss above {limit:g} would have been seen in "
        f"{POWER:.0%} of cases is not judged"
    )
    if case.champion is None:
        return RuleResult(True, NO_CHAMPION, allowed)
    columns = segment_columns(case.scorer.signature, case.judging, evaluation)
    ours, theirs = decisions(case)
    segments: dict[str, Segment] = {}
    for column, word, rows in segments_of(case.judging, columns, evaluation):
        inside = rows.to_numpy()
        decided = (case.churned[inside], ours[inside], theirs[inside])
        segments[f"{column} {word or 'missing'}"] = partial(difference_of, *decided, case.customers.filter(rows), profit)
    level = 1 - bounds.confidence
    differences = {name: segment(confidence=bounds.confidence) for name, segment in segments.items()}
    below = holm({name: chance_of_less(segment) for name, segment in segments.items()}, level)
    worse = [name for name, found in differences.items() if name in below and found.mean < -bounds.segment_margin]
    seen = {
        name: detectable_loss(segment(confidence=1 - level / len(segments)), margin=bounds.segment_margin)
        for name, segment in segments.items()
    }
    unjudged = [name for name in sorted(seen, key=lambda name: -seen[name]) if seen[name] > limit and name not in worse]
    return RuleResult(
        not worse,
        ("some customers bring less than with the champion: " if worse else "")
        + "; ".join(_said(differences, seen, worse, unjudged)),
        allowed,
        numbers={
            "segments": len(differences),
            "worse": len(worse),
            "not_judged": len(unjudged),
            **{name: found.mean for name, found in differences.items()},
            **{f"{name}, detectable": loss for name, loss in seen.items()},
        },
    )


def _said(
    differences: Mapping[str, Difference], seen: Mapping[str, float], worse: list[str], unjudged: list[str]
) -> list[str]:
    said = [f"{len(differences)} segments looked at", *(f"{name}: {differences[name].mean:+.3f}" for name in worse)]
    judged = [name for name in differences if name not in unjudged]
    if not worse and judged:
        least = min(judged, key=lambda name: differences[name].mean)
        said.append(f"the least is {least}: {differences[least].mean:+.3f} (bound {differences[least].low:+.3f})")
    if judged:
        surest_last = max(judged, key=lambda name: seen[name])
        said.append(
            f"the least certain is {surest_last}: a loss of {seen[surest_last]:.3f} would have been seen in {POWER:.0%} of cases"
        )
    if unjudged:
        shown = ", ".join(
            f"{name} ({differences[name].mean:+.3f}, a loss of {seen[name]:.3f} would have been seen)"
            for name in unjudged[:SHOWN]
        )
        more = f", and {len(unjudged) - SHOWN} more" if len(unjudged) > SHOWN else ""
        said.append(f"not judged, too few: {shown}{more}")
    return said


def detectable_loss(difference: Difference, *, margin: float, power: float = POWER) -> float:
    """The smallest true loss of a segment that would have been found with some probability, at this size and scatter.

    Args:
        difference: difference of the segment, with the confidence of its test; that of all corrected for their number is what Holm's
            first step asks.
        margin: a smaller loss than this is not looked for.
        power: probability of detecting it.
    """
    freedom = max(difference.customers - 1, 1)
    return max(margin, difference.high - difference.mean) + float(student.ppf(power, freedom)) * difference.standard_error


def chance_of_less(segment: Segment) -> float:
    """How likely so low a difference is where there is none: the one-sided p-value that belongs to the upper bound.

    The bound of ``paired_difference`` holds for skewed sums of few differing rows as well; a t test calls some hundred rows without a
    churner among them impossible by chance, where that is what one in six looks like. It is the level at which the bound is 0, found by
    halving.
    """
    least, most = LEAST_CHANCE, 0.5
    if not segment(confidence=1 - most).high < 0:
        return 1.0
    if segment(confidence=1 - least).high < 0:
        return least
    for _ in range(HALVINGS):
        middle = (least * most) ** 0.5
        least, most = (least, middle) if segment(confidence=1 - middle).high < 0 else (middle, most)
    return most


def holm(chances: dict[str, float], level: float) -> set[str]:
    """Those that are rejected at a family-wise level by Holm's step-down procedure.

    Args:
        chances: p-values by segment name.
        level: probability of one wrong rejection or more.
    """
    rejected: set[str] = set()
    for name, chance in sorted(chances.items(), key=lambda entry: entry[1]):
        if not chance <= level / (len(chances) - len(rejected)):
            break
        rejected.add(name)
    return rejected
