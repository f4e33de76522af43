"""Whether a candidate's probabilities are worth anything by themselves: against simple rules, bounds and what happens.

Does not belong here: the comparison with the champion (``profit``).
"""

import numpy as np
from sklearn.metrics import roc_auc_score

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.baselines import BASE_RATE, LOGISTIC, RECENCY
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import LEAST, Labels, Scores, calibration_intercept, calibration_slope
from churn_assets.settings.company import Gate
from churn_store.errors import InputError

KEPT = 0.5
"""So much of what plain logistic regression gains on the base rate a candidate must be proven to keep: the fraction that trials
against an active control are asked to preserve (FDA 2016, "Non-inferiority clinical trials to establish effectiveness", IV.A)."""

SAME = 1e-9
"""The manifest's figures are those of the judging rows up to rounding."""


def too_few(case: Evidence, bounds: Gate) -> bool:
    """Whether there are fewer judging rows, or churners among them, than a decision needs."""
    return case.judging.height < bounds.minimum_rows or int(case.churned.sum()) < bounds.minimum_churners


def log_loss_by_row(churned: Labels, scores: Scores) -> Scores:
    """Minus the log of the probability that was given to what happened."""
    return np.asarray(-np.log(np.clip(np.where(churned, scores, 1 - scores), LEAST, 1 - LEAST)))


