"""How far probabilities are from what happens: calibration slope and calibration in the large.

Belongs here: the two figures of Cox (1958, "Two further applications of a model for binary regression", Biometrika 45) as Van
Calster et al. (2016, "A calibration hierarchy for risk models was defined", J. Clin. Epidemiology 74, section 2) use them. Does
not belong here: how probabilities are set right (``training.fitting``), and what the figures must be (``champion.gate``).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = 1e-6
"""A penalty on the slope, so that perfectly ordered rows have a finite one."""

CLIP = 1e-6
"""Probabilities nearer to 0 and 1 than this are taken to be this far away: certainty has no log odds."""

STEPS = 100
NEAR, NEGLIGIBLE = 1e-3, 1e-14
"""Gains of log likelihood per row: below the one a step of Newton's method needs no care, below the other none is left."""

CLOSE = 1e-9


def weighted_sum(weights: Floats, values: Floats) -> float:
    """The inner product, not by BLAS: its threads cost ten times what they save on so few numbers, and its last bit is theirs."""
    return float(np.einsum("i,i->", weights, values))


def log_odds(scores: Floats) -> Floats:
    """Log odds of probabilities, of certain ones those of ``CLIP``."""
    clipped = np.clip(scores, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def slope(
    churned: Floats, odds: Floats, weights: Floats, *, start: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """The logistic regression of the label on the score's log odds, by Newton's method.

    Args:
        churned: 1 or 0, one a row, both of them with some weight.
        odds: log odds of the scores, one a row.
        weights: weights of the rows, not negative.
        start: where to begin: an intercept and a slope, such as those of the same rows with other weights.

    Returns:
        Its intercept (with log odds measured from their unweighted mean) and its slope. The slope is 1 for calibrated scores, below
        1 for overconfident ones, 0 for scores that are all the same.
    """
    centred, total = odds - odds.mean(), float(weights.sum())
    at = np.array(start)
    for _ in range(STEPS):
        expected = _sigmoid(at[0] + at[1] * centred)
        residual, curvature = weights * (churned - expected), weights * expected * (1 - expected)
        gradient = np.array([residual.sum(), weighted_sum(residual, centred) - RIDGE * at[1]])
        leaning = weighted_sum(curvature, centred)
        hessian = np.array([[curvature.sum() + RIDGE, leaning], [leaning, weighted_sum(curvature, centred**2) + RIDGE]])
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step) / total
        if gain < NEGLIGIBLE:
            break
        at = at + (step if gain < NEAR else _safe(step, at, churned, centred, weights))
    return float(at[0]), float(at[1])


def intercept(churned: Floats, odds: Floats, weights: Floats) -> float:
    """Calibration in the large: what must be added to the log odds, their slope held at 1, so that the mean probability is the rate.

    Args:
        churned: 1 or 0, one a row, both of them with some weight.
        odds: log odds of the scores, one a row.
        weights: weights of the rows, not negative.

    Returns:
        0 for scores that are right on the mean, above 0 where more churn than they say.
    """
    low, high = -40.0, 40.0
    at = 0.0
    for _ in range(STEPS):
        expected = _sigmoid(at + odds)
        missing = weighted_sum(weights, churned - expected)
        low, high = (at, high) if missing > 0 else (low, at)
        curvature = weighted_sum(weights, expected * (1 - expected))
        step = missing / curvature if curvature > 0 else np.inf
        following = at + step
        if not low <= following <= high:
            following = (low + high) / 2
        if abs(following - at) < CLOSE:
            return float(following)
        at = following
    return float(at)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


def _safe(step: Floats, at: Floats, churned: Floats, centred: Floats, weights: Floats) -> Floats:
    """The step, halved until the likelihood grows: far from its greatest value Newton's method steps too far."""
    before = _likelihood(at, churned, centred, weights)
    for _ in range(STEPS):
        if _likelihood(at + step, churned, centred, weights) > before:
            break
        step = step / 2
    return step


def _likelihood(at: Floats, churned: Floats, centred: Floats, weights: Floats) -> float:
    reached = at[0] + at[1] * centred
    return weighted_sum(weights, churned * reached - np.logaddexp(0, reached)) - RIDGE / 2 * float(at[1]) ** 2
