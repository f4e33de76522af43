"""The excess log loss of a release at a snapshot: above what its gate promises for these customers at the seen base rate.

The log loss moves with the base rate and with the mix of customers, though the model is as right as before. So both are taken out. The
scores are first shifted by one constant in log odds, so that their mean is the share who left (recalibration of the intercept alone; Cox
1958, "Two further applications of a model for binary regression", Biometrika 45). If the shifted scores are right, their log loss is on average
their own entropy. The gate has found how far the model is from that: its calibration slope. What is left is the excess.

Belongs here: the excess, its variance and what it is compared with. Does not belong here: whether it is too much (``degradation``), and
the measures that people read (``measured``).
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from churn_assets.evaluation import calibration
from churn_assets.evaluation.calibration import weighted_sum
from churn_assets.evaluation.intervals import customer_codes
from churn_assets.evaluation.measures import Labels, Scores, Weights, log_losses
from churn_store.releases.manifest import Evaluation, Manifest

NORMAL_REACH = 1.959964
"""Standard errors from the middle of an interval of 95 % to its end."""


@dataclass(frozen=True)
class GateFigure:
    """What the gate found of a release on its judging rows.

    Attributes:
        slope: calibration slope; 1 is calibrated.
        slope_error: standard error of the slope; ``None`` where the manifest has no interval of it.
        rows: number of judging rows.
        log_loss: log loss; ``None`` where the manifest has none.
    """

    slope: float
    slope_error: float | None
    rows: int
    log_loss: float | None

    @classmethod
    def of(cls, manifest: Manifest) -> "GateFigure":
        """The figure of a release; one from before slopes were kept is taken to be calibrated, as the gate asked for it."""
        slope, error = manifest.metrics.get("calibration_slope", 1.0), None
        if isinstance(manifest.evaluation, Evaluation) and "calibration_slope" in manifest.evaluation.intervals:
            interval = manifest.evaluation.intervals["calibration_slope"]
            error = (interval.high - interval.low) / (2 * NORMAL_REACH)
        return cls(slope, error, manifest.judging_rows, manifest.metrics.get("log_loss"))


@dataclass(frozen=True)
class Excess:
    """The excess log loss at a snapshot.

    Attributes:
        value: excess; 0 on average while the release is as its gate found it.
        variance: sampling variance, clustered by customer.
        promised: log loss that the gate's figure promises for these scores at the seen base rate.
        gate_error: standard error of the promise, as the gate had few rows as well. It is the same error at every snapshot.
        shift: constant by which the log odds were shifted: calibration in the large.
        by_shift: part of the log loss that the shift takes away.
    """

    value: float
    variance: float
    promised: float
    gate_error: float
    shift: float
    by_shift: float


def excess_log_loss(
    churned: Labels, scores: Scores, customers: pl.Series, gate: GateFigure, *, weights: Weights | None = None
) -> Excess:
    """Measure the excess.

    With the shifted probabilities q and the log odds x of the scores, the log loss of q less its entropy is the mean of (q - churned) x:
    the score statistic of the calibration slope. To first order it is (1 - slope) times the information of the slope, by which the gate's
    slope is carried to these customers.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        customers: customer of each row.
        gate: what the gate found of the release.
        weights: weight of each row; default: equal weights.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    total, left, odds = float(weights.sum()), churned.astype(np.float64), calibration.log_odds(scores)
    shift = calibration.intercept(left, odds, weights)
    likely = 0.5 * (1 + np.tanh((odds + shift) / 2))
    spread = likely * (1 - likely)
    centred = odds - weighted_sum(weights * spread, odds) / weighted_sum(weights, spread)
    information = weighted_sum(weights * spread, centred**2) / total
    influence = weights * (likely - left) * centred / total
    clustered = float(np.sum(np.bincount(customer_codes(customers), weights=influence) ** 2))
    # What the shifted scores themselves say of their variance: few rows may by chance lie close together.
    expected = weighted_sum(weights**2 * spread, centred**2) / total**2
    apart = weighted_sum(weights, (likely - left) * odds) / total
    gap = (1 - gate.slope) * information
    slope_error = gate.slope_error
    if slope_error is None:
        slope_error = 1 / math.sqrt(max(gate.rows, 1) * information) if information > 0 else 0.0
    shifted = weighted_sum(weights, log_losses(churned, likely)) / total
    return Excess(
        value=apart - gap,
        variance=max(clustered, expected),
        promised=shifted - apart + gap,
        gate_error=slope_error * information,
        shift=shift,
        by_shift=weighted_sum(weights, log_losses(churned, scores)) / total - shifted,
    )
