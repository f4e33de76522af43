"""Contracts go red for a broken frame, naming column, value and number of rows; a good frame is green."""

import pandera.polars as pa
import polars as pl
import pytest

from churn_assets.contracts import KINDS, contract, violations
from churn_assets.features.contracts import features_contract, labels_contract, plausible_label_rate, someone_at_risk
from churn_assets.features.feature_sets import features_of
from churn_assets.raw.contracts import raw_contract
from churn_assets.scoring.contracts import scores_contract
from churn_assets.training.contracts import training_contract
from churn_store.batch.reasons import REASON_COLUMNS
from churn_store.mapping.tables import EARLIEST_S, SCHEMAS, Table
from churn_store.model.signature import Column

THEN = 1_700_000_000
ATTRIBUTES = (
    Column(name="seats", kind="number", low=0, high=120, nullable=True),
    Column(name="plan", kind="category"),
)
GOOD: dict[Table, pl.DataFrame] = {
    "customers": pl.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "occurred_s": [THEN] * 3,
            "known_s": [THEN] * 3,
            "signed_up_s": [THEN] * 3,
            "seats": [41.5, None, 120.0],
            "plan": ["pro", "free", ""],
        }
    ),
    "events": pl.DataFrame(
        {
            "event_id": ["1", "2", "3"],
            "customer_id": ["a", "a", "b"],
            "event_type": ["session"] * 3,
            "occurred_s": [THEN] * 3,
            "known_s": [THEN] * 3,
        }
    ),
    "payments": pl.DataFrame(
        {
            "payment_id": ["1", "2", "3"],
            "customer_id": ["a", "a", "b"],
            "amount_cents": [0, 1177, 99],
            "status": ["settled", "failed", "refunded"],
            "due_s": [THEN, None, None],
            "list_cents": [1177, None, 99],
            "occurred_s": [THEN] * 3,
            "known_s": [THEN] * 3,
        },
        schema_overrides={"due_s": pl.Int64, "list_cents": pl.Int64},
    ),
}
TABLES: tuple[Table, ...] = ("customers", "events", "payments")
NAN = float("nan")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("rows", [3, 1, 0])
def test_a_good_table_keeps_its_contract_also_when_it_is_empty(table: Table, rows: int) -> None:
    assert violations(raw_contract(table, ATTRIBUTES), GOOD[table].head(rows)) == []


@pytest.mark.parametrize(
    ("table", "broken", "kind", "said"),
    [
        ("events", pl.col("event_type").head(0), "schema", None),
        ("payments", pl.lit(None, pl.Int64).alias("amount_cents"), "nulls", ["amount_cents", "3 rows"]),
        ("events", pl.lit(None, pl.String).alias("customer_id"), "nulls", ["customer_id", "3 rows"]),
        ("customers", pl.lit(None, pl.String).alias("plan"), "nulls", ["plan", "3 rows"]),
        ("customers", pl.Series("seats", [41.0, -1.0, 121.0]), "ranges", ["seats", "-1.0"]),
        ("customers", pl.Series("seats", [41.0, NAN, NAN]), "ranges", ["seats", "2 rows", "nan"]),
        ("customers", pl.Series("seats", [41.0, float("inf"), 1.0]), "ranges", ["seats", "1 rows", "inf"]),
        ("payments", pl.Series("amount_cents", [1, -5, -7]), "ranges", ["amount_cents", "2 rows", "-5, -7"]),
        ("payments", pl.Series("amount_cents", [1, 2, 10**12]), "ranges", ["amount_cents", "1 rows", str(10**12)]),
        ("payments", pl.Series("status", ["settled", "paid", "paid"]), "ranges", ["status", "2 rows", "paid"]),
        ("events", pl.Series("event_id", ["1", "", "x" * 300]), "ranges", ["event_id", "2 rows"]),
        ("events", pl.Series("occurred_s", [THEN, EARLIEST_S - 1, THEN]), "ranges", ["occurred_s", str(EARLIEST_S - 1)]),
        ("events", pl.Series("event_id", ["1", "7", "7"]), "unique_keys", ["one row a event_id", "2 rows", "7"]),
        (
            "customers",
            pl.Series("customer_id", ["a", "a", "b"]),
            "unique_keys",
            ["one row a customer_id, occurred_s", "2 rows"],
        ),
        ("payments", pl.col("amount_cents").cast(pl.Float64), "schema", ["amount_cents of type Int64", "Float64"]),
        ("payments", pl.lit(1).alias("tip"), "schema", ["no columns but payment_id", "tip"]),
    ],
)
def test_a_broken_table_names_column_value_and_number_of_rows(
    table: Table, broken: pl.Expr | pl.Series, kind: str, said: list[str] | None
) -> None:
    frame = GOOD[table].drop("event_type") if said is None else GOOD[table].with_columns(broken)
    found = violations(raw_contract(table, ATTRIBUTES), frame)
    assert {violation.kind for violation in found} == {kind}
    for words in said or ["event_type", "no such column"]:
        assert words in "; ".join(map(str, found))


