"""Whether a candidate is worse than a model of the company's own families that nobody has tuned.

Does not belong here: how those are fitted (``champion.untuned``), and rules simpler than a model (``quality``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import Scores, auc, log_losses
from churn_assets.settings.company import Gate
from churn_store.errors import InputError

MEASURES = ("AUC", "log loss")


@dataclass(frozen=True)
class Beside:
    """A measure of the candidate less that of an untuned model; above 0 the candidate is better.

    Attributes:
        family: family of the untuned model.
        measure: name of the measure.
        gain: the difference.
        bound: its one-sided upper bound: more than this it is not.
        margin: how much worse the candidate may be.
    """

    family: str
    measure: str
    gain: float
    bound: float
    margin: float

    @property
    def is_worse(self) -> bool:
        """Whether the candidate was seen to be worse by more than the margin."""
        return self.gain < -self.margin

    @property
    def is_proven_worse(self) -> bool:
        """Whether chance does not explain that."""
        return self.bound < -self.margin

    def __str__(self) -> str:
        bound = f" (bound {self.bound:+.4f})" if self.is_worse else ""
        return f"{self.measure} {abs(self.gain):.4f} {'better' if self.gain >= 0 else 'worse'}{bound}"


def not_worse_than_untuned(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """In AUC and log loss not worse than the untuned model of any family, but for the margins.

    Worse is one that is worse beyond the margin by the one-sided bound of the paired difference too, a customer's rows taken together: it was
    tuned for the worse. One that only looks so passes with a warning: on the judging rows of 4,000 customers that is common, and no reason to
    keep a champion that brings less (docs/decisions/0032). The bounds are Bonferroni's, for so many families and measures.

    Raises:
        InputError: there are no untuned models, or one does not give every judging row a probability.
    """
    if not case.untuned:
        raise InputError("no untuned model of a family was fitted; there is nothing to compare with")
    if wrong := [
        name
        for name, given in case.untuned.items()
        if given.shape != case.scores.shape or not ((given >= 0) & (given <= 1)).all()
    ]:
        raise InputError(f"the untuned {', '.join(wrong)} does not give every judging row a probability")
    found = [one for family, theirs in case.untuned.items() for one in _beside(case, family, theirs, bounds, seed=seed)]
    proven, seen = [one for one in found if one.is_proven_worse], [one for one in found if one.is_worse]
    meaning = ""
    if proven:
        meaning = f"worse than {_named(proven)} that nobody has tuned: "
    elif seen:
        meaning = f"too few rows to tell whether it is worse than {_named(seen)} that nobody has tuned: "
    said = [
        f"beside untuned {family} {' and '.join(str(one) for one in found if one.family == family)}"
        for family in case.untuned
    ]
    return RuleResult(
        not proven,
        f"{meaning}{'; '.join(said)}",
        f"one-sided bounds ({bounds.confidence:.0%} for all of them together, gate.confidence) that are not below {-bounds.untuned_auc_margin:g} of AUC "
        f"(gate.untuned_auc_margin) and {-bounds.untuned_log_loss_margin:g} of log loss (gate.untuned_log_loss_margin)",
        warning=bool(seen) and not proven,
        numbers={f"{one.measure.replace(' ', '_')}_gain_on_{one.family}": one.gain for one in found},
    )


def _beside(case: Evidence, family: str, theirs: Scores, bounds: Gate, *, seed: int) -> Iterator[Beside]:
    confidence = 1 - (1 - bounds.confidence) / (len(MEASURES) * len(case.untuned))
    gain = auc(case.churned, case.scores) - auc(case.churned, theirs)
    bound = gain
    if gain < -bounds.untuned_auc_margin:  # the bootstrap is dear, and a gain within the margin needs no bound
        _, bound = auc_difference_interval(
            case.churned,
            case.scores,
            theirs,
            case.customers.to_numpy(),
            seed=seed,
            confidence=2 * confidence - 1,
        )
    yield Beside(family, "AUC", gain, max(gain, bound), bounds.untuned_auc_margin)
    less = paired_difference(
        log_losses(case.churned, theirs),
        log_losses(case.churned, case.scores),
        case.customers,
        confidence=confidence,
    )
    yield Beside(family, "log loss", less.mean, less.high, bounds.untuned_log_loss_margin)


def _named(found: list[Beside]) -> str:
    return " and ".join(str(name) for name in np.unique([one.family for one in found]))
