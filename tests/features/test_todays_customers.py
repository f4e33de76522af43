"""Data without time: who is at risk, and whose features are scored, served and watched."""

from pathlib import Path

import polars as pl
import pytest

from churn_assets.features.todays_customers import at_risk, features_at_risk, features_of_today
from churn_assets.lake.lake import Lake

LEFT, STAYED, TODAY = True, False, None


def customers(labels: list[bool | None]) -> pl.DataFrame:
    churned = pl.Series("churned", labels, dtype=pl.Boolean)
    return pl.DataFrame({"customer_id": [f"c{place}" for place in range(len(labels))]}).with_columns(churned)


@pytest.mark.parametrize(
    ("labels", "risky"),
    [
        ([LEFT, STAYED, TODAY, TODAY], ["c2", "c3"]),
        ([LEFT, STAYED, STAYED], ["c1", "c2"]),
        ([TODAY], ["c0"]),
        ([LEFT, LEFT], []),
        ([], []),
    ],
)
def test_those_without_a_label_are_at_risk_or_those_who_stayed_where_all_have_one(
    labels: list[bool | None], risky: list[str]
) -> None:
    assert at_risk(customers(labels))["customer_id"].to_list() == risky


def lake_of(folder: Path, labels: list[bool | None]) -> Lake:
    """A lake whose features were made from these customers; later ones have arrived since, all of whom left."""
    lake, rows = Lake(str(folder)), customers(labels)
    made_from = lake.replace("customers", {"all": rows}, run_id="test").version
    features = rows.select("customer_id", visits=pl.int_range(pl.len()).cast(pl.Float64))
    lake.replace("customer_features", {"all": features}, run_id="test", sources={"customers": made_from})
    lake.replace("customers", {"all": rows.with_columns(churned=True)}, run_id="test")
    return lake


def test_the_features_and_the_labels_are_those_of_the_same_customers(tmp_path: Path) -> None:
    rows = features_at_risk(lake_of(tmp_path, [LEFT, STAYED, TODAY]), "all", version=0, has_time=False)
    assert rows.rows() == [("c2", 2.0)]


def test_a_lake_that_does_not_say_what_its_features_were_made_from_is_read_by_the_newest_labels(tmp_path: Path) -> None:
    lake, rows = Lake(str(tmp_path)), customers([LEFT, STAYED])
    lake.replace("customers", {"all": customers([TODAY, TODAY])}, run_id="test")
    lake.replace("customers", {"all": rows}, run_id="test")
    lake.replace("customer_features", {"all": rows.select("customer_id")}, run_id="test")
    assert features_at_risk(lake, "all", version=0, has_time=False).rows() == [("c1",)]


@pytest.mark.parametrize(("labels", "watched"), [([LEFT, STAYED, TODAY], ["c2"]), ([LEFT, STAYED], ["c0", "c1"])])
def test_drift_is_watched_on_todays_customers_or_on_all_where_everybody_has_a_label(
    tmp_path: Path, labels: list[bool | None], watched: list[str]
) -> None:
    assert features_of_today(lake_of(tmp_path, labels), version=0)["customer_id"].to_list() == watched
