"""The role of each event, and which of several stands for its type, or for its role's day or week: two ways that must be equal."""

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.features.engines.event_order import ORDER, RoleCodes, in_order, placed
from churn_assets.features.recency_flags import PLACES, STRETCHES_DAYS, with_recency_flags
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S

T = 20_000 * DAY_S
KINDS = ("session", "ticket", "export", "login", "case")
KIND = pl.Categorical(pl.Categories("kinds", "test_places"))
ONE_WORD = EventRoles(session=("session",), ticket=("ticket",))
TWO_WORDS = EventRoles(session=("session", "login"), ticket=("ticket", "case", "never"))
EACH = pytest.mark.parametrize("roles", [ONE_WORD, TWO_WORDS], ids=["a word a role", "several words a role"])
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {"customer_id": pl.UInt32, "event_type": KIND, "occurred_s": pl.Int64}
FAR = 2**40

ages = st.one_of(
    st.sampled_from([days * DAY_S + off for days in (0, 1, 6, 7, 8, 90) for off in (0, 1, 2)]), st.integers(0, 20 * DAY_S)
).map(lambda age: age + 1)
rows = st.lists(st.tuples(st.integers(5, 8), st.sampled_from(KINDS), ages.map(lambda age: T - age)), max_size=30)


def frame(drawn: list[tuple[int, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(drawn, schema=SCHEMA, orient="row")


def counted(events: pl.DataFrame) -> list[tuple[object, ...]]:
    """How many of each customer, type and second there are, and how many of them stand for others."""
    of = events.with_columns(pl.col("event_type", "role").cast(pl.String)).group_by(ORDER)
    return of.agg(pl.len(), pl.col("age_s", "role").first(), pl.col("newest_of_kind").sum()).sort(ORDER).rows()


def by_role(events: pl.DataFrame) -> list[tuple[object, ...]]:
    """How many days and weeks each customer has of each role, or of a type without one, and when their newest events were."""
    texts = events.with_columns(pl.col("event_type", "role").cast(pl.String))
    own = pl.when(pl.col("role") == "").then("event_type").otherwise(pl.lit("")).alias("type")
    among = ["customer_id", "role", own, "occurred_s"]
    return texts.group_by(among).agg(pl.col(*STRETCHES_DAYS).sum()).sort("customer_id", "role", "type", "occurred_s").rows()


def by_windows(events: pl.DataFrame, roles: EventRoles) -> pl.DataFrame:
    lazy = nw.from_native(events.lazy()).with_columns(age_s=T - nw.col("occurred_s"))
    found: pl.DataFrame = with_recency_flags(lazy, roles).collect().to_native()
    return found


@EACH
@given(parts=st.lists(rows, min_size=1, max_size=4))
def test_reading_places_off_the_order_says_what_window_functions_say(
    roles: EventRoles, parts: list[list[tuple[int, str, int]]]
) -> None:
    found = placed([in_order(frame(part)) for part in parts], T, RoleCodes.of(roles, KIND))
    expected = by_windows(pl.concat([frame(part) for part in parts]), roles)
    assert counted(found) == counted(expected)
    assert by_role(found) == by_role(expected)
    assert found["customer_id"].is_sorted()


@EACH
@pytest.mark.parametrize("customers", [3, 2**31])
def test_numbers_that_do_not_fit_into_one_are_sorted_as_well(customers: int, roles: EventRoles) -> None:
    drawn = np.random.default_rng(3)
    whole = frame(
        [(int(drawn.integers(0, customers)), KINDS[i % 5], int(T - drawn.integers(1, FAR))) for i in range(200)] * 2
    )
    found, expected = placed([whole], T, RoleCodes.of(roles, KIND)), by_windows(whole, roles)
    assert (counted(found), by_role(found)) == (counted(expected), by_role(expected))


def test_one_row_stands_for_a_day_and_the_day_ends_with_the_snapshot() -> None:
    events = frame([(1, "session", T - age) for age in (1, DAY_S, DAY_S + 1, 7 * DAY_S, 7 * DAY_S + 1)])
    assert placed([events], T, RoleCodes.of(ONE_WORD, KIND)).select(PLACES).sum().row(0) == (1, 4, 2)


def test_a_day_with_two_words_of_a_role_is_one_day_and_two_types() -> None:
    events = frame([(1, "session", T - 5), (1, "login", T - 9), (1, "login", T - DAY_S - 1), (1, "export", T - 7)])
    flagged = placed([events], T, RoleCodes.of(TWO_WORDS, KIND))
    of_sessions = flagged.filter(pl.col("role") == "session").select(PLACES).sum().row(0)
    assert of_sessions == (2, 2, 1)
    assert flagged.filter(pl.col("role") == "")["event_type"].cast(pl.String).to_list() == ["export"]
