"""How much each customer counts where some were treated, and when that can't be known."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from churn_assets.treatments.records import COLUMNS
from churn_assets.treatments.weights import TreatmentWeights, treatment_weights
from churn_store.clock import DAY_S

T = 20_000 * DAY_S
HORIZON_S = 32 * DAY_S

Listed = tuple[str, int, bool, float | None]


def weighed(listed: Sequence[Listed], *, customers: int = 6, **more: Any) -> TreatmentWeights:
    """The weights of customers c0, c1 and so on, by treatments at T plus a number of days."""
    rows = [(customer, T + days * DAY_S, treated, e) for customer, days, treated, e in listed]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    ids = pl.Series([f"c{number}" for number in range(customers)])
    return treatment_weights(ids, frame, snapshot_s=T, horizon_s=HORIZON_S, **more)


def by_id(found: TreatmentWeights) -> dict[str, float | None]:
    return dict(found.rows.select("customer_id", "weight").iter_rows())


def test_who_was_held_out_stands_for_the_treated_and_who_was_never_listed_for_themselves() -> None:
    found = weighed([("c0", 1, True, 0.75), ("c1", 1, True, 0.75), ("c2", 1, True, 0.75), ("c3", 1, False, 0.75)])
    assert by_id(found) == {"c0": 0, "c1": 0, "c2": 0, "c3": 4, "c4": 1, "c5": 1}
    assert found.rows["left_out"].to_list() == [True, True, True, False, False, False]
    assert (found.state, found.treated, found.held_out) == ("weighted", 3, 1)
    assert found.effective_rows == pytest.approx(6**2 / (4**2 + 1 + 1))


def test_the_chances_of_staying_untreated_are_multiplied_over_several_treatments() -> None:
    found = weighed([("c0", 1, False, 0.5), ("c0", 9, False, 0.75), ("c1", 1, True, 0.5), ("c2", 9, True, 0.75)])
    assert by_id(found)["c0"] == pytest.approx(2 * 4)


def test_who_was_treated_once_and_held_out_at_another_time_is_left_out() -> None:
    found = weighed([("c0", 1, False, 0.5), ("c0", 9, True, 0.5)])
    assert by_id(found)["c0"] == 0


def test_only_treatments_within_the_labels_window_or_shortly_before_it_touch_the_label() -> None:
    outside = weighed([("c0", -9, True, 0.5), ("c1", -9, False, 0.5), ("c2", 32, True, 0.5), ("c3", 32, False, 0.5)])
    assert (outside.state, set(by_id(outside).values())) == ("untreated", {1.0})
    inside = weighed([("c0", -8, True, 0.5), ("c1", -8, False, 0.5), ("c2", 31, True, 0.5), ("c3", 31, False, 0.5)])
    assert by_id(inside) == {"c0": 0, "c1": 2, "c2": 0, "c3": 2, "c4": 1, "c5": 1}


def test_without_treatments_everybody_counts_once() -> None:
    found = weighed([])
    assert (found.state, found.effective_rows, set(by_id(found).values())) == ("untreated", 6, {1.0})


UNKNOWN: dict[str, tuple[list[Listed], str]] = {
    "no propensity": ([("c0", 1, True, None), ("c1", 1, False, 0.5)], "the propensity of 1 of 2 treatments is not known"),
    "no propensity of who was held out": ([("c0", 1, True, 0.5), ("c1", 1, False, None)], "is not known"),
    "a propensity of 0": ([("c0", 1, True, 0.5), ("c1", 1, False, 0.0)], "who could not be treated is not on the list"),
    "a propensity above 1": ([("c0", 1, True, 1.5), ("c1", 1, False, 0.5)], "expected a number above 0 and at most 1"),
    "no number": ([("c0", 1, True, float("nan")), ("c1", 1, False, 0.5)], "expected a number above 0"),
    "held out for certain": ([("c0", 1, True, 0.5), ("c1", 1, False, 1.0)], "below 1 for who was held out"),
    "treated for certain": ([("c0", 1, True, 1.0), ("c1", 1, False, 0.5)], "1 of 1 treated customers were treated for certain"),
    "nobody held out": ([("c0", 1, True, 0.5), ("c1", 1, True, 0.5)], "2 customers were treated and nobody was held out"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_the_weights_cannot_be_known_the_state_says_so_and_why(case: str) -> None:
    listed, said = UNKNOWN[case]
    found = weighed(listed)
    assert found.state == "unknown"
    assert said in found.reason
    assert found.effective_rows is None


def test_a_list_with_far_fewer_held_out_than_its_propensities_say_cannot_be_judged() -> None:
    listed = [(f"c{number}", 1, number > 3, 0.5) for number in range(200)]
    found = weighed(listed, customers=300)
    assert found.state == "unknown"
    assert "4 of 200 on the list were held out, and by their propensities it should be about 100" in found.reason


def test_treatments_of_customers_whom_no_table_knows_cannot_be_judged() -> None:
    listed: list[Listed] = [("x9", 1, True, 0.5), ("c1", 1, True, 0.5), ("c2", 1, False, 0.5)]
    found = weighed(listed, everyone=pl.Series(["c0", "c1", "c2"]))
    assert (found.state, found.unmatched) == ("unknown", 1)
    assert "1 of 3 treatments are of customers whom no table knows" in found.reason
    known = weighed(listed, everyone=pl.Series(["c1", "c2", "x9"]))
    assert (known.state, known.unmatched) == ("weighted", 0)
