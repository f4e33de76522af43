"""Shapley values of groups in a sum of trees, exactly: one customer against one reference row.

A leaf is reached by a coalition if each group whose reference value turns away from it is the customer's, and each group whose value
of the customer turns away is the reference's. With ``a`` groups of the first kind and ``b`` of the second, a leaf of value ``v`` gives
each of the first ``v (a-1)! b! / (a+b)!`` and each of the second ``-v a! (b-1)! / (a+b)!``, and a sum of leaves gives their sum
(interventional TreeSHAP with a single reference: Lundberg et al. 2020, "From local explanations to global understanding with
explainable AI for trees", with groups in place of columns). Nothing is sampled, and no tree is walked twice.

Belongs here: sums of leaf values. Does not belong here: log odds, which a calibration makes of them (``model.tree_sum``).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from churn_store.model.tree_sum import TreeSum

MOST_CONDITIONS: Final = 400_000
"""Most comparisons on all ways from a root to a leaf together: beyond them a row takes longer than the sample (about 5 ms)."""

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float32]
Words = npt.NDArray[np.object_]


class Terms(NamedTuple):
    """The leaves that some coalition reaches: each adds its value if all players ``with_`` are in the coalition, and none ``without``.

    Attributes:
        value: value of each leaf ``[leaves]``.
        with_leaf: leaf of each demand for a player, ascending.
        with_player: that player.
        without_leaf: leaf of each demand for a player's absence, ascending.
        without_player: that player.
    """

    value: Floats
    with_leaf: Whole
    with_player: Whole
    without_leaf: Whole
    without_player: Whole

    def among(self, players: Whole) -> "Terms":
        """The same with players renumbered by their place in ``players``, which is ascending and has all of them."""
        return self._replace(
            with_player=np.searchsorted(players, self.with_player),
            without_player=np.searchsorted(players, self.without_player),
        )


class TreeValues(NamedTuple):
    """What a row changes in a sum of trees.

    Attributes:
        sum: sum of the row.
        players: what each player adds to the reference's sum; together they are the difference.
        terms: the game itself, for what is no sum.
        alone: sum of the reference row with one attribute of the customer's, ``[attributes]``.
        without: sum of the row with one attribute of the reference's, ``[attributes]``.
    """

    sum: float
    players: Floats
    terms: Terms
    alone: Floats
    without: Floats


def tree_game(trees: TreeSum, player_of: Whole, numbers: Numbers, words: Words) -> "TreeGame | None":
    """The game of a sum of trees, or ``None`` if it is too large or never asks anything.

    Args:
        trees: trees of the model.
        player_of: player of each attribute, numbers first.
        numbers: numbers of the reference row.
        words: words of the reference row.
    """
    conditions = _conditions(trees)
    return None if conditions is None else TreeGame(trees, conditions, player_of, numbers, words)


class TreeGame:
    """The game of a sum of trees: players take the values of a row, the others those of the reference. It has no state that changes.

    Attributes:
        base: sum of the reference row.
        conditions: number of comparisons that a row takes.
    """

    def __init__(
        self, trees: TreeSum, found: "tuple[Whole, _Conditions]", player_of: Whole, numbers: Numbers, words: Words
    ) -> None:
        self._attributes, self._players = len(player_of), int(player_of.max()) + 1
        self._read_columns(trees, len(numbers))
        leaves, conditions = found
        self.conditions = len(conditions.leaf)
        value = trees.value[leaves]
        attribute = np.array([one.attribute for one in trees.columns])[conditions.column]
        self._column, self._low, self._high = conditions.column, conditions.low, conditions.high
        self._missing = conditions.missing
        order, ends = np.argsort(self._column, kind="stable"), np.cumsum(np.bincount(self._column, minlength=self._width))
        self._on_column = np.split(order, ends[:-1])
        fails = np.flatnonzero(self._fails(self._values(numbers, words)))
        one = _Parts.of(conditions.leaf, attribute, self._attributes)
        group = _Parts.of(conditions.leaf, player_of[attribute], self._players)
        self._attribute, self._group = one, group
        self._leaves, self._value = len(leaves), value

        self._turns_group_away = group.failing(fails)
        self._theirs = np.flatnonzero(self._turns_group_away)
        self._theirs_leaf = group.leaf[self._theirs]
        self._groups_of_leaf, self._attributes_of_leaf = (_Ranges.among(parts.leaf, len(leaves)) for parts in (group, one))
        self._weights = _weights(int(np.bincount(group.leaf, minlength=self._leaves).max(initial=0)))

        self._fails_reference = one.failing(fails)
        short = np.bincount(one.leaf[self._fails_reference], minlength=self._leaves)
        self.base = trees.base + float(value[short == 0].sum())
        self._offset = trees.base
        self._leaving = np.flatnonzero(short[one.leaf] == 0)
        self._entering = np.flatnonzero(self._fails_reference & (short[one.leaf] == 1))

    def against(self, numbers: Numbers, words: Words) -> TreeValues:
        """What a row changes, against the reference.

        Args:
            numbers: its numbers ``[numbers]``.
            words: its words ``[categories]``.
        """
        fails = np.flatnonzero(self._fails(self._values(numbers, words)))
        total, alone, without = self._one_by_one(fails)
        terms = self._terms(fails)
        return TreeValues(total, self._shapley(terms), terms, self.base + alone, total + without)

    def _terms(self, fails: Whole) -> Terms:
        group = self._group
        failing = group.failing(fails)
        reached = np.ones(self._leaves, dtype=np.bool_)
        reached[self._theirs_leaf[np.flatnonzero(failing[self._theirs])]] = False
        leaves = np.flatnonzero(reached)
        place, parts = self._groups_of_leaf.of(leaves)
        turned_away = self._turns_group_away[parts]
        theirs, ours = np.flatnonzero(turned_away), np.flatnonzero(~turned_away & failing[parts])
        who = group.who[parts]
        return Terms(self._value[leaves], place[theirs], who[theirs], place[ours], who[ours])

    def _shapley(self, terms: Terms) -> Floats:
        """What each player adds to the sum."""
        leaves = len(terms.value)
        first = np.bincount(terms.with_leaf, minlength=leaves)
        second = np.bincount(terms.without_leaf, minlength=leaves)
        raises, lowers = (terms.value * weights[first, second] for weights in self._weights)
        gained = np.bincount(terms.with_player, raises[terms.with_leaf], self._players)
        lost = np.bincount(terms.without_player, lowers[terms.without_leaf], self._players)
        return np.asarray(gained - lost, dtype=np.float64)

    def _one_by_one(self, fails: Whole) -> tuple[float, Floats, Floats]:
        """The sum of a row, what each attribute changes in the reference's sum, and its absence in the row's."""
        one, value = self._attribute, self._value
        failing = one.failing(fails)
        short = np.bincount(one.leaf[np.flatnonzero(failing)], minlength=self._leaves)
        entered = self._entering[~failing[self._entering]]
        left = self._leaving[failing[self._leaving]]
        alone = self._summed(entered) - self._summed(left)
        _, near = self._attributes_of_leaf.of(np.flatnonzero(short == 1))
        reached = np.flatnonzero(short == 0)
        _, own = self._attributes_of_leaf.of(reached)
        entered = near[failing[near] & ~self._fails_reference[near]]
        without = self._summed(entered) - self._summed(own[self._fails_reference[own]])
        return self._offset + float(value[reached].sum()), alone, without

    def _summed(self, parts: Whole) -> Floats:
        one = self._attribute
        return np.asarray(np.bincount(one.who[parts], self._value[one.leaf[parts]], self._attributes), dtype=np.float64)

    def _read_columns(self, trees: TreeSum, numbers: int) -> None:
        attributes = [one.attribute for one in trees.columns]
        self._numbers = np.array([place for place, one in enumerate(trees.columns) if one.word is None], dtype=np.int64)
        self._number_of = np.array([attributes[place] for place in self._numbers.tolist()], dtype=np.int64)
        places = [
            (one.attribute - numbers, one.word, place) for place, one in enumerate(trees.columns) if one.word is not None
        ]
        self._place_of: dict[tuple[int, str], list[int]] = {}
        for position, word, place in places:
            self._place_of.setdefault((position, word), []).append(place)
        self._width = len(trees.columns)

    def _values(self, numbers: Numbers, words: Words) -> Floats:
        """A row as the trees compare it: its numbers, and 1 for each word it has."""
        values = np.zeros(self._width)
        values[self._numbers] = numbers[self._number_of]
        for position, word in enumerate(words.tolist()):
            for place in self._place_of.get((position, word), ()):
                values[place] = 1.0
        return values

    def _fails(self, values: Floats) -> Flags:
        """Which conditions a row does not meet."""
        own = values[self._column]
        meets = (own > self._low) & (own <= self._high)
        for column in np.flatnonzero(np.isnan(values)).tolist():
            meets[self._on_column[column]] = self._missing[self._on_column[column]]
        fails: Flags = ~meets
        return fails


class _Conditions(NamedTuple):
    """What a row must be to reach a leaf: each column above ``low`` and at most ``high``, or missing where that leads there."""

    leaf: Whole
    column: Whole
    low: Floats
    high: Floats
    missing: Flags


class _Ranges(NamedTuple):
    """Where the parts of each leaf begin and end, in arrays that are in order of the leaves."""

    begins: Whole
    counts: Whole

    @classmethod
    def among(cls, leaf: Whole, leaves: int) -> "_Ranges":
        counts = np.bincount(leaf, minlength=leaves)
        return cls(np.cumsum(counts) - counts, counts)

    def of(self, leaves: Whole) -> tuple[Whole, Whole]:
        """The parts of some leaves, and beside each the place of its leaf among these."""
        counts = self.counts[leaves]
        place = np.repeat(np.arange(len(leaves)), counts)
        return place, np.arange(len(place)) + (self.begins[leaves] - np.cumsum(counts) + counts)[place]


class _Parts(NamedTuple):
    """The conditions of a leaf on one attribute, or one player, taken together."""

    leaf: Whole
    who: Whole
    of_condition: Whole

    @classmethod
    def of(cls, leaf: Whole, who: Whole, every: int) -> "_Parts":
        keys, of_condition = np.unique(leaf * every + who, return_inverse=True)
        return cls(keys // every, keys % every, of_condition)

    def failing(self, fails: Whole) -> Flags:
        """Which parts a row does not meet, from the conditions that it does not meet."""
        failing = np.zeros(len(self.leaf), dtype=np.bool_)
        failing[self.of_condition[fails]] = True
        return failing


def _conditions(trees: TreeSum) -> tuple[Whole, _Conditions] | None:
    """The leaves, and what leads to each; ``None`` if it is too much, or no tree has a branch."""
    inner = np.flatnonzero(trees.first >= 0)
    parent = np.full(len(trees.first), -1)
    is_first = np.zeros(len(trees.first), dtype=np.bool_)
    parent[trees.first[inner]] = inner
    parent[trees.second[inner]] = inner
    is_first[trees.first[inner]] = True
    leaves = np.flatnonzero(trees.first < 0)
    steps: list[tuple[Whole, Whole, Flags]] = []
    leaf, node, count = np.arange(len(leaves)), leaves, 0
    while (further := parent[node] >= 0).any():
        leaf, node = leaf[further], node[further]
        if (count := count + len(leaf)) > MOST_CONDITIONS:
            return None
        steps.append((leaf, parent[node], is_first[node]))
        node = parent[node]
    if not steps:
        return None
    leaf, branch, first = (np.concatenate([step[part] for step in steps]) for part in range(3))
    keys, place = np.unique(leaf * len(trees.columns) + trees.column[branch], return_inverse=True)
    low, high = np.full(len(keys), -np.inf), np.full(len(keys), np.inf)
    np.minimum.at(high, place[first], trees.threshold[branch[first]])
    np.maximum.at(low, place[~first], trees.threshold[branch[~first]])
    missing = np.ones(len(keys), dtype=np.bool_)
    np.logical_and.at(missing, place, trees.missing_first[branch] == first)
    return leaves, _Conditions(keys // len(trees.columns), keys % len(trees.columns), low, high, missing)


def _weights(most: int) -> tuple[Floats, Floats]:
    """What a leaf of ``a`` and ``b`` groups gives to each of the first and takes from each of the second, ``[a, b]``."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 2 * most + 2)))])
    first, second = np.arange(most + 1)[:, None], np.arange(most + 1)[None, :]
    raises = np.exp(logs[np.maximum(first - 1, 0)] + logs[second] - logs[first + second])
    lowers = np.exp(logs[first] + logs[np.maximum(second - 1, 0)] - logs[first + second])
    return np.where(first > 0, raises, 0.0), np.where(second > 0, lowers, 0.0)
