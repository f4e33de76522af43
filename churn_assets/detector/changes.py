"""Changes of known size in one column of a window.

Belongs here: what is done to a window. Does not belong here: where the window comes from (``replays``) and who sees the change (``moves``, ``peers``).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from churn_assets.monitoring.drift_statistics import Sample, Values

Change = Callable[[Sample, Sample, float, np.random.Generator], Sample]
"""Makes of the baseline and of a window's column, by the change's size, the changed column."""


def mean(before: Sample, now: Sample, size: float, generator: np.random.Generator) -> Sample:
    """Move the mean by so many standard deviations of the baseline; what is never negative is multiplied, whole numbers stay whole."""
    if not before.variance or not before.mean:
        return now
    shift = size * np.sqrt(before.variance)
    moved = now.present + shift if before.present[0] < 0 else now.present * (1 + shift / before.mean)
    return _numbers(before, now, moved, generator)


def variance(before: Sample, now: Sample, size: float, generator: np.random.Generator) -> Sample:
    """Spread the values around their mean by the share ``size`` more; what is never negative stays so."""
    if now.mean is None:
        return now
    moved = now.mean + (now.present - now.mean) * (1 + size)
    return _numbers(before, now, moved, generator)


def mix(before: Sample, now: Sample, size: float, generator: np.random.Generator) -> Sample:
    """Replace a share of the customers: numbers by ones of the baseline's upper quarter, words by its second most frequent word."""
    if now.words.size:
        words, counts = np.unique(before.words, return_counts=True)
        word = words[np.argsort(-counts)[min(1, words.size - 1)]]
        return replace(now, words=np.where(generator.random(now.words.size) < size, word, now.words))
    hit = generator.random(now.present.size) < size
    upper = before.present[3 * before.present.size // 4 :]
    return replace(now, present=np.sort(np.where(hit, generator.choice(upper, now.present.size), now.present)))


def missing(before: Sample, now: Sample, size: float, generator: np.random.Generator) -> Sample:  # noqa: ARG001
    """Lose a share of the values."""
    if now.words.size:
        lost = generator.random(now.words.size) < size
        return replace(now, words=np.where(lost, "", now.words), missing=now.missing + int(lost.sum()))
    kept = now.present[generator.random(now.present.size) >= size]
    return replace(now, present=kept, missing=now.rows - kept.size)


def unseen(before: Sample, now: Sample, size: float, generator: np.random.Generator) -> Sample:  # noqa: ARG001
    """Leave the column as it is: what moves together with it, or what follows from it, has changed."""
    return now


CHANGES: Final[dict[str, tuple[Change, tuple[float, ...]]]] = {
    "mean": (mean, (0.1, 0.25, 0.5, 1.0)),
    "variance": (variance, (0.25, 0.5, 1.0)),
    "mix": (mix, (0.05, 0.1, 0.25)),
    "missing": (missing, (0.02, 0.05, 0.1)),
    "correlation only": (unseen, (1.0,)),
    "concept, labels not mature": (unseen, (1.0,)),
}
"""The changes by kind, and their sizes: standard deviations, share of the spread, shares of the rows."""


def _numbers(before: Sample, now: Sample, moved: Values, generator: np.random.Generator) -> Sample:
    if before.present.size and before.present[0] >= 0:
        moved = np.maximum(moved, 0.0)
    if np.array_equal(before.present, np.floor(before.present)):
        moved = np.floor(moved + generator.random(moved.size))
    return replace(now, present=np.sort(moved))
