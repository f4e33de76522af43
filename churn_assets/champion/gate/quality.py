"""The rule that a candidate's probabilities beat simple baselines.

Does not belong here: the comparison with the champion (``profit``), and figures that have bounds (``floor``, ``calibrated``).
"""

import numpy as np

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.baselines import BASE_RATE, LOGISTIC, RECENCY
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import auc as auc_of
from churn_assets.evaluation.measures import log_losses
from churn_assets.settings.gate import Gate
from churn_store.errors import InputError

KEPT = 0.5
"""Share of plain logistic regression's gain over the base rate that a candidate must be proven to keep: the fraction that trials
against an active control are asked to preserve (FDA 2016, "Non-inferiority clinical trials to establish effectiveness", IV.A)."""


def too_few(case: Evidence, bounds: Gate) -> bool:
    """Whether there are fewer judging rows, or churners among them, than a decision needs."""
    rows, churners = case.counted
    return rows < bounds.minimum_rows or churners < bounds.minimum_churners


def baselines_beaten(case: Evidence, bounds: Gate, *, seed: int) -> RuleResult:
    """The candidate is significantly better than the base rate and the recency rule, and keeps half of plain logistic regression's gain.

    The candidate must be better than the base rate in log loss, and than the recency rule in AUC. Plain logistic regression is a strong
    baseline, which may be as good or slightly better, as it is fitted on newer rows. So the candidate must only be proven to keep a share
    (``KEPT``) of its gain in log loss over the base rate.

    Each bound is one-sided, clustered by customer, and must be above 0. With too few rows the rule is undecided. A first model that is not
    proven better than the base rate fails even then, as no champion would stay in its place.

    Of the baselines only the base rate may be constant. If another one is, to beat it shows nothing, and the rule fails.
    """
    if missing := [name for name in (BASE_RATE, LOGISTIC) if name not in case.baselines]:
        raise InputError(f"the baselines {', '.join(missing)} are missing; there is nothing to compare with")
    if wrong := [
        name
        for name, scores in case.baselines.items()
        if scores.shape != case.scores.shape or not np.isfinite(scores).all()
    ]:
        raise InputError(f"the baselines {', '.join(wrong)} do not give every judging row a probability")
    ours = log_losses(case.churned, case.scores)
    losses = {name: log_losses(case.churned, case.baselines[name]) for name in (BASE_RATE, LOGISTIC)}
    above_rate = paired_difference(losses[BASE_RATE], ours, case.customers, confidence=bounds.confidence)
    floor = losses[BASE_RATE] - KEPT * (losses[BASE_RATE] - losses[LOGISTIC])
    above_logistic = paired_difference(floor, ours, case.customers, confidence=bounds.confidence)
    beside = float(np.mean(ours - losses[LOGISTIC]))
    constant = [name for name, scores in case.baselines.items() if name != BASE_RATE and np.ptp(scores) == 0]
    beats_base_rate = above_rate.low > 0
    meanings = [] if beats_base_rate else ["no better than knowing nothing"]
    if above_logistic.low <= 0:
        meanings.append(f"not proven to keep {KEPT:.0%} of what plain logistic regression gains")
    passed = beats_base_rate and above_logistic.low > 0 and not constant
    figures = [
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
        gain = float(auc_of(case.churned, case.scores) - auc_of(case.churned, recency))
        low, _ = auc_difference_interval(
            case.churned, case.scores, recency, case.customers.to_numpy(), seed=seed, confidence=2 * bounds.confidence - 1
        )
        passed = passed and low > 0
        if low <= 0:
            meanings.append("not proven better than asking who was last seen longest ago")
        figures.append(f"AUC {gain:+.4f} above the recency rule's (bound {low:+.4f})")
        numbers |= {"auc_above_recency": gain, "auc_above_recency_low": low}
    else:
        figures.append("no feature says when a customer was last seen, so there is no recency rule")
    if constant:
        meanings.append("beside a rule that says nothing")
        figures.append(
            f"the baseline {' and '.join(constant)} is constant: it gives every judging row the same probability, so to be better than "
            "it shows nothing; look at which events and payments arrive"
        )
    few = too_few(case, bounds)
    if few and not passed:
        figures.append(f"{int(case.churned.sum())} churners among {case.judging.height} rows are few; bring more")
    return RuleResult(
        passed,
        f"{' and '.join(meanings)}: {'; '.join(figures)}" if meanings else "; ".join(figures),
        f"one-sided bounds ({bounds.confidence:.0%}, gate.confidence) above 0: against the base rate and {KEPT:.0%} of plain logistic "
        "regression's gain on it (log loss), and against the recency rule (AUC); no constant baseline but the base rate; a decision needs "
        f"{bounds.minimum_rows} rows (gate.minimum_rows) and {bounds.minimum_churners} churners (gate.minimum_churners)",
        undecided=not passed and few and (beats_base_rate or case.champion is not None),
        numbers=numbers,
    )
