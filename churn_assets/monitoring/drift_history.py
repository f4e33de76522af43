"""A window beside all earlier ones: how unusual it is, and since when windows have moved.

Belongs here: figures of a series of windows. Does not belong here: the rule that judges one (``drift``), and where the series is kept.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from churn_store.monitoring.facts import FeatureMove


def movement(moves: Sequence[FeatureMove]) -> float | None:
    """How far a window moved, all features together: the root mean square of PSI over cut, weighted by importance.

    At 1 its features stand at their cuts, in the mean. So windows of different sizes can be compared. Features that are shown but not judged do not
    count. Where the importance of no judged feature is known, or all are 0, the features count alike; otherwise one without an importance does not
    count.

    Args:
        moves: features of the window.

    Returns:
        The movement, 0 or more; ``None`` where no feature is judged.
    """
    judged = [move for move in moves if move.judged]
    if not judged:
        return None
    weights = np.array([max(move.importance or 0.0, 0.0) for move in judged])
    if not weights.any():
        weights = np.ones(len(judged))
    beyond = np.array([max(move.psi, 0.0) / move.cut for move in judged])
    return float(np.sqrt(np.average(beyond**2, weights=weights)))


def unusual(now: float | None, earlier: Sequence[float | None]) -> float | None:
    """How unusual a window is: the share of the earlier ones that moved less.

    Args:
        now: movement of the window; ``None`` where it can't be judged.
        earlier: movements of the earlier windows; those that can't be judged do not count.

    Returns:
        From 0 to 1; ``None`` where the window, or no earlier one, was judged.
    """
    known = [one for one in earlier if one is not None]
    if now is None or not known:
        return None
    return sum(one < now for one in known) / len(known)


def moved_since(moved: Mapping[str, bool | None]) -> str | None:
    """The first window of the unbroken stretch that moved and reaches up to the newest one.

    Args:
        moved: whether each window moved, oldest first; ``None`` for one that can't be judged, which neither begins nor ends a stretch.

    Returns:
        The key of the window; ``None`` where the newest judged window did not move.
    """
    first = None
    for window, has_moved in reversed(list(moved.items())):
        if has_moved is False:
            break
        if has_moved:
            first = window
    return first