def test_all_that_is_wrong_is_found_at_once() -> None:
    frame = GOOD["payments"].with_columns(
        pl.Series("payment_id", ["1", "1", "2"]),
        pl.Series("amount_cents", [None, -1, 5], dtype=pl.Int64),
        pl.Series("status", ["settled", "?", "settled"]),
    )
    found = violations(raw_contract("payments", ()), frame)
    assert sorted(violation.kind for violation in found) == ["nulls", "ranges", "ranges", "unique_keys"]
    assert {violation.kind for violation in found} <= set(KINDS)


def test_a_number_that_a_32_bit_float_can_not_hold_is_out_of_range() -> None:
    schema = contract({"id": pl.String, "x": pl.Float64}, key=["id"], nullable=["x"])
    assert violations(schema, pl.DataFrame({"id": ["a", "b"], "x": [3.4e38, None]})) == []
    [broken] = violations(schema, pl.DataFrame({"id": ["a", "b"], "x": [3.5e38, None]}))
    assert (broken.kind, broken.rows) == ("ranges", 1)


def test_only_so_many_values_are_shown_of_many() -> None:
    schema = contract({"id": pl.Int64, "x": pl.Int64}, key=["id"], checks={"x": [pa.Check.ge(0)]})
    [broken] = violations(schema, pl.DataFrame({"id": range(10_000), "x": [-1] * 10_000}))
    assert (broken.rows, len(broken.values)) == (10_000, 5)


def test_the_contracts_of_later_tables_go_red_too() -> None:
    features = features_of(["customers"], ATTRIBUTES, has_time=True)
    row = {feature.name: 1.0 if feature.kind == "number" else "pro" for feature in features}
    rows = pl.DataFrame([{"customer_id": "a", "snapshot_s": THEN, **row}])
    known = features_contract(features, has_time=True)
    assert violations(known, rows) == []
    assert [v.kind for v in violations(known, rows.with_columns(is_pro_plan=2.0))] == ["ranges"]
    assert [v.kind for v in violations(known, pl.concat([rows, rows]))] == ["unique_keys"]
    trained = rows.with_columns(churned=True, role=pl.lit("tune"))
    assert "tune" in str(violations(training_contract(features, has_time=True), trained)[0])
    scored = pl.DataFrame(
        {"customer_id": ["a"], "probability": [NAN], "churn": [True], "release": ["0" * 64], "in_sample": [True]}
    ).with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in REASON_COLUMNS.items())
    assert [v.kind for v in violations(scores_contract(has_time=False), scored)] == ["ranges"]
    labels = pl.DataFrame({"customer_id": ["a", "b"], "churned": [None, True]})
    assert [v.kind for v in violations(labels_contract(has_time=False), labels)] == ["nulls"]


@pytest.mark.parametrize(("churners", "passed"), [(0, False), (1, True), (50, True), (96, False), (100, False)])
def test_a_share_of_churn_near_none_or_all_is_not_plausible(churners: int, passed: bool) -> None:
    labels = pl.DataFrame({"churned": [i < churners for i in range(100)]})
    assert plausible_label_rate(labels).passed is passed


def test_a_snapshot_without_anybody_is_refused() -> None:
    assert not someone_at_risk(pl.DataFrame({"customer_id": []})).passed
    assert not plausible_label_rate(pl.DataFrame({"churned": []}, schema={"churned": pl.Boolean})).passed


def test_every_canonical_column_is_in_its_contract() -> None:
    for table in TABLES:
        assert set(raw_contract(table, ()).columns) == set(SCHEMAS[table])


def test_what_is_said_of_a_broken_table_names_no_customer() -> None:
    broken = GOOD["customers"].with_columns(
        pl.lit("ann@example.com").alias("customer_id"), pl.lit(-(2**40)).alias("known_s")
    )
    said = "; ".join(map(str, violations(raw_contract("customers", ATTRIBUTES), pl.concat([broken, broken]))))
    assert "one row a customer_id" in said
    assert "known_s" in said
    assert "ann@example.com" not in said
