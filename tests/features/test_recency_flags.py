"""Which of several events stands for its type, its day or its week, said in two ways that must be equal."""

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.features.engines.event_order import ORDER, in_order, placed
from churn_assets.features.recency_flags import PLACES, with_recency_flags
from churn_store.clock import DAY_S

T = 20_000 * DAY_S
KINDS = ("session", "ticket", "export")
KIND = pl.Categorical(pl.Categories("kinds", "test_places"))
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
    of = events.with_columns(pl.col("event_type").cast(pl.String)).group_by(ORDER)
    return of.agg(pl.len(), pl.col("age_s").first(), pl.col(*PLACES).sum()).sort(ORDER).rows()


def by_windows(events: pl.DataFrame) -> pl.DataFrame:
    lazy = nw.from_native(events.lazy()).with_columns(age_s=T - nw.col("occurred_s"))
    found: pl.DataFrame = with_recency_flags(lazy).collect().to_native()
    return found


@given(st.lists(rows, min_size=1, max_size=4))
def test_reading_places_off_the_order_says_what_window_functions_say(parts: list[list[tuple[int, str, int]]]) -> None:
    found = placed([in_order(frame(part)) for part in parts], T)
    assert counted(found) == counted(by_windows(pl.concat([frame(part) for part in parts])))
    assert found["customer_id"].is_sorted()


@pytest.mark.parametrize("customers", [3, 2**31])
def test_numbers_that_do_not_fit_into_one_are_sorted_as_well(customers: int) -> None:
    drawn = np.random.default_rng(3)
    whole = frame(
        [(int(drawn.integers(0, customers)), KINDS[i % 3], int(T - drawn.integers(1, FAR))) for i in range(200)] * 2
    )
    assert counted(placed([whole], T)) == counted(by_windows(whole))


def test_one_row_stands_for_a_day_and_the_day_ends_with_the_snapshot() -> None:
    events = frame([(1, "session", T - age) for age in (1, DAY_S, DAY_S + 1, 7 * DAY_S, 7 * DAY_S + 1)])
    assert placed([events], T).select(PLACES).sum().row(0) == (1, 4, 2)
