"""The catalogue: every name once, every aggregate one meaning, and only features that a company's tables allow."""

from collections import defaultdict

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from churn_assets.features.catalogue import CATALOGUE, features_of, longest_window_days
from churn_assets.features.snapshot import features_at, features_of_table
from churn_assets.periods import DAY_S
from churn_assets.raw.source import RESERVED, Table
from churn_assets.settings import AtRisk
from churn_store.errors import InputError
from churn_store.signature import Column
from tests.features.company import ATTRIBUTES, TABLES, T, customer_rows, event_rows, payment_rows


def test_names_are_unique_and_none_is_a_column_of_the_tables() -> None:
    names = [feature.name for feature in CATALOGUE]
    assert len(names) == len(set(names))
    assert not set(names) & RESERVED
    aggregates = {name for feature in CATALOGUE for name in feature.aggregates}
    assert not aggregates & (RESERVED | {"plan"})


def test_every_feature_is_described() -> None:
    for feature in CATALOGUE:
        assert feature.description
        assert feature.unit
        assert feature.low == 0
        assert (feature.window_days is None) == (feature.table == "customers")


def test_an_aggregate_name_means_the_same_wherever_it_is_used() -> None:
    generator = np.random.default_rng(5)
    count = 4_000
    rows = pl.DataFrame(
        {
            "customer_id": generator.choice([f"c{i}" for i in range(40)], count),
            "age_s": generator.integers(1, 200 * DAY_S, count),
            "event_type": generator.choice(["session", "support_ticket", "feature_used", "export"], count),
            "status": generator.choice(["settled", "failed", "refunded"], count),
            "amount_cents": generator.integers(0, 10_000, count),
        }
    )
    meanings: dict[str, set[tuple[str, tuple[object, ...]]]] = defaultdict(set)
    for feature in CATALOGUE:
        for name, expr in feature.aggregates.items():
            values = nw.from_native(rows).group_by("customer_id").agg(expr.alias("value")).sort("customer_id")
            meanings[name].add((feature.table, tuple(values["value"].to_list())))
    assert {name for name, found in meanings.items() if len(found) > 1} == set()
    evaluated = {next(iter(found))[1] for found in meanings.values()}
    assert len(evaluated) == len(meanings), "two names for one aggregate"


def test_numbers_come_before_categories_in_a_fixed_order() -> None:
    features = features_of(TABLES, ATTRIBUTES, has_time=True)
    kinds = [feature.kind for feature in features]
    assert kinds == sorted(kinds, reverse=True)
    assert [f.name for f in features] == [f.name for f in features_of(TABLES, ATTRIBUTES, has_time=True)]


@pytest.mark.parametrize(
    ("tables", "has_time", "expected_tables"),
    [
        (TABLES, True, {"customers", "events", "payments"}),
        (("customers", "payments"), True, {"customers", "payments"}),
        (("customers",), False, {"customers"}),
    ],
)
def test_only_features_of_tables_that_are_there_exist(
    tables: tuple[Table, ...], has_time: bool, expected_tables: set[str]
) -> None:
    features = features_of(tables, ATTRIBUTES, has_time=has_time)
    assert {feature.table for feature in features} == expected_tables
    if not has_time:
        assert [feature.name for feature in features] == ["seats", "plan"]


def test_features_of_a_plan_exist_only_where_there_is_one() -> None:
    with_plan = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True)}
    without = {feature.name for feature in features_of(TABLES, (), has_time=True)}
    assert with_plan - without == {"is_pro_plan", "is_paid_plan", "plan", "seats"}


def test_an_attribute_takes_the_place_of_a_feature_of_its_name() -> None:
    own = Column(name="days_since_signup", kind="number", low=0)
    [feature] = [f for f in features_of(TABLES, (own,), has_time=True) if f.name == "days_since_signup"]
    assert feature.description == own.description


def test_what_is_excluded_is_no_feature() -> None:
    excluded = ("plan", "sessions_30d")
    names = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True, exclude=excluded)}
    everything = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True)}
    assert everything - names == set(excluded)


@pytest.mark.parametrize(
    ("attributes", "exclude", "said"),
    [
        (
            ATTRIBUTES,
            ("gender",),
            "features.exclude names gender, which is no feature here; expected some of avg_sessions_7d",
        ),
        (ATTRIBUTES, ("plan", "seats"), "no feature is left for a model"),
        ((), (), "no feature is left for a model; add `attributes` to source.customers"),
    ],
)
def test_a_choice_of_features_that_can_not_be_is_refused_in_one_line(
    attributes: tuple[Column, ...], exclude: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError) as error:
        features_of(
            ("customers",) if said.startswith("no") else TABLES, attributes, has_time=said[0] == "f", exclude=exclude
        )
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_attribute_with_the_name_of_an_aggregate_is_refused() -> None:
    own = Column(name="events_in_30d", kind="number")
    with pytest.raises(InputError, match="events_in_30d, a name that the catalogue of features uses"):
        features_of(TABLES, (own,), has_time=True)


def test_the_longest_window_is_that_of_the_features_in_use() -> None:
    features = features_of(TABLES, ATTRIBUTES, has_time=True)
    assert longest_window_days(features, "payments") == 180
    assert longest_window_days([f for f in features if f.window_days != 180], "payments") == 90
    assert longest_window_days([], "events") == 0


def test_a_customer_without_rows_has_zeros_and_nothing_where_never_is_an_answer() -> None:
    company = {
        "customers": customer_rows([("c", 300 * DAY_S, 0, 300 * DAY_S, "team", 1.0)]),
        "events": event_rows([]),
        "payments": payment_rows([("c", "settled", 100, 59 * DAY_S, 0)]),
    }
    features = features_of(TABLES, ATTRIBUTES, has_time=True)
    row = features_at({name: frame.lazy() for name, frame in company.items()}, features, T, AtRisk()).row(0, named=True)  # type: ignore[misc]
    of_events = [feature for feature in features if feature.table == "events"]
    assert {row[f.name] for f in of_events if f.nullable} == {None}
    assert {row[f.name] for f in of_events if not f.nullable} == {0.0}
    assert (row["days_since_last_payment"], row["is_pro_plan"], row["is_paid_plan"]) == (59.0, 0.0, 1.0)


def test_data_without_time_keeps_its_attributes_as_they_are() -> None:
    customers = pl.DataFrame(
        {"customer_id": ["b", "a"], "plan": [None, "pro"], "seats": [2.5, None], "churned": [True, False]}
    )
    frame = features_of_table(customers, features_of(("customers",), ATTRIBUTES, has_time=False))
    assert frame.columns == ["customer_id", "seats", "plan"]
    assert frame.rows() == [("a", None, "pro"), ("b", 2.5, None)]
