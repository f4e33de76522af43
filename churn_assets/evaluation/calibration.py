"""Calibration slope and calibration in the large.

Belongs here: the two figures of Cox (1958, "Two further applications of a model for binary regression", Biometrika 45) as Van
Calster et al. (2016, "A calibration hierarchy for risk models was defined", J. Clin. Epidemiology 74, section 2) use them. Does
not belong here: how probabilities are calibrated (``training.fitting``), and the bounds of the figures (``champion.gate``).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = 1e-6
"""Penalty on the slope, so that perfectly separated rows have a finite one."""

CLIP = 1e-6
"""Least distance of a probability from 0 and 1, as 0 and 1 have no finite log odds."""

STEPS = 100
"""Greatest number of steps of Newton's method."""

NEAR, NEGLIGIBLE = 1e-3, 1e-14
"""Gains in log likelihood per row: below ``NEAR`` a full step is safe, below ``NEGLIGIBLE`` the search ends."""

CLOSE = 1e-9
"""Step of the intercept at which the search ends."""


def weighted_sum(weights: Floats, values: Floats) -> float:
    """The inner product without BLAS: its threads are ten times slower on so few numbers, and change the last bit."""
    return float(np.einsum("i,i->", weights, values))


def log_odds(scores: Floats) -> Floats:
    """Log odds of probabilities, which are clipped by ``CLIP``."""
    clipped = np.clip(scores, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def slope(
    churned: Floats, odds: Floats, weights: Floats, *, start: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """The logistic regression of the label on the score's log odds, by Newton's method.

    Args:
        churned: label of each row, 1 or 0, both with some weight.
        odds: log odds of each score.
        weights: weight of each row, not negative.
        start: intercept and slope to start from, such as those of the same rows with other weights.

    Returns:
        The intercept (with log odds measured from their unweighted mean) and the slope. The slope is 1 for calibrated scores, below
        1 for overconfident ones, and 0 for constant ones.
    """
    centred, total = odds - odds.mean(), float(weights.sum())
    at = np.array(start)
    for _ in range(STEPS):
        expected = _sigmoid(at[0] + at[1] * centred)
        residual, curvature = weights * (churned - expected), weights * expected * (1 - expected)
        gradient = np.array([residual.sum(), weighted_sum(residual, centred) - RIDGE * at[1]])
        mixed = weighted_sum(curvature, centred)
        hessian = np.array([[curvature.sum() + RIDGE, mixed], [mixed, weighted_sum(curvature, centred**2) + RIDGE]])
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step) / total
        if gain < NEGLIGIBLE:
            break
        at = at + (step if gain < NEAR else _safe(step, at, churned, centred, weights))
    return float(at[0]), float(at[1])


def intercept(churned: Floats, odds: Floats, weights: Floats) -> float:
    """Calibration in the large: the constant that, added to the log odds, makes the mean probability equal to the churn rate.

    Args:
        churned: label of each row, 1 or 0, both with some weight.
        odds: log odds of each score.
        weights: weight of each row, not negative.

    Returns:
        The constant: 0 for scores that are right on average, positive if more customers churn than predicted.
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
    """The step, halved until the likelihood grows, as Newton's method may overshoot far from the maximum."""
    before = _likelihood(at, churned, centred, weights)
    for _ in range(STEPS):
        if _likelihood(at + step, churned, centred, weights) > before:
            break
        step = step / 2
    return step


def _likelihood(at: Floats, churned: Floats, centred: Floats, weights: Floats) -> float:
    odds = at[0] + at[1] * centred
    return weighted_sum(weights, churned * odds - np.logaddexp(0, odds)) - RIDGE / 2 * float(at[1]) ** 2
