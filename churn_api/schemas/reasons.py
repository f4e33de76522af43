"""The reasons of a prediction, as answers have them."""

from typing import Annotated, Literal

import msgspec

from churn_store.model.reasons.explainer import Explanation, Reason
from churn_store.model.reasons.plan import REFERENCE

LogOdds = Annotated[float, msgspec.Meta(description="natural logarithm of p / (1 - p)")]


class ReferenceRow(msgspec.Struct, frozen=True, gc=False):
    """The row that reasons are told against.

    Attributes:
        name: what its values are.
        log_odds: what the model says of it.
    """

    name: str
    log_odds: LogOdds


class Reasons(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reasons of a prediction. The reference's log odds, all contributions, ``not_named`` and ``difference`` add up to ``log_odds``.

    Attributes:
        log_odds: log odds of churn of this prediction.
        contributions: what each group of attributes adds, those that raise the risk most first; attributes with the usual values give none.
        not_named: what the attributes add together that no reason names, as the law protects them.
        difference: what the sum misses: nothing but rounding.
        method: ``exact`` Shapley values of the groups, or ``sampled`` from pairs of permutations, the same ones each time.
        pairs: number of pairs; 0 where exact.
    """

    reference: ReferenceRow
    log_odds: LogOdds
    contributions: tuple[Reason, ...]
    not_named: float
    difference: float
    method: Literal["exact", "sampled"]
    pairs: int


def reasons_of(explanation: Explanation) -> Reasons:
    """An explanation as an answer has it."""
    return Reasons(
        reference=ReferenceRow(REFERENCE, explanation.reference_log_odds),
        log_odds=explanation.log_odds,
        contributions=explanation.reasons,
        not_named=explanation.not_named,
        difference=explanation.difference,
        method=explanation.method,
        pairs=explanation.pairs,
    )
