"""The rule that the AUC is above a floor."""

from churn_assets.champion.gate.band import in_words, interval_of, place
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.measures import auc as auc_of


def auc_above_floor(case: Evidence, floor: float) -> RuleResult:
    """The AUC is at least the floor.

    The AUC itself is compared, without its interval: ``baselines_beaten`` tests significance. If the AUC is below the floor but its interval
    reaches above it, the rule is undecided, as few rows put a sound model there by chance.
    """
    auc = float(auc_of(case.churned, case.scores))
    interval = interval_of(case, "auc", auc)
    passed, below = auc >= floor, place(interval, (floor, 1.0)) == "outside"
    meaning = "" if passed else "orders the customers hardly better than chance: "
    if not passed and not below:
        meaning = "too few rows to tell whether it orders the customers well enough: "
    return RuleResult(
        passed,
        f"{meaning}AUC {in_words(interval)}, {case.evaluation.confidence:.0%} interval",
        f"at least {floor:g} (gate.auc_floor); 0.5 is chance",
        undecided=not passed and not below,
        numbers={"auc": auc, "auc_low": interval.low, "auc_high": interval.high, "floor": floor},
    )
