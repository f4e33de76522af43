"""Which types of events may get features of their own: how many customers have them, how often, and whether that differs at all.

Belongs here: what `churn validate` and `churn init` propose as ``events.types``. Does not belong here: what is counted of a type
(``features.catalogue_types``), and what types mean (``event_types``).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.features.catalogue_types import type_features
from churn_assets.features.protected_attributes import forbidden
from churn_assets.settings.event_names import refused_types
from churn_store.clock import DAY_S
from churn_store.redaction import is_hidden

LOOKED_AT_DAYS = 90
"""So many days at the end of the data are looked at: the longest window of the features."""

NEWEST_SHARE = 0.999
"""The share of the events before the end of the data; a thousandth may lie later, which is dirt."""

PROPOSED = 10
"""At most so many types are proposed, those of most customers first."""

USUAL_SHARE = 0.99
"""Where a greater share of the customers has a type equally often, such as never, it tells them apart too seldom."""


@dataclass(frozen=True)
class TypeChoice:
    """A type of events, and whether it may have features of its own.

    Attributes:
        word: the type.
        customers: share of the customers with any event who have one of this type, in the last days of the data.
        each: mean number of such events of a customer who has one.
        against: why it is not proposed; empty where it is, or could be.
    """

    word: str
    customers: float
    each: float
    against: str


def type_choices(
    events: pl.DataFrame, *, sessions: Collection[str], gone: Collection[str], protected: Collection[str]
) -> list[TypeChoice]:
    """What speaks for and against features of each type, those of most customers first.

    Args:
        events: rows that keep their contract: ``customer_id``, ``event_type``, ``occurred_s``.
        sessions: types with the role of a session.
        gone: types by which customers leave.
        protected: protected words in addition to the built-in ones.
    """
    end_s = events["occurred_s"].quantile(NEWEST_SHARE, interpolation="higher") or 0
    recent = events.filter(pl.col("occurred_s") > end_s - LOOKED_AT_DAYS * DAY_S).drop_nulls("event_type")
    customers = recent["customer_id"].n_unique()
    counted = recent.group_by("event_type", "customer_id").len("times").group_by("event_type", "times").len("customers")
    by_type = counted.group_by("event_type").agg(
        pl.col("customers").sum().alias("have"),
        pl.col("customers").max().alias("most"),
        (pl.col("times") * pl.col("customers")).sum().alias("rows"),
    )
    only_session = next(iter(set(by_type["event_type"]) & set(sessions)), None) if len(sessions) == 1 else None
    against: Mapping[str, str] = {
        **dict.fromkeys(gone, "customers leave by it"),
        **({} if only_session is None else {only_session: "the features of sessions count it already"}),
    }
    choices: list[TypeChoice] = []
    for word, have, most, rows in by_type.sort("have", "rows", "event_type", descending=[True, True, False]).iter_rows():
        usual = max(most, customers - have) / customers
        reason = against.get(word) or _unfit(word, protected) or _clash(word, choices)
        if not reason and usual > USUAL_SHARE:
            reason = f"{usual:.1%} of the customers have it equally often"
        choices.append(TypeChoice(word, have / customers, rows / have, reason))
    return choices


def proposed_types(choices: Sequence[TypeChoice]) -> list[str]:
    """The types that are proposed for ``events.types``."""
    return [choice.word for choice in choices if not choice.against][:PROPOSED]


def _unfit(word: str, protected: Collection[str]) -> str:
    if is_hidden(word):
        return "it is rather an address or an id"
    if refused := refused_types([word]):
        return refused.partition(";")[0].partition(", ")[2]
    if any(forbidden(feature.name, word, protected) for feature in type_features([word])):
        return "its name is one of what the law protects, or tells who left"
    return ""


def _clash(word: str, before: Sequence[TypeChoice]) -> str:
    same = [choice.word for choice in before if not choice.against and refused_types([choice.word, word])]
    return f"its features would have the names of those of {same[0]!r}" if same else ""
