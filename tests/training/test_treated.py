"""Rows of treated customers: left out, weighed for, or said to be unknown; nothing where nobody was treated."""

import polars as pl
import pytest

from churn_assets.tables import JUDGE, SELECT, TRAIN, WEIGHT
from churn_assets.training.treated import as_weighed, is_unknown, without_treated
from churn_assets.treatments.records import COLUMNS
from churn_store.clock import DAY_S

HORIZON_S = 30 * DAY_S
FIRST, SECOND, THIRD = (day * DAY_S for day in (20_000, 20_040, 20_080))
IDS = pl.Series([f"c{number}" for number in range(10)])
ROWS = pl.concat(
    pl.DataFrame({"customer_id": IDS, "snapshot_s": [second] * 10, "visits": range(10), "churned": [True, False] * 5, "role": [role] * 10})
    for second, role in ((FIRST, TRAIN), (SECOND, SELECT), (THIRD, JUDGE))
)  # fmt: skip


def campaign(second: int, e: float | None = 0.75) -> pl.DataFrame:
    """Customers c0 to c2 are treated and c3 is held out, a day after a snapshot."""
    rows = [(f"c{number}", second + DAY_S, number < 3, e) for number in range(4)]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def test_a_training_set_without_treatments_is_the_same_object() -> None:
    treatments = campaign(THIRD + 60 * DAY_S)
    found = without_treated(ROWS, treatments, horizon_s=HORIZON_S, everyone=IDS)
    assert found.rows is ROWS
    assert found.metadata == {}
    assert as_weighed(ROWS) is ROWS
    assert not is_unknown(ROWS)


@pytest.mark.parametrize("second", [FIRST, SECOND, THIRD])
def test_treated_rows_are_left_out_of_each_role_and_who_was_held_out_stands_for_them(second: int) -> None:
    found = without_treated(ROWS, campaign(second), horizon_s=HORIZON_S, everyone=IDS)
    there = found.rows.filter(pl.col("snapshot_s") == second)
    assert there["customer_id"].to_list() == [f"c{number}" for number in range(3, 10)]
    assert there[WEIGHT].to_list() == [4, 1, 1, 1, 1, 1, 1]
    assert found.rows.filter(pl.col("snapshot_s") != second)[WEIGHT].to_list() == [1] * 20
    assert found.metadata["treated_left_out"] == 3
    assert found.metadata["treated"] == (
        "left out and weighted: 3 rows of treated customers in 1 of 3 snapshots, for which 1 rows held out stand"
    )
    weighed = as_weighed(found.rows)
    assert weighed.filter(pl.col("snapshot_s") == second)["customer_id"].value_counts(sort=True).row(0) == ("c3", 4)
    assert (weighed.height, weighed.columns) == (30, ROWS.columns)


def test_a_weight_between_two_whole_numbers_is_right_on_average_and_the_same_each_time() -> None:
    rows = pl.DataFrame({"customer_id": [f"c{number}" for number in range(4_000)], "snapshot_s": FIRST, WEIGHT: 2.4})
    weighed = as_weighed(rows)
    assert weighed.height / rows.height == pytest.approx(2.4, abs=0.03)
    assert weighed.equals(as_weighed(rows))
    assert set(weighed["customer_id"].value_counts()["count"]) == {2, 3}


def test_where_the_weights_are_unknown_training_leaves_the_treated_out_and_judging_says_so() -> None:
    trained = without_treated(ROWS, campaign(FIRST, None), horizon_s=HORIZON_S, everyone=IDS)
    assert trained.rows.filter(pl.col("role") == TRAIN).select("customer_id", WEIGHT).rows() == [
        (f"c{number}", 1) for number in range(3, 10)
    ]
    assert not is_unknown(trained.rows)
    assert trained.metadata["treated"].startswith("in part the labels of 2024-10-04 can't be weighted, as the propensity")
    judged = without_treated(ROWS, campaign(THIRD, None), horizon_s=HORIZON_S, everyone=IDS)
    assert judged.rows.filter(pl.col("role") == JUDGE)["customer_id"].to_list() == IDS.to_list()
    assert is_unknown(judged.rows)
    assert judged.metadata["treated"].startswith("unknown: the labels of 2024-12-23 can't be weighted")
    assert judged.metadata["judge_effective_rows"] is None
    assert as_weighed(judged.rows).equals(ROWS)


def test_treatments_that_could_not_be_read_make_the_labels_unknown() -> None:
    found = without_treated(ROWS, campaign(THIRD), horizon_s=HORIZON_S, everyone=IDS, set_aside=1)
    assert is_unknown(found.rows)
    assert "1 treatments could not be read and are in quarantine" in found.metadata["treated"]
