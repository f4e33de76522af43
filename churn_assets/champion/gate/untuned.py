"""The rule that a candidate is not worse than an untuned model of any of the company's families.

Does not belong here: how those are fitted (``champion.untuned``), and rules simpler than a model (``quality``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import Scores, auc, log_losses
from churn_assets.settings.gate import Gate
from churn_store.errors import InputError

MEASURES = ("AUC", "log loss")


@dataclass(frozen=True)
class Comparison:
    """A measure of the candidate compared with that of an untuned model.

    Attributes:
        family: family of the untuned model.
        measure: name of the measure.
        gain: difference of the measure; positive if the candidate is better.
        bound: one-sided upper bound of the difference.
        margin: greatest allowed loss.
    """

    family: str
    measure: str
    gain: float
    bound: float
    margin: float

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is worse by more than the margin on these rows."""
        return self.gain < -self.margin

    @property
    def is_proven_worse(self) -> bool:
        """Whether it is significantly worse by more than the margin."""
        return self.bound < -self.margin

    def __str__(self) -> str:
        bound = f" (bound {self.bound:+.4f})" if self.is_worse else ""
        return f"{self.measure} {abs(self.gain):.4f} {'better' if self.gain >= 0 else 'worse'}{bound}"


def not_worse_than_untuned(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """The candidate is not worse in AUC and log loss than the untuned model of any family, by more than the margins.

    The rule fails if the one-sided bound of the paired difference, clustered by customer, is beyond the margin: then tuning did harm. If only
    the difference itself is, the rule passes with a warning. That is common on the judging rows of 4,000 customers, and no reason to keep a
    champion that brings less (docs/decisions/0032). The bounds have Bonferroni's correction for the number of families and measures.

    Raises:
        InputError: there are no untuned models, or one does not give every judging row a probability.
    """
    if not case.untuned:
        raise InputError("no untuned model of a family was fitted; there is nothing to compare with")
    if wrong := [
        name
        for name, scores in case.untuned.items()
        if scores.shape != case.scores.shape or not ((scores >= 0) & (scores <= 1)).all()
    ]:
        raise InputError(f"the untuned {', '.join(wrong)} does not give every judging row a probability")
    comparisons = [
        comparison
        for family, scores in case.untuned.items()
        for comparison in _compared(case, family, scores, bounds, seed=seed)
    ]
    proven = [comparison for comparison in comparisons if comparison.is_proven_worse]
    seeming = [comparison for comparison in comparisons if comparison.is_worse]
    meaning = ""
    if proven:
        meaning = f"worse than {_named(proven)} that nobody has tuned: "
    elif seeming:
        meaning = f"too few rows to tell whether it is worse than {_named(seeming)} that nobody has tuned: "
    sentences = [
        f"beside untuned {family} {' and '.join(str(one) for one in comparisons if one.family == family)}"
        for family in case.untuned
    ]
    return RuleResult(
        not proven,
        f"{meaning}{'; '.join(sentences)}",
        f"one-sided bounds ({bounds.confidence:.0%} for all of them together, gate.confidence) that are not below {-bounds.untuned_auc_margin:g} of AUC "
        f"(gate.untuned_auc_margin) and {-bounds.untuned_log_loss_margin:g} of log loss (gate.untuned_log_loss_margin)",
        warning=bool(seeming) and not proven,
        numbers={f"{one.measure.replace(' ', '_')}_gain_on_{one.family}": one.gain for one in comparisons},
    )


def _compared(case: Evidence, family: str, theirs: Scores, bounds: Gate, *, seed: int) -> Iterator[Comparison]:
    confidence = 1 - (1 - bounds.confidence) / (len(MEASURES) * len(case.untuned))
    gain = auc(case.churned, case.scores) - auc(case.churned, theirs)
    bound = gain
    if gain < -bounds.untuned_auc_margin:  # the bootstrap takes long, and a gain within the margin needs no bound
        _, bound = auc_difference_interval(
            case.churned,
            case.scores,
            theirs,
            case.customers.to_numpy(),
            seed=seed,
            confidence=2 * confidence - 1,
        )
    yield Comparison(family, "AUC", gain, max(gain, bound), bounds.untuned_auc_margin)
    saving = paired_difference(
        log_losses(case.churned, theirs),
        log_losses(case.churned, case.scores),
        case.customers,
        confidence=confidence,
    )
    yield Comparison(family, "log loss", saving.mean, saving.high, bounds.untuned_log_loss_margin)


def _named(comparisons: list[Comparison]) -> str:
    return " and ".join(str(name) for name in np.unique([comparison.family for comparison in comparisons]))
