"""The plan of reasons: groups of the catalogue and of attributes, and reasons of every family that the graph trains."""

import hashlib
import itertools
from functools import cache
from math import comb

import numpy as np
import polars as pl
import pytest

from churn_assets.features.catalogue import CATALOGUE
from churn_assets.features.catalogue_types import EventValue, type_features
from churn_assets.features.reason_groups import GROUPS, PHRASES, group_of, phrases_of
from churn_assets.training.association import association
from churn_assets.training.reason_plan import LINKED, reason_plan, with_frequencies
from churn_store.model.reasons.explainer import Explainer, Explanation
from churn_store.model.reasons.plan import ReasonPlan, require_fitting
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from tests.training.test_families import NAMES, attributes, company, fitted

ROWS = 25


def test_every_feature_of_the_catalogue_is_in_exactly_one_group() -> None:
    placed = [name for group in GROUPS for name in group.features]
    assert sorted(placed) == sorted(feature.name for feature in CATALOGUE)
    assert set(PHRASES) <= set(placed)
    assert len({group.code for group in GROUPS}) == len(GROUPS)


def test_the_features_of_a_type_of_events_are_one_group_in_plain_words() -> None:
    made = type_features(["Ticket opened"], EventValue("minutes"))
    assert {group.code for feature in made if (group := group_of(feature)) is not None} == {"type_ticket_opened"}
    phrase = phrases_of(made)["days_since_type_ticket_opened"]
    assert phrase.given.format(3) == "days since the last event Ticket opened: 3"
    assert phrase.missing == "no event Ticket opened in the last 90 days"


def test_association_is_high_for_copies_and_low_for_strangers_of_any_kind() -> None:
    draw = np.random.default_rng(0)
    number = pl.Series(draw.normal(size=2_000))
    other = pl.Series(draw.normal(size=2_000))
    word = (number > 0).cast(pl.String)
    many = pl.Series([f"w{i}" for i in draw.integers(0, 500, 2_000)])
    assert association(number, number.exp()) == pytest.approx(1.0)
    assert association(number, -number) == pytest.approx(1.0)
    assert association(word, word) == pytest.approx(1.0, abs=0.01)
    assert association(number, word) > LINKED
    assert (
        max(association(number, other), association(many, number), association(number, many), association(many, word)) < 0.2
    )
    assert association(number, pl.Series([None] * 2_000, dtype=pl.Float64)) == 0.0
    assert association(number, pl.Series([1.0] * 2_000)) == 0.0


@cache
def planned(*, actionable: tuple[str, ...] = (), protected: tuple[str, ...] = ()) -> ReasonPlan:
    rows = company().with_columns(spend_again=pl.col("spend_cents") * 2 + 1)
    features = attributes(numbers=("visits", "spend_cents", "seen_s", "days", "spend_again"))
    signature = Signature(tuple(feature.column for feature in features))
    plan = reason_plan(features, signature, rows, protected=protected, actionable=actionable, seed=1)
    require_fitting(plan, signature)
    return plan


def test_attributes_that_go_together_are_one_group_and_the_others_single() -> None:
    groups = {group.code: group.columns for group in planned().groups}
    assert groups == {
        "visits": ("visits",), "spend_cents": ("spend_cents", "spend_again"), "seen_s": ("seen_s",), "days": ("days",), "plan": ("plan",),
    }  # fmt: skip
    assert not any(group.actionable for group in planned().groups)


def test_the_company_says_which_attributes_a_team_can_act_on() -> None:
    assert {group.code for group in planned(actionable=("plan", "spend_cents")).groups if group.actionable} == {
        "plan",
        "spend_cents",
    }


def test_a_protected_attribute_is_in_no_group() -> None:
    plan = planned(protected=("plan", "days"))
    assert plan.protected == ("days", "plan")
    assert {name for group in plan.groups for name in group.columns} == {"visits", "spend_cents", "seen_s", "spend_again"}


def test_what_goes_together_with_a_protected_attribute_is_named_no_more_than_that() -> None:
    plan = planned(protected=("spend_again",))
    assert plan.protected == ("spend_cents", "spend_again")
    assert {name for group in plan.groups for name in group.columns} == {"visits", "seen_s", "days", "plan"}


