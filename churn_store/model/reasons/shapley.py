"""Shapley values of a few players by antithetic permutation sampling, or exactly where that is cheaper.

Each permutation brings the players from the reference to the customer one by one, and a player gets what its step changes. A
permutation and its reverse are a pair (Mitchell, Cooper, Frank and Holmes 2022, "Sampling Permutations for Shapley Value Estimation");
their mean errs only by interactions of three players and more. The steps of a permutation add up, so the values add up to the whole
difference whatever was sampled. With few players all coalitions are as cheap, and the values are exact.

Belongs here: coalitions and their weights. Does not belong here: what a coalition is worth (``explainer``).
"""

from collections.abc import Callable
from functools import cache
from math import comb
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

_BITS: Final = 62

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Coalitions = npt.NDArray[np.bool_]

Worth = Callable[[Coalitions], Floats]
"""Function from coalitions ``[n, players]`` to what each is worth ``[n]``."""


class Effort(NamedTuple):
    """How much is evaluated for one row.

    Attributes:
        exact_players: most players of whom every coalition is evaluated.
        pairs: most pairs of permutations.
        steps: most steps of all permutations together; with many players there are fewer pairs.
    """

    exact_players: int = 9
    pairs: int = 64
    steps: int = 1_600

    def pairs_for(self, players: int) -> int:
        """The number of pairs for so many players."""
        return max(1, min(self.pairs, self.steps // (2 * max(players - 1, 1))))


USUAL: Final = Effort()
"""What the service and the graph spend: at most 512 coalitions, or 64 pairs."""


class Sampled(NamedTuple):
    """Coalitions to evaluate, and how the players' values follow from them.

    Attributes:
        coalitions: different coalitions, ``[n, players]``; the first is empty.
        values: function from the worth of each to the value of each player.
        pairs: number of pairs of permutations; 0 where all coalitions are evaluated.
    """

    coalitions: Coalitions
    values: Callable[[Floats], Floats]
    pairs: int


def all_coalitions(players: int) -> Sampled:
    """Every coalition: the values are exact."""
    coalitions = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 > 0
    return Sampled(coalitions, lambda worth: exact_values(worth, players), 0)


def exact_values(worth: Floats, players: int) -> Floats:
    """The value of each player by the definition.

    Args:
        worth: worth of each coalition ``[2 ** players]``, at the number whose bits are its players.
        players: number of players.
    """
    sizes, weights = _sizes(players)
    found = np.empty(players)
    for player in range(players):
        halves, size = worth.reshape(-1, 2, 1 << player), sizes.reshape(-1, 2, 1 << player)
        found[player] = np.vdot(weights[size[:, 0]], halves[:, 1] - halves[:, 0])
    return found


@cache
def _sizes(players: int) -> tuple[Whole, Floats]:
    """The size of each coalition, and the weight of a step from a coalition of each size."""
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(players):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes, np.array([1 / (players * comb(players - 1, size)) for size in range(players)])


def singles(players: int) -> Sampled:
    """The empty coalition and each player alone: exact where the worth is a sum over players."""
    coalitions = np.vstack([np.zeros((1, players), dtype=bool), np.eye(players, dtype=bool)])
    return Sampled(coalitions, lambda worth: worth[1:] - worth[0], 0)


def sampled(keys: Floats, present: Whole) -> Sampled:
    """Coalitions along permutations and their reverses.

    Args:
        keys: random numbers ``[pairs, all players]``; their order in a row is a permutation.
        present: the players who matter; the others are left out of each permutation, which stays a random one.
    """
    players, pairs = len(present), len(keys)
    orders = np.argsort(keys[:, present], axis=1)
    orders = np.concatenate([orders, orders[:, ::-1]])
    words = _words(players)
    codes = np.zeros((len(orders), players + 1), dtype=np.uint64)
    np.cumsum(words[orders], axis=1, out=codes[:, 1:])
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    ranks = np.argsort(orders, axis=1)
    row, length = np.divmod(first, players + 1)
    coalitions = ranks[row] < length[:, None]
    place = place.reshape(codes.shape)

    def values(worth: Floats) -> Floats:
        steps = np.diff(worth[place], axis=1)
        return np.bincount(orders.ravel(), steps.ravel(), players) / len(orders)

    return Sampled(coalitions, values, pairs)


def _words(players: int) -> npt.NDArray[np.uint64]:
    """A number for each player whose sums tell coalitions apart: a bit each, or 64 random bits where there are more players."""
    if players <= _BITS:
        return np.uint64(1) << np.arange(players, dtype=np.uint64)
    return np.random.default_rng(players).integers(0, 2**64, players, dtype=np.uint64)
