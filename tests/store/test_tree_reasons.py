"""Reasons from the leaves of trees, against trees that are walked one coalition at a time."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_store.model.onnx_allowlist import require_plain
from churn_store.model.reasons import tree_shapley
from churn_store.model.reasons.curved import MOST_PLAYERS, by_every_coalition, by_permutations
from churn_store.model.reasons.shapley import exact_values
from churn_store.model.reasons.tree_shapley import TreeGame, TreeValues, tree_game
from churn_store.model.scorer import PROBABILITIES
from churn_store.model.tree_sum import Link, TreeColumn, TreeSum, read_tree_sum
from tests.store.trees import SIGNATURE, chain, model

NUMBERS, WORDS = 5, ("red", "green", "blue")
LINKS = {"boosting": Link(0.9, -0.4), "a forest": Link(1.1, 0.2, 0.005)}
Floats = npt.NDArray[np.float64]


class Case(NamedTuple):
    """Trees over five numbers and a word, in which numbers may be missing; a row, the reference and the groups."""

    trees: TreeSum
    player_of: npt.NDArray[np.int64]
    own: tuple[npt.NDArray[np.float32], npt.NDArray[np.object_]]
    usual: tuple[npt.NDArray[np.float32], npt.NDArray[np.object_]]

    @property
    def game(self) -> TreeGame:
        """The game of the groups against the reference."""
        found = tree_game(self.trees, self.player_of, *self.usual)
        assert found is not None
        return found

    def sum_of(self, numbers: npt.NDArray[np.float32], words: npt.NDArray[np.object_]) -> float:
        """The sum for a row, by walking each tree."""
        trees, total = self.trees, self.trees.base
        children = {*trees.first.tolist(), *trees.second.tolist()}
        for root in set(range(len(trees.first))) - children:
            node = root
            while trees.first[node] >= 0:
                column = trees.columns[trees.column[node]]
                value = numbers[column.attribute] if column.word is None else float(words[0] == column.word)
                goes_first = bool(trees.missing_first[node]) if np.isnan(value) else bool(value <= trees.threshold[node])
                node = int((trees.first if goes_first else trees.second)[node])
            total += float(trees.value[node])
        return total

    def mixed(self, own: npt.NDArray[np.bool_]) -> float:
        """The sum for a row that has the own attributes where ``own`` is true, and the usual ones elsewhere."""
        numbers = np.where(own[:NUMBERS], self.own[0], self.usual[0])
        return self.sum_of(numbers, self.own[1] if own[NUMBERS] else self.usual[1])

    def every_sum(self) -> Floats:
        """The sum of each coalition of groups."""
        players = int(self.player_of.max()) + 1
        return np.array([self.mixed((code >> self.player_of) & 1 > 0) for code in range(1 << players)])


def drawn(seed: int, *, trees: int = 4, players: int | None = None, depth: int = 5) -> Case:
    """Random trees, whose sums are shares between 0 and 1."""
    draw = np.random.default_rng(seed)
    columns = (*(TreeColumn(place) for place in range(NUMBERS)), *(TreeColumn(NUMBERS, word) for word in WORDS))
    nodes: list[list[float]] = []

    def grow(left: int) -> int:
        place = len(nodes)
        nodes.append([0, 0, -1, -1, 0, draw.random() ** 4 / trees])
        if left and draw.random() < 0.9:
            column = int(draw.integers(len(columns)))
            threshold = float(draw.integers(0, 5)) if column < NUMBERS else 0.5
            nodes[place] = [column, threshold, grow(left - 1), grow(left - 1), float(draw.random() < 0.5), 0.0]
        return place

    for _ in range(trees):
        grow(depth)
    column, threshold, first, second, missing, value = np.array(nodes).T
    whole = (one.astype(np.int64) for one in (column, first, second))
    column_, first_, second_ = whole
    rows = []
    for _ in range(2):
        numbers = draw.integers(0, 6, NUMBERS).astype(np.float32)
        numbers[draw.random(NUMBERS) < 0.2] = np.nan
        rows.append((numbers, np.array([draw.choice([*WORDS, "never seen"])], dtype=object)))
    groups = draw.integers(0, players or NUMBERS + 1, NUMBERS + 1)
    player_of = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    made = TreeSum(columns, column_, threshold, first_, second_, missing > 0, value, 0.0, LINKS["boosting"])
    return Case(made, player_of, rows[0], rows[1])


def against(case: Case) -> tuple[TreeValues, int]:
    return case.game.against(*case.own), int(case.player_of.max()) + 1


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 6]))
def test_the_values_in_a_sum_of_trees_are_those_of_every_coalition(seed: int, players: int) -> None:
    case = drawn(seed, players=players)
    found, count = against(case)
    sums = case.every_sum()
    assert found.sum == pytest.approx(sums[-1], abs=1e-12)
    assert case.game.base == pytest.approx(sums[0], abs=1e-12)
    values = np.zeros(count)
    values[: len(found.players)] = found.players
    assert values == pytest.approx(exact_values(sums, count), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_one_attribute_alone_and_a_row_without_it_have_the_sums_of_the_trees(seed: int) -> None:
    case = drawn(seed, players=3)
    found, _ = against(case)
    each = np.eye(NUMBERS + 1, dtype=bool)
    assert found.alone == pytest.approx([case.mixed(one) for one in each], abs=1e-12)
    assert found.without == pytest.approx([case.mixed(~one) for one in each], abs=1e-12)


@pytest.mark.parametrize("link", LINKS)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_values_of_a_curve_are_those_of_every_coalition(link: str, seed: int) -> None:
    case = drawn(seed)
    found, players = against(case)
    values = by_every_coalition(found.terms, players, case.trees.base, LINKS[link])
    assert values == pytest.approx(exact_values(LINKS[link].log_odds(case.every_sum()), players), abs=1e-9)


@pytest.mark.parametrize("link", LINKS)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_permutations_add_up_and_come_close_and_are_exact_where_the_curve_is_a_line(link: str, seed: int) -> None:
    case = drawn(seed)
    found, players = against(case)
    exact = exact_values(LINKS[link].log_odds(case.every_sum()), players)
    keys = np.random.default_rng(seed).random((256, players))
    values, pairs = by_permutations(found.terms, keys, case.trees.base, LINKS[link], found.players)
    assert values.sum() == pytest.approx(exact.sum(), abs=1e-9)
    assert values == pytest.approx(exact, abs=1e-9 if link == "boosting" else 0.35)
    assert pairs in {32, 64, 128, 256}


def test_a_sample_grows_only_where_the_two_strongest_lie_close_together() -> None:
    link, taken = LINKS["a forest"], {}
    for seed in range(150):
        case = drawn(seed, trees=6)
        found, players = against(case)
        if players > 2:
            *_, second, first = np.sort(exact_values(link.log_odds(case.every_sum()), players)).tolist()
            keys = np.random.default_rng(seed).random((256, players))
            taken[first - second] = by_permutations(found.terms, keys, case.trees.base, link, found.players)[1]
    gaps = sorted(taken)
    assert {taken[gap] for gap in gaps[-20:]} == {32}
    assert 256 in {taken[gap] for gap in gaps[:20]}


def test_more_players_than_can_be_enumerated_are_sampled() -> None:
    found, _ = against(drawn(1))
    assert by_every_coalition(found.terms, MOST_PLAYERS + 1, 0.0, LINKS["a forest"]) is None


def test_trees_with_too_many_comparisons_are_left_to_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    case = drawn(3)
    monkeypatch.setattr(tree_shapley, "MOST_CONDITIONS", 10)
    assert tree_game(case.trees, case.player_of, *case.usual) is None


def test_trees_of_32_bits_are_left_to_the_runtime() -> None:
    parsed = require_plain(model(chain(3)), gives=PROBABILITIES)
    assert read_tree_sum(parsed, SIGNATURE) is None


def test_trees_without_a_branch_are_left_to_the_runtime() -> None:
    case = drawn(3, depth=0)
    assert tree_game(case.trees, case.player_of, *case.usual) is None
