"""Whether a candidate is worse than a model of the company's own families that nobody has tuned.

Does not belong here: how those are fitted (``champion.untuned``), and rules simpler than a model (``quality``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.champion.gate.quality import log_loss_by_row
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import Scores, auc
from churn_assets.settings.company import Gate
from churn_store.errors import InputError


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
    def passed(self) -> bool:
        """Whether the candidate is as good but for the margin."""
        return self.gain >= -self.margin

    @property
    def undecided(self) -> bool:
        """Whether it is worse by more than the margin, perhaps by chance."""
        return not self.passed and self.bound >= -self.margin

    def __str__(self) -> str:
        bound = "" if self.passed else f" (bound {self.bound:+.4f})"
        return f"{self.measure} {abs(self.gain):.4f} {'better' if self.gain >= 0 else 'worse'}{bound}"


def not_worse_than_untuned(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """In AUC and log loss not worse than the untuned model of any family, but for the margins.

    No proof is asked for that it is better: where the rows say little, a search can't show much. But one that is worse beyond the margin and the
    one-sided bound of the paired difference, a customer's rows taken together, has been tuned for the worse. One whose bound reaches over the
    margin is undecided.

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
    worse = [one for one in found if not one.passed and not one.undecided]
    unsure = [one for one in found if one.undecided]
    meaning = ""
    if worse:
        meaning = f"worse than {_named(worse)} that nobody has tuned: "
    elif unsure:
        meaning = f"too few rows to tell whether it is worse than {_named(unsure)} that nobody has tuned: "
    said = [
        f"beside untuned {family} {' and '.join(str(one) for one in found if one.family == family)}"
        for family in case.untuned
    ]
    return RuleResult(
        not worse and not unsure,
        f"{meaning}{'; '.join(said)}",
        f"at most {bounds.untuned_auc_margin:g} of AUC (gate.untuned_auc_margin) and {bounds.untuned_log_loss_margin:g} of log loss "
        f"(gate.untuned_log_loss_margin) worse; what is worse beyond chance too ({bounds.confidence:.0%} bound, gate.confidence) is refused",
        undecided=bool(unsure) and not worse,
        numbers={f"{one.measure.replace(' ', '_')}_gain_on_{one.family}": one.gain for one in found},
    )


def _beside(case: Evidence, family: str, theirs: Scores, bounds: Gate, *, seed: int) -> Iterator[Beside]:
    gain = auc(case.churned, case.scores) - auc(case.churned, theirs)
    bound = gain
    if gain < -bounds.untuned_auc_margin:  # the bootstrap is dear, and a gain within the margin needs no bound
        _, bound = auc_difference_interval(
            case.churned,
            case.scores,
            theirs,
            case.customers.to_numpy(),
            seed=seed,
            confidence=2 * bounds.confidence - 1,
        )
    yield Beside(family, "AUC", gain, max(gain, bound), bounds.untuned_auc_margin)
    less = paired_difference(
        log_loss_by_row(case.churned, theirs),
        log_loss_by_row(case.churned, case.scores),
        case.customers,
        confidence=bounds.confidence,
    )
    yield Beside(family, "log loss", less.mean, less.high, bounds.untuned_log_loss_margin)


def _named(found: list[Beside]) -> str:
    return " and ".join(str(name) for name in np.unique([one.family for one in found]))
