"""Rows of data without time that are equal in all that a model sees: on one side of every split, counted, and told."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from churn_assets.backtest.origins import stratified
from churn_assets.evaluation.intervals import mean_interval
from churn_assets.lake.lake import Lake
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.equal_rows import copy_representatives, equal_rows, merge_copies, too_many_to_be_copies
from churn_assets.training.split import hold_out_draw, roles_by_customer, roles_by_id, split_in_words
from churn_assets.training.training_set import rows_by_customer
from churn_assets.training.tuning import folds
from churn_store.errors import InputError
from tests.evaluation.rows import right_scores

RULE = Training()
SEEN = ["calls", "plan", "spend"]
CUSTOMERS = 3_150
COPIES = 300
"""As many as the file of the Iranian telecom has, of as many customers."""


def telecom() -> pl.DataFrame:
    """Customers with 300 copies under ids of their own, some of them of one customer; labels follow the calls."""
    random = np.random.default_rng(3)
    count = CUSTOMERS - COPIES
    calls, spend = random.integers(0, 60, count), random.random(count).round(6) * 100
    rows = pl.DataFrame(
        {
            "calls": calls.astype(float),
            "plan": random.choice(["basic", "pro"], count).astype(str),
            "spend": pl.Series(np.where(random.random(count) < 0.1, np.nan, spend)).fill_nan(None),
            "churned": random.random(count) < 1 / (1 + np.exp(calls / 10 - 1)),
        }
    )
    rows = pl.concat([rows, rows.sample(COPIES, seed=1, with_replacement=True)])
    names = pl.Series("customer_id", [f"c{number}" for number in random.permutation(CUSTOMERS)])
    return rows.select(names, *SEEN, "churned").sort("customer_id")


def sides(rows: pl.DataFrame) -> int:
    """How many groups of equal rows are on more than one side."""
    return rows.group_by(SEEN).agg(pl.col("role").n_unique()).filter(pl.col("role") > 1).height


def test_by_the_id_alone_copies_straddle_the_split_and_now_they_do_not() -> None:
    rows = telecom()
    own = roles_by_id(rows["customer_id"], RULE)
    assert sides(rows.with_columns(role=own)) > 50
    roles = roles_by_customer(rows, RULE)
    assert sides(rows.with_columns(role=roles)) == 0
    found = equal_rows(rows, by_id=own, roles=roles)
    assert found.moved == (own != roles).sum() > 50
    assert found.rows == rows.filter(pl.struct(SEEN).is_duplicated()).height > COPIES
    assert str(found) == (
        f"{found.rows} rows equal another one in everything that a model sees; {found.moved} of them would be on the other side of "
        "the split and are kept beside their equals"
    )


def test_who_has_no_copy_keeps_the_role_and_the_shares_stay() -> None:
    rows = telecom()
    split = rows.with_columns(role=roles_by_customer(rows, RULE), own=roles_by_id(rows["customer_id"], RULE))
    single = split.filter(~pl.struct(SEEN).is_duplicated())
    assert single["role"].equals(single["own"].rename("role"))
    shares = {role: part.height / split.height for (role,), part in split.group_by("role")}
    assert shares == pytest.approx({TRAIN: 0.55, SELECT: 0.15, JUDGE: 0.3}, abs=0.03)


def test_the_order_of_rows_and_their_labels_and_roles_decide_nothing() -> None:
    rows = telecom()
    split = rows.select("customer_id", role=roles_by_customer(rows, RULE))
    other = rows.reverse().with_columns(churned=~pl.col("churned"), role=pl.lit("any"))
    again = other.select("customer_id", role=roles_by_customer(other, RULE))
    assert again.sort("customer_id").equals(split)


def test_equal_are_rows_in_what_a_model_sees_and_missing_equals_missing() -> None:
    rows = pl.DataFrame(
        {
            "customer_id": ["d", "a", "c", "b", "e"],
            "calls": [1.0, 1.0, 2.0, 1.0, 2.5],
            "plan": [None, None, "pro", None, "pro"],
            "unused": [1, 2, 3, 1, 4],
            "churned": [True, False, True, True, True],
        }
    )
    assert copy_representatives(rows, ["calls", "plan"]).to_list() == ["a", "a", "c", "a", "e"]
    assert copy_representatives(rows, ["calls", "plan", "unused"]).to_list() == ["b", "a", "c", "b", "e"]
    assert copy_representatives(rows).to_list() == ["b", "a", "c", "b", "e"]


def test_a_row_that_stands_three_times_makes_no_interval_narrower() -> None:
    churned, scores = right_scores(300, seed=6)
    thrice = np.repeat(np.arange(300), np.where(np.arange(300) % 3 == 0, 3, 1))
    table = pl.DataFrame({"customer_id": [f"{row:03d}" for row in range(len(thrice))], "seen": scores[thrice]})

    def width(rows: pl.DataFrame) -> float:
        values = churned[thrice].astype(np.float64)
        found = mean_interval(values, rows["customer_id"], confidence=0.95)
        return found.high - found.low

    assert merge_copies(table)["customer_id"].n_unique() == 300
    assert width(merge_copies(table)) > 1.2 * width(table)
    history = table.with_columns(snapshot_s=0)
    assert merge_copies(history).equals(history)


def test_attributes_that_tell_few_customers_apart_make_no_copies() -> None:
    few = telecom().with_columns(spend=pl.lit(1.0))
    assert too_many_to_be_copies(few, SEEN)
    roles, own = roles_by_customer(few, RULE), roles_by_id(few["customer_id"], RULE)
    assert roles.equals(own)
    found = equal_rows(few, by_id=own, roles=roles)
    assert (found.moved, found.too_many) == (0, True)
    assert str(found).endswith("these are too many to be copies, so that each counts as a customer of its own")


def test_without_equal_rows_nothing_is_told_and_the_words_of_the_split_are_the_older_ones() -> None:
    rows = telecom().unique(SEEN, maintain_order=True)
    roles = roles_by_customer(rows, RULE)
    assert str(equal_rows(rows, by_id=roles_by_id(rows["customer_id"], RULE), roles=roles)) == ""
    assert split_in_words(rows.with_columns(role=roles), RULE) == "by customer: seed 42, held out 0.3"


def test_the_words_of_a_split_say_that_rows_moved_and_one_by_the_older_rule_is_refused() -> None:
    rows = telecom()
    said = split_in_words(rows.with_columns(role=roles_by_customer(rows, RULE)), RULE)
    assert said == "by customer, equal rows together: seed 42, held out 0.3"
    assert (
        hold_out_draw(said)
        == hold_out_draw("by customer: seed 42, held out 0.3")
        != hold_out_draw("by customer: seed 7, held out 0.3")
    )
    with pytest.raises(InputError, match="materialize training_set first"):
        split_in_words(rows.with_columns(role=roles_by_id(rows["customer_id"], RULE)), RULE)


def test_the_folds_of_the_search_and_of_the_backtest_keep_copies_together_too() -> None:
    rows = telecom()
    for earlier, later in folds(rows, horizon_s=None, seed=42):
        assert earlier.join(later, on=SEEN, how="semi", nulls_equal=True).height == 0
    alone = stratified(rows, 5, seed=42)
    fold = stratified(rows, 5, seed=42, copies=copy_representatives(rows))
    for numbers, straddling in ((alone, True), (fold, False)):
        several = rows.with_columns(fold=numbers).group_by(SEEN).agg(pl.col("fold").n_unique()).filter(pl.col("fold") > 1)
        assert (several.height > 0) is straddling
    rates = [rows.filter(fold == number)["churned"].mean() for number in range(5)]
    assert rates == pytest.approx([rows["churned"].mean()] * 5, abs=0.03)
    single = ~rows.select(pl.struct(SEEN).is_duplicated()).to_series()
    assert fold.filter(single).equals(alone.filter(single))


def test_of_a_history_everybody_is_kept_with_nobody_else() -> None:
    rows = telecom().with_columns(snapshot_s=pl.lit(0))
    assert copy_representatives(rows).equals(rows["customer_id"])


def test_the_training_set_of_a_lake_is_split_by_the_features_in_use(tmp_path: Path) -> None:
    """Two customers who differ only in what no model sees are equal to it."""
    lake, rows = Lake(str(tmp_path)), telecom().with_row_index("unused")
    lake.replace(
        "customer_features", {"all": rows.select("customer_id", *SEEN, pl.col("unused").cast(pl.Float64))}, run_id="r"
    )
    lake.replace("churn_labels", {"all": rows.select("customer_id", "churned")}, run_id="r")
    versions = {"customer_features": 0, "churn_labels": 0}
    assert sides(rows_by_customer(lake, versions, RULE)) > 50
    assert sides(rows_by_customer(lake, versions, RULE, inputs=SEEN)) == 0