def baselines_beaten(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """Better than the base rate and the recency rule, and not inferior to plain logistic regression, each beyond chance.

    Of the baselines only the base rate is constant. Another one that is says nothing, and to be better than it shows nothing: the
    rule fails.

    The base rate must be beaten in log loss, the recency rule in AUC. Plain logistic regression is a family of its own and may be as
    good, or better by a little: it is fitted on newer rows. The candidate must be proven to keep a share (``KEPT``) of what it gains in
    log loss on the base rate. Each bound is one-sided, takes a customer's rows together, and must be above 0; so too few rows prove
    nothing and pass nothing.
    """
    if missing := [name for name in (BASE_RATE, LOGISTIC) if name not in case.baselines]:
        raise InputError(f"the baselines {', '.join(missing)} are missing; there is nothing to beat")
    if wrong := [
        name for name, given in case.baselines.items() if given.shape != case.scores.shape or not np.isfinite(given).all()
    ]:
        raise InputError(f"the baselines {', '.join(wrong)} do not give every judging row a probability")
    ours = log_loss_by_row(case.churned, case.scores)
    losses = {name: log_loss_by_row(case.churned, case.baselines[name]) for name in (BASE_RATE, LOGISTIC)}
    above_rate = paired_difference(losses[BASE_RATE], ours, case.customers, confidence=bounds.confidence)
    floor = losses[BASE_RATE] - KEPT * (losses[BASE_RATE] - losses[LOGISTIC])
    above_logistic = paired_difference(floor, ours, case.customers, confidence=bounds.confidence)
    beside = float(np.mean(ours - losses[LOGISTIC]))
    constant = [name for name, given in case.baselines.items() if name != BASE_RATE and np.ptp(given) == 0]
    passed = above_rate.low > 0 and above_logistic.low > 0 and not constant
    said = [
        f"log loss {above_rate.mean:.4f} less than the base rate's (bound {above_rate.low:+.4f})",
        f"{beside:+.4f} beside plain logistic regression's ({above_logistic.mean:+.4f} above {KEPT:.0%} of its gain, bound "
        f"{above_logistic.low:+.4f})",
    ]
    numbers = {
        "log_loss_below_base_rate": above_rate.mean,
        "log_loss_below_base_rate_low": above_rate.low,
        "log_loss_above_logistic": beside,
        "log_loss_below_kept_gain": above_logistic.mean,
        "log_loss_below_kept_gain_low": above_logistic.low,
    }
    if RECENCY in case.baselines:
        recency = case.baselines[RECENCY]
        gain = float(roc_auc_score(case.churned, case.scores) - roc_auc_score(case.churned, recency))
        low, _ = auc_difference_interval(
            case.churned, case.scores, recency, case.customers.to_numpy(), seed=seed, confidence=2 * bounds.confidence - 1
        )
        passed = passed and low > 0
        said.append(f"AUC {gain:+.4f} above the recency rule's (bound {low:+.4f})")
        numbers |= {"auc_above_recency": gain, "auc_above_recency_low": low}
    else:
        said.append("no feature says when a customer was last seen, so there is no recency rule")
    if constant:
        said.append(
            f"the baseline {' and '.join(constant)} is constant: it gives every judging row the same probability, so to be better than "
            "it shows nothing; look at which events and payments arrive"
        )
    return RuleResult(
        passed,
        "; ".join(said),
        f"no constant baseline but the base rate; one-sided bounds ({bounds.confidence:.0%}) above 0: against the base rate and {KEPT:.0%} of plain logistic regression's gain on it "
        "(log loss), and against the recency rule (AUC)",
        undecided=not passed and too_few(case, bounds),
        numbers=numbers,
    )


def auc_above_floor(case: Evidence, floor: float) -> RuleResult:
    """The order of the customers is better than the floor."""
    auc = float(roc_auc_score(case.churned, case.scores))
    return RuleResult(auc >= floor, f"{auc:.4f}", f"at least {floor}", numbers={"auc": auc, "floor": floor})


def auc_plausible(case: Evidence, bound: float, *, confidence: float, seed: int) -> RuleResult:
    """The order of the customers is not too good to be true.

    Above the bound it is taken for a leak; so it is above the AUC of the true probabilities, where the source knows them, by more
    than chance: nobody who does not know the future is better.
    """
    auc = float(roc_auc_score(case.churned, case.scores))
    allowed = f"at most {bound}; more is taken for a leak"
    numbers = {"auc": auc, "bound": bound}
    if case.truth is None:
        return RuleResult(auc <= bound, f"{auc:.4f}", allowed, numbers=numbers)
    ceiling = float(roc_auc_score(case.churned, case.truth))
    low, _ = auc_difference_interval(
        case.churned, case.scores, case.truth, case.customers.to_numpy(), seed=seed, confidence=2 * confidence - 1
    )
    return RuleResult(
        auc <= bound and low <= 0,
        f"{auc:.4f}, {auc - ceiling:+.4f} (bound {low:+.4f}) beside the best that anyone could reach, {ceiling:.4f}",
        f"{allowed}, as is more than the best by more than chance ({confidence:.0%})",
        numbers={**numbers, "ceiling": ceiling, "above_ceiling_low": low},
    )


def calibrated(case: Evidence, bounds: Gate) -> RuleResult:
    """The probabilities mean what they say: slope and intercept of the calibration lie within their bounds.

    The figures are computed here; their intervals are those of the manifest, which must be of the same figures.
    """
    found = {
        "calibration_slope": (calibration_slope(case.churned, case.scores), bounds.calibration_slope),
        "calibration_intercept": (calibration_intercept(case.churned, case.scores), bounds.calibration_intercept),
    }
    said, passed = [], True
    numbers: dict[str, float] = {}
    for name, (value, (least, greatest)) in found.items():
        interval = case.evaluation.intervals[name]
        if not abs(interval.value - value) <= SAME * max(1.0, abs(value)):
            raise InputError(
                f"the manifest says {name} {interval.value:.6f}, the judging rows {value:.6f}; materialize candidate_model anew"
            )
        passed = passed and least <= value <= greatest
        said.append(f"{name.removeprefix('calibration_')} {value:.3f} ({interval.low:.3f} to {interval.high:.3f})")
        numbers |= {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    allowed = "; ".join(
        f"{name.removeprefix('calibration_')} {least:g} to {greatest:g}" for name, (_, (least, greatest)) in found.items()
    )
    return RuleResult(
        passed,
        f"{', '.join(said)}; {case.evaluation.confidence:.0%} intervals",
        f"{allowed}; slope 1 and intercept 0 are calibrated, a slope below 1 is overconfident",
        numbers=numbers,
    )
