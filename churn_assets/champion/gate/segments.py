"""The rule that no segment of customers brings much less profit than with the champion.

Belongs here: the test of each segment, the correction for multiple tests, and the smallest loss that each test could have detected. Does not
belong here: which segments there are (``evaluation.segments``), and all customers together (``profit``).
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import scipy

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.champion.gate.profit import NO_CHAMPION, POWER, decisions, difference_of
from churn_assets.evaluation.intervals import Difference
from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.profit import Profit

JUDGED_MARGINS = 3.0
"""Greatest detectable loss of a judged segment, in margins; a segment with a greater one is too small to be judged."""

SHOWN = 3
"""Greatest number of segments that a list names."""

LEAST_P_VALUE = 1e-9
"""Least p-value that is computed."""

HALVINGS = 20
"""Steps of the bisection that finds a p-value."""


class Segment(Protocol):
    """Computes the difference between candidate and champion in a segment, with bounds of any confidence."""

    def __call__(self, *, confidence: float) -> Difference:
        """The difference with bounds of a confidence."""


def no_segment_worse(case: Evidence, bounds: Gate, profit: Profit, evaluation: EvaluationSettings) -> RuleResult:
    """No segment brings much less profit than with the champion.

    A segment is worse if its difference is below minus the margin, and significantly below 0 after Holm's correction for the number of
    segments (Holm 1979, Scandinavian Journal of Statistics 6). A segment that is not worse is not judged if even a loss of
    ``JUDGED_MARGINS`` could not have been detected in it. It is named as such, and does not fail the rule.
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
        labels_and_decisions = (case.churned[inside], ours[inside], theirs[inside])
        segments[f"{column} {word or 'missing'}"] = partial(
            difference_of, *labels_and_decisions, case.customers.filter(rows), profit
        )
    level = 1 - bounds.confidence
    differences = {name: segment(confidence=bounds.confidence) for name, segment in segments.items()}
    below = holm({name: p_value(segment) for name, segment in segments.items()}, level)
    worse = [name for name, difference in differences.items() if name in below and difference.mean < -bounds.segment_margin]
    detectable = {
        name: detectable_loss(segment(confidence=1 - level / len(segments)), margin=bounds.segment_margin)
        for name, segment in segments.items()
    }
    unjudged = [
        name
        for name in sorted(detectable, key=lambda name: -detectable[name])
        if detectable[name] > limit and name not in worse
    ]
    return RuleResult(
        not worse,
        ("some customers bring less than with the champion: " if worse else "")
        + "; ".join(_sentences(differences, detectable, worse, unjudged)),
        allowed,
        numbers={
            "segments": len(differences),
            "worse": len(worse),
            "not_judged": len(unjudged),
            **{name: difference.mean for name, difference in differences.items()},
            **{f"{name}, detectable": loss for name, loss in detectable.items()},
        },
    )


def _sentences(
    differences: Mapping[str, Difference], detectable: Mapping[str, float], worse: list[str], unjudged: list[str]
) -> list[str]:
    sentences = [f"{len(differences)} segments looked at", *(f"{name}: {differences[name].mean:+.3f}" for name in worse)]
    judged = [name for name in differences if name not in unjudged]
    if not worse and judged:
        least = min(judged, key=lambda name: differences[name].mean)
        sentences.append(f"the least is {least}: {differences[least].mean:+.3f} (bound {differences[least].low:+.3f})")
    if judged:
        least_certain = max(judged, key=lambda name: detectable[name])
        sentences.append(
            f"the least certain is {least_certain}: a loss of {detectable[least_certain]:.3f} would have been seen in {POWER:.0%} of cases"
        )
    if unjudged:
        shown = ", ".join(
            f"{name} ({differences[name].mean:+.3f}, a loss of {detectable[name]:.3f} would have been seen)"
            for name in unjudged[:SHOWN]
        )
        more = f", and {len(unjudged) - SHOWN} more" if len(unjudged) > SHOWN else ""
        sentences.append(f"not judged, too few: {shown}{more}")
    return sentences


def detectable_loss(difference: Difference, *, margin: float, power: float = POWER) -> float:
    """The smallest true loss of a segment that the test would have detected with some probability, at this size and scatter.

    Args:
        difference: difference of the segment, with the confidence of Holm's first step.
        margin: least loss that the rule looks for.
        power: probability of detecting it.
    """
    freedom = max(difference.customers - 1, 1)
    return (
        max(margin, difference.high - difference.mean)
        + float(scipy.stats.t.ppf(power, freedom)) * difference.standard_error
    )


def p_value(segment: Segment) -> float:
    """The one-sided p-value of a loss: the level at which the upper bound of ``paired_difference`` is 0, found by bisection.

    That bound also holds for skewed sums of few differing rows. A t test does not: it finds some hundred rows without a churner all but
    impossible where one such sample in six looks like that.
    """
    least, most = LEAST_P_VALUE, 0.5
    if not segment(confidence=1 - most).high < 0:
        return 1.0
    if segment(confidence=1 - least).high < 0:
        return least
    for _ in range(HALVINGS):
        middle = (least * most) ** 0.5
        least, most = (least, middle) if segment(confidence=1 - middle).high < 0 else (middle, most)
    return most


def holm(p_values: dict[str, float], level: float) -> set[str]:
    """The names rejected at a family-wise level by Holm's step-down procedure.

    Args:
        p_values: p-values by segment name.
        level: greatest probability of any wrong rejection.
    """
    rejected: set[str] = set()
    for name, value in sorted(p_values.items(), key=lambda entry: entry[1]):
        if not value <= level / (len(p_values) - len(rejected)):
            break
        rejected.add(name)
    return rejected
