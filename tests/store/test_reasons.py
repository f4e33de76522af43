"""Reasons: Shapley values of groups against brute force, plans that do not fit, and sentences."""

import itertools
from collections.abc import Callable
from math import factorial

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_store.errors import ReleaseError
from churn_store.model.reasons.explainer import Explainer
from churn_store.model.reasons.plan import (
    Group,
    Phrase,
    ReasonPlan,
    Value,
    phrase_of,
    plan_of_older,
    reference_row,
    require_fitting,
)
from churn_store.model.reasons.sentences import sentence
from churn_store.model.reasons.shapley import USUAL, Effort, Sampled, all_coalitions, sampled, singles
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Column, Signature
from tests.release_factory import rows_of, small_columns, train

Floats = npt.NDArray[np.float64]
PLAYERS = 5


def brute_force(worth: Callable[[frozenset[int]], float], players: int) -> Floats:
    """The definition (Shapley 1953): the mean step of a player over all orders."""
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        for place, player in enumerate(order):
            values[player] += worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))
    return values / factorial(players)


def evaluated(chosen: Sampled, worth: Callable[[frozenset[int]], float]) -> Floats:
    return chosen.values(np.array([worth(frozenset(np.flatnonzero(row).tolist())) for row in chosen.coalitions]))


def game(numbers: list[float], *, order: int = PLAYERS) -> Callable[[frozenset[int]], float]:
    """A game of interactions: each small set of players adds its own number once all of it is there."""
    sets = [frozenset(one) for size in range(1, order + 1) for one in itertools.combinations(range(PLAYERS), size)]
    return lambda coalition: sum(number for one, number in zip(sets, numbers, strict=False) if one <= coalition)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=31, max_size=31))
def test_all_coalitions_give_the_values_of_the_definition(numbers: list[float]) -> None:
    worth = game(numbers)
    assert evaluated(all_coalitions(PLAYERS), worth) == pytest.approx(brute_force(worth, PLAYERS), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=31, max_size=31), st.integers(0, 2**32 - 1))
def test_sampled_values_add_up_whatever_was_sampled(numbers: list[float], seed: int) -> None:
    worth = game(numbers)
    keys = np.random.default_rng(seed).random((3, PLAYERS))
    found = evaluated(sampled(keys, np.arange(PLAYERS)), worth)
    assert found.sum() == pytest.approx(worth(frozenset(range(PLAYERS))) - worth(frozenset()), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=15, max_size=15), st.integers(0, 2**32 - 1))
def test_one_pair_is_exact_where_only_two_players_interact(numbers: list[float], seed: int) -> None:
    worth = game(numbers, order=2)
    keys = np.random.default_rng(seed).random((1, PLAYERS))
    assert evaluated(sampled(keys, np.arange(PLAYERS)), worth) == pytest.approx(brute_force(worth, PLAYERS), abs=1e-9)


def test_many_pairs_come_close_and_single_players_are_exact_for_sums() -> None:
    worth = game(np.random.default_rng(0).normal(size=31).tolist())
    exact = brute_force(worth, PLAYERS)
    keys = np.random.default_rng(1).random((2_000, PLAYERS))
    assert evaluated(sampled(keys, np.arange(PLAYERS)), worth) == pytest.approx(exact, abs=0.05)
    alone = game([1.0, 2.0, 3.0, 4.0, 5.0], order=1)
    assert evaluated(singles(PLAYERS), alone) == pytest.approx([1, 2, 3, 4, 5])


def test_who_is_left_out_does_not_change_the_order_of_the_others() -> None:
    keys = np.random.default_rng(0).random((4, 6))
    every, few = sampled(keys, np.arange(6)), sampled(keys, np.array([0, 2, 3]))
    restricted = {tuple(row) for row in every.coalitions[:, [0, 2, 3]].tolist()}
    assert {tuple(row) for row in few.coalitions.tolist()} <= restricted


@pytest.mark.parametrize("players", [10, 62, 63, 200])
def test_different_coalitions_are_evaluated_once_each(players: int) -> None:
    pairs = USUAL.pairs_for(players)
    chosen = sampled(np.random.default_rng(0).random((pairs, players)), np.arange(players))
    assert len({row.tobytes() for row in chosen.coalitions}) == len(chosen.coalitions) <= 2 * pairs * players
    values = np.arange(players, dtype=float)
    assert chosen.values(chosen.coalitions @ values) == pytest.approx(values)


