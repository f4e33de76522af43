"""Shapley values of groups in the log odds that a curve makes of a sum of trees, such as a forest's share of churners.

A curve of a sum is no sum, so no leaf has a value of its own. But few leaves are reached by any coalition of one customer and the
reference (``tree_shapley.Terms``), so that the sums of all coalitions cost less than a handful of rows in the runtime. With up to
``MOST_PLAYERS`` groups all are computed, and the values are exact.

With more, sums are followed along permutations and their reverses. What the sample errs in the sum itself, whose values are known
exactly, corrects it (a control variate). The sample grows until it tells the two strongest apart.

Belongs here: values of curves. Does not belong here: which leaves are reached (``tree_shapley``).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from churn_store.model.reasons.shapley import exact_values
from churn_store.model.reasons.tree_shapley import Terms
from churn_store.model.tree_sum import Link

MOST_PLAYERS: Final = 14
"""Most players of whom every coalition is summed: 16,384 sums."""

FIRST_PAIRS: Final = 32
"""Pairs of permutations that are always followed; twice as many as long as the two strongest can't be told apart."""

MOST_PAIRS: Final = 256
"""Pairs of permutations that are followed at most."""

SURE: Final = 3.0
"""Standard errors by which the strongest player is ahead where the sample ends."""

NOTHING: Final = 1e-12
"""Share of their squares up to which steps in the sum differ by rounding alone."""

MOST_PARTS: Final = 200_000
"""Most parts of terms that are summed: a term of ``b`` absent players has ``2 ** b``."""

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


def by_every_coalition(terms: Terms, players: int, base: float, link: Link) -> Floats | None:
    """The exact value of each player; ``None`` where that is too much.

    Args:
        terms: leaves by coalitions of the players 0 to ``players`` - 1.
        players: number of players.
        base: what is added to each sum.
        link: from sums to log odds.
    """
    absent = np.bincount(terms.without_leaf, minlength=len(terms.value))
    if players > MOST_PLAYERS or (2.0**absent).sum() > MOST_PARTS:
        return None
    bits = 2.0 ** np.arange(players)
    with_, without = (
        np.bincount(leaf, bits[player], len(terms.value)).astype(np.int64)
        for leaf, player in ((terms.with_leaf, terms.with_player), (terms.without_leaf, terms.without_player))
    )
    value = terms.value
    for bit in (
        1 << np.arange(players)
    ).tolist():  # what is not there without a player is there, less what is there with it
        split = np.flatnonzero(without & bit)
        with_ = np.concatenate([with_, with_[split] | bit])
        without, value = np.concatenate([without, without[split] & ~bit]), np.concatenate([value, -value[split]])
    sums = np.asarray(np.bincount(with_, value, 1 << players), dtype=np.float64)
    for player in range(players):
        halves = sums.reshape(-1, 2, 1 << player)
        halves[:, 1] += halves[:, 0]
    return exact_values(link.log_odds(base + sums), players)


def by_permutations(terms: Terms, keys: Floats, base: float, link: Link, exact_sums: Floats) -> tuple[Floats, int]:
    """The value of each player from as many pairs of permutations as tell the two strongest apart; they add up whatever was sampled.

    Args:
        terms: leaves by coalitions of players.
        keys: random numbers ``[pairs, players]``; their order in a row is a permutation.
        base: what is added to each sum.
        link: from sums to log odds.
        exact_sums: exact value of each player in the sum.

    Returns:
        The values, and the number of pairs that they took.
    """
    of_sums = values = np.empty((0, len(exact_sums)))
    done, upto = 0, FIRST_PAIRS
    while True:
        orders = np.argsort(keys[done:upto], axis=1)
        more = _steps(terms, orders, base, link), _steps(terms, orders[:, ::-1], base, link)
        paired = [(there + back) / 2 for there, back in zip(*more, strict=True)]
        of_sums, values = np.concatenate([of_sums, paired[0]]), np.concatenate([values, paired[1]])
        found, errors = _corrected(of_sums, values, exact_sums)
        done = len(values)
        if done == len(keys) or _told_apart(found, errors):
            return found, done
        upto = 2 * done


def _corrected(of_sums: Floats, values: Floats, exact_sums: Floats) -> tuple[Floats, Floats]:
    """The mean of the pairs' values, less what the sums of the same pairs err; and how each pair differs from it."""
    centred = of_sums - of_sums.mean(axis=0)
    spread = float((centred**2).sum())
    varies = spread > NOTHING * float((of_sums**2).sum())
    slope = float((centred * values).sum()) / spread if varies else 0.0
    each = values - slope * (of_sums - exact_sums)
    found: Floats = each.mean(axis=0)
    return found, each - found


def _told_apart(found: Floats, errors: Floats) -> bool:
    """Whether chance alone hardly turns the two strongest players round."""
    if len(found) < 2:  # noqa: PLR2004 - nobody to be told apart from
        return True
    second, first = np.argsort(found)[-2:]
    chance = float(np.std(errors[:, first] - errors[:, second])) / math.sqrt(len(errors))
    return bool(found[first] - found[second] >= SURE * chance)


def _steps(terms: Terms, orders: Whole, base: float, link: Link) -> tuple[Floats, Floats]:
    """What each player's step changes in the sum and in the log odds, ``[permutations, players]``."""
    sums = base + _sums_along(terms, orders)
    of_sums, values = (_by_player(np.diff(found, axis=1), orders) for found in (sums, link.log_odds(sums)))
    return of_sums, values


def _sums_along(terms: Terms, orders: Whole) -> Floats:
    """The sum at each step of each permutation ``[permutations, players + 1]``, without the base."""
    count, players = orders.shape
    ranks = np.empty((players, count), dtype=np.int16)
    np.put_along_axis(ranks, orders.T, np.arange(players, dtype=np.int16)[:, None], axis=0)
    begins = np.zeros((len(terms.value), count), dtype=np.int16)
    ends = np.full((len(terms.value), count), players, dtype=np.int16)
    for found, leaf, player, extreme, more in (
        (begins, terms.with_leaf, terms.with_player, np.maximum, 1), (ends, terms.without_leaf, terms.without_player, np.minimum, 0)
    ):  # fmt: skip
        if leaf.size:
            starts = np.flatnonzero(np.append(True, leaf[1:] != leaf[:-1]))
            found[leaf[starts]] = extreme.reduceat(ranks[player], starts, axis=0) + np.int16(more)
    term, row = np.nonzero(begins <= ends)
    width = players + 2
    at, value = row * width, terms.value[term]
    changes = np.bincount(at + begins[term, row], value, count * width) - np.bincount(
        at + ends[term, row] + 1, value, count * width
    )
    sums: Floats = np.cumsum(changes.reshape(count, width), axis=1)[:, : players + 1]
    return sums


def _by_player(steps: Floats, orders: Whole) -> Floats:
    found = np.empty_like(steps)
    np.put_along_axis(found, orders, steps, axis=1)
    return found
