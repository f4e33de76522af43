"""The plan of a model's reasons, from its training rows: reference row, groups, phrases, and how often each reason is given.

Belongs here: which attributes of the source belong together. Does not belong here: the groups of the catalogue
(``features.reason_groups``), the contributions (``churn_store.model.reasons``).
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.reason_groups import group_of, phrases_of
from churn_assets.training.association import association
from churn_store.model.reasons.explainer import Explainer
from churn_store.model.reasons.plan import Frequency, Group, ReasonPlan, reference_row
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature

LINKED: Final = 0.8
"""From this association on, attributes of the source belong to one group, or to that of a feature."""

MOST_ROWS: Final = 5_000
"""Training rows that associations are measured on."""

COUNTED_ROWS: Final = 500
"""Judging rows on which reasons are counted."""


def reason_plan(
    features: Sequence[Feature],
    signature: Signature,
    training_rows: pl.DataFrame,
    *,
    protected: Collection[str] = (),
    actionable: Collection[str] = (),
    seed: int,
) -> ReasonPlan:
    """The plan of a model, without frequencies.

    Args:
        features: features that models may use.
        signature: inputs of the model.
        training_rows: rows that it was fitted on.
        protected: inputs that no reason names, nor what is ``LINKED`` to one of them.
        actionable: attributes that the company's team can act on.
        seed: seed of the sample for the associations.
    """
    rows = training_rows.sample(min(MOST_ROWS, training_rows.height), seed=seed)
    named = set(signature.names) - set(protected) - _stand_ins(signature.names, set(protected), rows)
    used = [feature for feature in features if feature.name in named]
    groups, acts = _catalogue_groups(used)
    for members in _linked([feature.name for feature in used if group_of(feature) is None], rows):
        code = _joined(members, groups, rows) or members[0]
        groups.setdefault(code, []).extend(members)
    chosen = set(actionable)
    order = {name: place for place, name in enumerate(signature.names)}
    return ReasonPlan(
        reference=reference_row(training_rows, signature),
        groups=tuple(
            Group(code, tuple(sorted(members, key=order.__getitem__)), acts.get(code, False) or bool(chosen & set(members)))
            for code, members in sorted(groups.items())
        ),
        protected=tuple(name for name in signature.names if name not in named),
        phrases=phrases_of(used),
    )


def with_frequencies(plan: ReasonPlan, scorer: Scorer, model: bytes, judging: pl.DataFrame, *, seed: int) -> ReasonPlan:
    """A plan with the count of its reasons on judging rows.

    Args:
        plan: plan of the model.
        scorer: model.
        model: content of ``model.onnx``.
        judging: rows with ``customer_id`` and the inputs.
        seed: seed of the sample.
    """
    rows = judging.sample(min(COUNTED_ROWS, judging.height), seed=seed)
    explainer = Explainer(scorer, plan, hashlib.sha256(model).hexdigest())
    first, three = Counter[str](), Counter[str]()
    size = dict.fromkeys((group.code for group in plan.groups), 0.0)
    numbers, words = scorer.signature.frame_tensors(rows)
    for customer, own, spoken in zip(rows["customer_id"], numbers, words, strict=True):
        explanation = explainer.explain(customer, own, spoken)
        for place, reason in enumerate(explanation.raising):
            first[reason.code] += place == 0
            three[reason.code] += 1
        for reason in explanation.reasons:
            size[reason.code] += abs(reason.contribution)
    count = max(rows.height, 1)
    frequencies = {
        group.code: Frequency(first[group.code] / count, three[group.code] / count, size[group.code] / count)
        for group in plan.groups
    }
    return msgspec.structs.replace(plan, frequencies=frequencies)


def _catalogue_groups(features: Sequence[Feature]) -> tuple[dict[str, list[str]], dict[str, bool]]:
    """The features of each group of the catalogue, and whether a team can act on it."""
    members: dict[str, list[str]] = {}
    acts: dict[str, bool] = {}
    for feature in features:
        if (group := group_of(feature)) is not None:
            members.setdefault(group.code, []).append(feature.name)
            acts[group.code] = group.actionable
    return members, acts


def _stand_ins(names: Sequence[str], protected: Collection[str], rows: pl.DataFrame) -> set[str]:
    """Inputs that would be in one group with a protected one: naming them would name that."""
    hidden = [name for name in names if name in protected]
    return {
        name
        for name in names
        if name not in protected and any(association(rows[name], rows[other]) >= LINKED for other in hidden)
    }


def _linked(names: Sequence[str], rows: pl.DataFrame) -> list[list[str]]:
    """Attributes in groups, each in the order of the names: two are in one if they, or a chain of others between them, are ``LINKED``."""
    found: list[list[str]] = []
    for name in names:
        near = [group for group in found if any(association(rows[name], rows[other]) >= LINKED for other in group)]
        found = [group for group in found if group not in near]
        found.append(sorted([*(member for group in near for member in group), name], key=names.index))
    return found


def _joined(members: Sequence[str], groups: Mapping[str, Sequence[str]], rows: pl.DataFrame) -> str | None:
    """The group of the catalogue that attributes join: the one named like one of them, or the one most associated."""
    if named := [name for name in members if name in groups]:
        return named[0]
    best = [
        (max(association(rows[name], rows[feature]) for name in members for feature in features), code)
        for code, features in groups.items()
    ]
    strength, code = max(best, default=(0.0, ""))
    return code if strength >= LINKED else None