def explainer(plan: ReasonPlan | None = None) -> tuple[Explainer, Scorer]:
    made = train(small_columns(4))
    scorer = Scorer(made.contents["model.onnx"], made.manifest.signature)
    found = plan or plan_of_older(pl.DataFrame(rows_of(small_columns(4), 300, 3)), scorer.signature, ())
    return Explainer(scorer, found, "a" * 64), scorer


def test_a_linear_model_is_exact_and_the_same_customer_gets_the_same_reasons() -> None:
    explain, scorer = explainer()
    row = rows_of(small_columns(4), 1, 8)[0]
    first, again = explain.explain_row("c1", row), explain.explain_row("c1", row)
    assert first == again
    assert first.method == "exact"
    parts = sum(reason.contribution for reason in first.reasons)
    assert first.reference_log_odds + parts + first.not_named + first.difference == pytest.approx(first.log_odds, abs=1e-12)
    numbers, words = scorer.signature.tensors([row])
    assert first.log_odds == pytest.approx(float(scorer.log_odds(numbers, words)[0]), abs=1e-6)


def test_a_linear_model_stays_exact_where_only_the_sum_passes_the_bound_of_the_log_odds() -> None:
    made, scorer = explainer()
    explain = Explainer(scorer, made.plan, "a" * 64, effort=Effort(exact_players=0))
    usual, spoken = scorer.signature.tensors([made.plan.reference])
    units = np.array([own_effect(scorer, made, place) for place in range(len(usual[0]))])
    found = explain.explain(None, (usual[0] + 15 / units).astype(np.float32), spoken[0])  # each raises the log odds by 15
    assert found.method == "exact"
    assert found.log_odds == pytest.approx(found.reference_log_odds + 15 * len(units), rel=0.01)
    assert [reason.contribution for reason in found.reasons] == pytest.approx([15.0] * len(units), rel=0.01)
    assert abs(found.difference) < 1e-9


def own_effect(scorer: Scorer, explain: Explainer, place: int) -> float:
    """What one unit of a number adds to the log odds of the reference row."""
    numbers, words = scorer.signature.tensors([explain.plan.reference])
    more = numbers.copy()
    more[0, place] += 1
    return float((scorer.log_odds(more, words) - scorer.log_odds(numbers, words))[0])


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("count", [1, 2])
def test_a_linear_model_stays_exact_where_groups_pass_the_bound_alone(side: int, count: int) -> None:
    made, scorer = explainer()
    explain = Explainer(scorer, made.plan, "a" * 64, effort=Effort(exact_players=0))
    usual, spoken = scorer.signature.tensors([made.plan.reference])
    own = usual[0].copy()
    for place in range(len(own)):
        wanted = side * 500.0 if place < count else (-1) ** place * 2.0
        own[place] += wanted / own_effect(scorer, made, place)
    found = explain.explain(None, own, spoken[0])
    assert (found.method, abs(found.log_odds)) == ("exact", pytest.approx(20.72, abs=0.01))
    by_all = Explainer(scorer, made.plan, "a" * 64)
    names = (*scorer.signature.numbers, *scorer.signature.categories)
    differs = np.array([name in scorer.signature.numbers for name in names])
    players = np.unique(by_all._player_of[differs])
    expected = by_all._valued(all_coalitions(players.size), players, own, spoken[0], differs)
    codes = [by_all.plan.groups[player].code for player in players]
    assert {one.code: one.contribution for one in found.reasons} == pytest.approx(
        dict(zip(codes, expected.values, strict=True)), abs=1e-3
    )


def test_the_reference_row_itself_has_no_reasons() -> None:
    explain, _ = explainer()
    found = explain.explain_row(None, dict(explain.plan.reference))
    assert (found.reasons, found.difference, found.log_odds) == ((), 0.0, found.reference_log_odds)


def test_missing_values_and_unknown_words_are_said() -> None:
    explain, _ = explainer()
    row = {**rows_of(small_columns(4), 1, 8)[0], "days_since_ticket": None, "plan": "gold"}
    by_code = {reason.code: reason for reason in explain.explain_row("c1", row).reasons}
    assert by_code["days_since_ticket"].text.startswith("days since ticket: not known; usual here: ")
    assert by_code["days_since_ticket"].value is None
    assert by_code["plan"].text.startswith("plan: gold (a word that training never saw); usual here: ")