@cache
def explained(family: str) -> tuple[Explainer, Scorer]:
    made = fitted(family, company(1_000, seed=11))
    scorer = Scorer(made.model, made.signature)
    plan = reason_plan(attributes(), made.signature, company(), seed=1)
    return Explainer(scorer, plan, hashlib.sha256(made.model).hexdigest()), scorer


def explanations(family: str) -> list[Explanation]:
    explainer, scorer = explained(family)
    numbers, words = scorer.signature.frame_tensors(company(ROWS, seed=5))
    return [explainer.explain(f"c{i}", *row) for i, row in enumerate(zip(numbers, words, strict=True))]


@pytest.mark.parametrize("family", NAMES)
def test_the_reasons_of_every_family_add_up_and_are_the_values_of_the_definition(family: str) -> None:
    explainer, scorer = explained(family)
    frame = company(ROWS, seed=5)
    numbers, words = scorer.signature.frame_tensors(frame)
    log_odds = scorer.log_odds(numbers, words)
    for found, own, spoken, odds in zip(explanations(family), numbers, words, log_odds, strict=True):
        parts = sum(reason.contribution for reason in found.reasons)
        assert found.reference_log_odds + parts + found.difference == pytest.approx(found.log_odds, abs=1e-9)
        assert abs(found.difference) < 1e-4
        assert found.log_odds == pytest.approx(odds, abs=1e-6)
        expected = by_definition(explainer, scorer, own, spoken)
        assert {reason.code: reason.contribution for reason in found.reasons} == pytest.approx(
            {code: value for code, value in expected.items() if abs(value) > 1e-12}, abs=1e-5
        )


@pytest.mark.parametrize("family", [name for name in NAMES if name != "logistic_regression"])
def test_the_trees_of_every_family_are_read_so_that_no_reason_is_sampled(family: str) -> None:
    _, scorer = explained(family)
    assert scorer.trees is not None
    assert {(found.method, found.evaluations) for found in explanations(family)} == {("exact", 1)}


def by_definition(explainer: Explainer, scorer: Scorer, numbers: np.ndarray, words: np.ndarray) -> dict[str, float]:
    """The values of all groups, by every subset of them."""
    groups, names = explainer.plan.groups, (*scorer.signature.numbers, *scorer.signature.categories)
    usual_numbers, usual_words = scorer.signature.tensors([explainer.plan.reference])
    usual = [*usual_numbers[0], *usual_words[0]]
    own = [*numbers, *words]
    subsets = [
        frozenset(one) for size in range(len(groups) + 1) for one in itertools.combinations(range(len(groups)), size)
    ]
    place = {name: player for player, group in enumerate(groups) for name in group.columns}
    rows = [[own[i] if place[name] in subset else usual[i] for i, name in enumerate(names)] for subset in subsets]
    split = len(scorer.signature.numbers)
    worth = dict(
        zip(
            subsets,
            scorer.log_odds(
                np.array([row[:split] for row in rows], dtype=np.float32),
                np.array([row[split:] for row in rows], dtype=object),
            ),
            strict=True,
        )
    )
    count = len(groups)
    return {
        group.code: sum(
            (worth[subset | {player}] - worth[subset]) / (count * comb(count - 1, len(subset)))
            for subset in subsets
            if player not in subset
        )
        for player, group in enumerate(groups)
    }


def test_reasons_are_counted_on_judging_rows() -> None:
    made = fitted("gradient_boosting", company(1_000, seed=11))
    scorer = Scorer(made.model, made.signature)
    plan = reason_plan(attributes(), made.signature, company(), seed=1)
    judging = company(200, seed=9).with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
    counted = with_frequencies(plan, scorer, made.model, judging, seed=1).frequencies
    assert set(counted) == {group.code for group in plan.groups}
    assert 0.9 < sum(one.first for one in counted.values()) <= 1
    assert all(one.first <= one.among_three for one in counted.values())
    assert max(counted, key=lambda code: counted[code].size) in {"visits", "spend_cents", "plan"}
