"""The rule that the AUC is not too good to be true.

Does not belong here: which columns carry it (``carriers``), and single features that tell the label, which are found before a model is
fitted (``training.leakage``).
"""

from churn_assets.champion.gate.carriers import Carriers, carriers
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.intervals import auc_difference_interval
from churn_assets.evaluation.measures import auc as auc_of
from churn_assets.settings.gate import Gate

LEAK = "too good to be true: "
WAY_OUT = "look whether it was written down after the label, and name it in features.exclude; if it was known before, raise gate.auc_plausible"


def auc_plausible(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """The AUC is not too good to be true.

    An AUC above the bound is taken for a leak. So is one that is significantly above the best that the tables allow, if the source knows
    it: only a model that knows the future is better. In data without time, many honest columns together may reach an AUC above the bound.
    There it is only a warning, unless a column, a group of correlated columns or a pair of groups carries it, as a leak would.
    """
    auc = float(auc_of(case.churned, case.scores))
    bound = bounds.auc_plausible
    numbers = {"auc": auc, "bound": bound}
    allowed = f"AUC at most {bound:g} (gate.auc_plausible); more is taken for a leak"
    beside, beyond = "", False
    if case.reachable is not None:
        ceiling = float(auc_of(case.churned, case.reachable))
        low, _ = auc_difference_interval(
            case.churned,
            case.scores,
            case.reachable,
            case.customers.to_numpy(),
            seed=seed,
            confidence=2 * bounds.confidence - 1,
        )
        beyond = not low <= 0
        beside = f", {auc - ceiling:+.4f} (bound {low:+.4f}) beside the best that anyone could reach, {ceiling:.4f}"
        allowed += f", as is more than the best by more than chance ({bounds.confidence:.0%}, gate.confidence)"
        numbers |= {"ceiling": ceiling, "above_ceiling_low": low}
    if beyond or "snapshot_s" in case.judging.columns or auc <= bound:
        plausible = auc <= bound and not beyond
        return RuleResult(plausible, f"{'' if plausible else LEAK}AUC {auc:.4f}{beside}", allowed, numbers=numbers)
    strongest = carriers(case.training_set, case.scorer.signature, auc=auc, seed=seed)
    return _without_time(strongest, auc, f"{allowed}, unless no column, group or pair of groups carries it", numbers)


def _without_time(carrying: Carriers, auc: float, allowed: str, numbers: dict[str, float]) -> RuleResult:
    """The result for data without time with an AUC above the bound."""
    most = carrying.strongest
    numbers = {**numbers, "most_telling_auc": most.auc, "most_telling_share": most.share, "groups": carrying.groups}
    if carrying.carry:
        return RuleResult(
            False,
            f"{LEAK}AUC {auc:.4f}, which {most} carries with AUC {most.auc:.4f} alone; {WAY_OUT}",
            allowed,
            numbers=numbers,
        )
    return RuleResult(
        True,
        f"a warning: AUC {auc:.4f} is higher than usual, but no column, no group of correlated columns and no pair of {carrying.groups} groups "
        f"carries it; the most telling, {most}, reaches {most.auc:.4f} alone",
        allowed,
        warning=True,
        numbers=numbers,
    )
