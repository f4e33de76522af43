"""Whether a candidate orders the customers better than the floor."""

from sklearn.metrics import roc_auc_score

from churn_assets.champion.gate.band import in_words, interval_of, place
from churn_assets.champion.gate.evidence import Evidence, RuleResult


def auc_above_floor(case: Evidence, floor: float) -> RuleResult:
    """The AUC is at least the floor.

    No proof is asked for: that the order is no chance the rule ``baselines_beaten`` shows, beside simple rules. But one below the floor whose interval reaches above it
    is undecided: few rows put a sound model there by chance.
    """
    auc = float(roc_auc_score(case.churned, case.scores))
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
