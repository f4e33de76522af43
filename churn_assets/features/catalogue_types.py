"""Features of single types of events: the entries of the catalogue that a company's ``events.types`` make.

Belongs here: what is counted of a type. Does not belong here: how a type's word becomes a part of a name
(``settings.event_names``), events by role or of any kind (``catalogue_events``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import narwhals as nw

from churn_assets.features.feature import Feature, count, newest_age, quotient, ratio, share, total, within
from churn_assets.settings.event_names import safe_word
from churn_store.clock import DAY_S
from churn_store.mapping.tables import VALUE


@dataclass(frozen=True)
class EventValue:
    """What the values of events are.

    Attributes:
        unit: unit that they are counted in, such as seconds.
        decimals: number of decimals that are kept; the lake has whole numbers of the last one.
    """

    unit: str
    decimals: int = 0


def type_features(types: Sequence[str], value: EventValue | None = None) -> tuple[Feature, ...]:
    """The entries of some types of events, in the order of the types.

    Args:
        types: types of events as they stand in the data; ``refused_types`` refuses none of them.
        value: what the values of events are; `None` where events have none.
    """
    return tuple(
        feature for word in types for feature in (*_counted(word), *(() if value is None else _summed(word, value)))
    )


def _counted(word: str) -> Iterator[Feature]:
    """How often events of a type came, how long ago the last one, and whether they become fewer."""
    name = f"type_{safe_word(word)}"
    of_type = nw.col("event_type") == word
    counts = {days: nw.col(f"{name}_in_{days}d") for days in (7, 30, 90)}
    rows = {days: {f"{name}_in_{days}d": count(of_type & within(days))} for days in counts}
    for days, counted in counts.items():
        yield Feature(
            f"{name}_{days}d", f"events {word} in the last {days} days", "events", days, "events", "behaviour",
            counted, rows[days], event_type=word,
        )  # fmt: skip
    yield Feature(
        f"days_since_{name}", f"days since the last event {word} within 90 days", "events", 90, "days", "behaviour",
        quotient(nw.col(f"age_of_last_{name}_s"), DAY_S), {f"age_of_last_{name}_s": newest_age(of_type & within(90))},
        nullable=True, high=90.0, event_type=word,
    )  # fmt: skip
    yield Feature(
        f"trend_of_{name}", f"share of the last 90 days' events {word} that fell into the last 30", "events", 90, "share",
        "behaviour", share(counts[30], counts[90]), rows[30] | rows[90], high=1.0, event_type=word,
    )  # fmt: skip


def _summed(word: str, value: EventValue) -> Iterator[Feature]:
    """How much the events of a type came to, how much one was on average, and whether it becomes less."""
    name = f"type_{safe_word(word)}"
    valued, per_unit = (nw.col("event_type") == word) & ~nw.col(VALUE).is_null(), 10**value.decimals
    sums = {days: nw.col(f"sum_of_{name}_in_{days}d") for days in (30, 90)}
    rows = {days: {f"sum_of_{name}_in_{days}d": total(VALUE, valued & within(days))} for days in sums}
    number = {f"valued_{name}_in_90d": count(valued & within(90))}
    for days, summed in sums.items():
        yield Feature(
            f"sum_of_{name}_{days}d", f"sum of the values of the last {days} days' events {word}", "events", days, value.unit,
            "behaviour", quotient(summed, per_unit), rows[days], needs=(VALUE,), event_type=word,
        )  # fmt: skip
    yield Feature(
        f"mean_of_{name}_90d", f"mean value of the last 90 days' events {word} that have one", "events", 90, value.unit,
        "behaviour", ratio(sums[90], nw.col(f"valued_{name}_in_90d") * per_unit), rows[90] | number, nullable=True,
        needs=(VALUE,), event_type=word,
    )  # fmt: skip
    yield Feature(
        f"sum_trend_of_{name}", f"share of the values of the last 90 days' events {word} that fell into the last 30", "events",
        90, "share", "behaviour", share(sums[30], sums[90]), rows[30] | rows[90], high=1.0, needs=(VALUE,), event_type=word,
    )  # fmt: skip
