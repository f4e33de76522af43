"""What the reasons of a model are told against, and in which groups: the part of a manifest that training writes.

Belongs here: the reference row, the groups, the phrases, and the plan of a release that is older than they are. Does not belong
here: contributions (``explainer``), sentences (``sentences``) and which attributes belong together (``churn_assets.features``).
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from churn_store.errors import ReleaseError
from churn_store.model.protected_names import is_protected
from churn_store.model.signature import MISSING_CATEGORY, Column, Signature

if TYPE_CHECKING:
    import polars as pl

REFERENCE: Final = "medians and most frequent words of the training rows"
"""Name of the reference row, as answers and the model card give it."""

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Value = float | str | None


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attributes that one reason stands for.

    Attributes:
        code: stable code of the reason.
        columns: inputs of the model.
        actionable: whether a team can act on it.
    """

    code: Code
    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    actionable: bool = False


class Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words for an attribute's value.

    Attributes:
        given: sentence with ``{}`` for the value.
        missing: sentence where the value is missing.
    """

    given: str
    missing: str


class Frequency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a reason is given on the judging rows.

    Attributes:
        first: share of rows whose strongest reason it is.
        among_three: share of rows that have it among their three strongest.
        size: mean absolute contribution to the log odds.
    """

    first: float
    among_three: float
    size: float


class ReasonPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that reasons need beside the model.

    Attributes:
        reference: value of each input in the reference row; ``None`` where missing is usual.
        groups: groups of inputs; an input is in one group, or protected.
        protected: inputs that no reason names.
        phrases: words for the inputs that have their own.
        frequencies: how often each reason is given, by code; empty where nobody has counted.
    """

    reference: dict[str, Value]
    groups: tuple[Group, ...]
    protected: tuple[str, ...] = ()
    phrases: dict[str, Phrase] = {}
    frequencies: dict[str, Frequency] = {}


def require_fitting(plan: ReasonPlan, signature: Signature) -> None:
    """Refuse a plan that is not one of these inputs.

    Raises:
        ReleaseError: if an input has no reference value of its kind, or is not in exactly one group; the message names it.
    """
    placed = [name for group in plan.groups for name in group.columns] + list(plan.protected)
    if sorted(placed) != sorted(signature.names):
        odd = sorted({name for name in placed if placed.count(name) > 1} | (set(placed) ^ set(signature.names)))
        raise ReleaseError(f"the reasons of the manifest group other inputs than the model has: {', '.join(odd[:5])}")
    codes = [group.code for group in plan.groups]
    if len(set(codes)) < len(codes):
        raise ReleaseError("the reasons of the manifest have a code twice")
    for column in signature.columns:
        value = plan.reference.get(column.name)
        expected = str if column.kind == "category" else float
        if value is not None and not isinstance(value, expected):
            raise ReleaseError(f"the reference row of the manifest has no {column.kind} for {column.name}")
    if set(plan.reference) != set(signature.names):
        raise ReleaseError("the reference row of the manifest has other inputs than the model")


def reference_row(rows: "pl.DataFrame", signature: Signature) -> dict[str, Value]:
    """The median of each number and the most frequent word of each category.

    A number that is missing in more than half of the rows is missing in the reference row, too. A median is a number that occurs.
    Of equally frequent words the first by alphabet is taken.

    Args:
        rows: rows of the signature's columns.
        signature: inputs of the model.
    """
    return {
        column.name: (_median if column.kind == "number" else _most_frequent)(rows[column.name])
        for column in signature.columns
    }


def plan_of_older(rows: "pl.DataFrame", signature: Signature, protected: Collection[str]) -> ReasonPlan:
    """The plan of a release whose manifest has none: each input is a group of its own, under its own name.

    Args:
        rows: reference sample of the release.
        signature: inputs of the model.
        protected: inputs that the manifest calls protected; those whose names say so are added.
    """
    hidden = tuple(name for name in signature.names if name in protected or is_protected(name))
    return ReasonPlan(
        reference=reference_row(rows, signature),
        groups=tuple(Group(name, (name,)) for name in signature.names if name not in hidden),
        protected=hidden,
    )


def phrase_of(column: Column, phrases: Mapping[str, Phrase]) -> Phrase:
    """The words for an input: its own, or its description and the value."""
    if (own := phrases.get(column.name)) is not None:
        return own
    label = (column.description or column.name.replace("_", " ")).replace("{", "(").replace("}", ")")
    return Phrase(f"{label}: {{}}", f"{label}: not known")


def _median(values: "pl.Series") -> Value:
    known = values.cast(float).fill_nan(None).drop_nulls()
    middle: Any = known.quantile(0.5, "lower") if 2 * known.len() >= max(values.len(), 1) else None
    return None if middle is None else float(middle)


def _most_frequent(values: "pl.Series") -> Value:
    words = values.cast(str).fill_null(MISSING_CATEGORY)
    return None if words.is_empty() else str(words.mode().sort()[0]) or None