def test_the_reference_row_has_medians_that_occur_and_the_most_frequent_words() -> None:
    signature = Signature(
        (
            Column(name="visits", kind="number"), Column(name="rare", kind="number", nullable=True),
            Column(name="plan", kind="category", categories=("a", "b")),
        )
    )  # fmt: skip
    frame = pl.DataFrame({"visits": [1.0, 2.0, 9.0, 10.0], "rare": [None, None, None, 5.0], "plan": ["b", "a", "a", "b"]})
    assert reference_row(frame, signature) == {"visits": 2.0, "rare": None, "plan": "a"}
    assert reference_row(frame.with_columns(plan=pl.lit(None, pl.String)), signature)["plan"] is None


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"groups": (Group("a", ("visits",)),)}, "group other inputs than the model has: plan"),
        ({"groups": (Group("a", ("visits", "plan")), Group("b", ("plan",)))}, "group other inputs"),
        ({"groups": (Group("a", ("visits",)), Group("a", ("plan",)))}, "have a code twice"),
        ({"reference": {"visits": "many", "plan": "a"}}, "has no number for visits"),
        ({"reference": {"visits": 1.0}}, "other inputs than the model"),
    ],
)
def test_a_plan_that_does_not_fit_the_model_is_refused(plan: dict[str, object], said: str) -> None:
    signature = Signature((Column(name="visits", kind="number"), Column(name="plan", kind="category")))
    fits = ReasonPlan(
        reference={"visits": 1.0, "plan": "a"}, groups=(Group("visits", ("visits",)), Group("plan", ("plan",)))
    )
    require_fitting(fits, signature)
    with pytest.raises(ReleaseError, match=said):
        require_fitting(msgspec.structs.replace(fits, **plan), signature)


def test_an_older_release_names_no_attribute_that_its_name_or_its_manifest_calls_protected() -> None:
    signature = Signature(tuple(Column(name=name, kind="number") for name in ("visits", "Geburtsjahr", "tier")))
    frame = pl.DataFrame({"visits": [1.0], "Geburtsjahr": [1980.0], "tier": [2.0]})
    plan = plan_of_older(frame, signature, {"tier": "by law"})
    assert [group.code for group in plan.groups] == ["visits"]
    assert plan.protected == ("Geburtsjahr", "tier")


DAYS = Column(name="days", kind="number", nullable=True, unit="days", description="days since the last session")
SILENT = Phrase("no session for {} days", "no session in the last 90 days")


@pytest.mark.parametrize(
    ("column", "phrase", "value", "usual", "said"),
    [
        (DAYS, SILENT, 23.2, 3.0, "no session for 23 days; usual here: 3"),
        (DAYS, SILENT, None, 3.0, "no session in the last 90 days; usual here: 3"),
        (DAYS, SILENT, 23.0, None, "no session for 23 days; usual here: no session in the last 90 days"),
        (DAYS, None, 3.04, 3.01, "days since the last session: 3.04; usual here: 3.01"),
        (DAYS, None, 12.3, 12.1, "days since the last session: 12.3; usual here: 12.1"),
        (Column(name="s", kind="number", unit="share"), None, 0.5, 0.125, "s: 50 %; usual here: 12 %"),
        (Column(name="s", kind="number", unit="share"), None, 0.501, 0.502, "s: 50.1 %; usual here: 50.2 %"),
        (Column(name="paid", kind="number", unit="cents"), None, 123456.0, 0.0, "paid: 1,234.56; usual here: 0.00"),
        (Column(name="pro", kind="number", unit="yes or no"), None, 1.0, 0.0, "pro: yes; usual here: no"),
        (Column(name="a_b", kind="category", categories=("x", "y")), None, "x", "y", "a b: x; usual here: y"),
        (Column(name="a", kind="category", categories=("x",)), None, None, "x", "a: not known; usual here: x"),
    ],
)  # fmt: skip
def test_a_sentence_has_the_own_value_and_the_usual_one(
    column: Column, phrase: Phrase | None, value: Value, usual: Value, said: str
) -> None:
    assert sentence(column, phrase or phrase_of(column, {}), value, usual) == said
