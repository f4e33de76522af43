"""A word is one word, whatever type a file or a database holds it in and whatever blanks are around it."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.settings.postgres import PostgresSettings
from churn_store.batch.rows import sort_rows
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.text import plain
from churn_store.model.signature import Column, Signature
from tests.store.servers import Postgres

EVER = 2**62
DAY = datetime(2024, 1, 1)
TABLE = {
    "columns": {"customer_id": "id"},
    "label": {"column": "churn", "churned": "1", "stayed": "0"},
    "attributes": {"plan": {"column": "plan", "kind": "category", "nullable": True}},
}


def customers(folder: Path, **changed: Any) -> dict[str, Any]:
    files = {"path": "c*.*", "format": "parquet", **TABLE, **changed}
    settings = FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": files})
    return FilesSource(settings, folder).read("customers", 0, 0).rows.sort("customer_id").to_dict(as_series=False)


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ([1, 2], [1.0, None], ["1", "2", "1", None]),
        ([1, 2], [float("nan"), -0.0], ["1", "2", None, "0"]),
        ([1.5, 9.5], [1.5, 2e15], ["1.5", "9.5", "1.5", "2000000000000000"]),
        ([Decimal("1.00"), Decimal("2.50")], [1, 10], ["1", "2.5", "1", "10"]),
        (["1 ", " basic\t"], ["1", "basic"], ["1", "basic", "1", "basic"]),
    ],
)
def test_values_of_two_parquet_files_are_one_set_of_words(
    tmp_path: Path, one: list[Any], two: list[Any], words: list[str | None]
) -> None:
    pl.DataFrame({"id": [1, 2], "churn": [1, 0], "plan": one}).write_parquet(tmp_path / "c1.parquet")
    pl.DataFrame({"id": [3.0, 4.0], "churn": [1.0, 0.0], "plan": two}).write_parquet(tmp_path / "c2.parquet")
    assert customers(tmp_path) == {
        "customer_id": ["1", "2", "3", "4"],
        "plan": words,
        "churned": [True, False, True, False],
    }


def test_words_of_the_mapping_are_written_as_the_column_is(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1, 2], "churn": [1.0, 0.0], "plan": [1.0, 2.0]}).write_parquet(tmp_path / "c1.parquet")
    label = {"column": "churn", "churned": "1.0", "stayed": "0 "}
    found = customers(tmp_path, label=label, values={"plan": {"1.0": "basic", "2": "plus"}})
    assert (found["plan"], found["churned"]) == (["basic", "plus"], [True, False])


@pytest.mark.parametrize(("missing", "third"), [(["", "NA"], None), ([], "NA")])
def test_blanks_around_text_of_csv_are_no_part_of_it(tmp_path: Path, missing: list[str], third: str | None) -> None:
    (tmp_path / "c1.csv").write_text('id,churn,plan\na , 1,"basic "\n b,0 ,\tbasic\nc,1, NA \n')
    found = customers(tmp_path, format="csv", missing=missing)
    assert found == {"customer_id": ["a", "b", "c"], "plan": ["basic", "basic", third], "churned": [True, False, True]}


def test_blanks_around_ids_types_and_statuses_are_no_part_of_them(tmp_path: Path) -> None:
    ids = {"who": ["a", "a "], "when": [DAY, DAY]}
    pl.DataFrame({**ids, "id": ["x", " y"], "what": [" use", "use"]}).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame({**ids, "id": [1.0, 2.0], "amount": [1, 2], "status": ["failed ", "failed"]}).write_parquet(
        tmp_path / "p.parquet"
    )
    columns = {"customer_id": "who", "occurred": "when"}
    source = FilesSource(
        FilesSettings.model_validate(
            {
                "kind": "files",
                "start": "2024-01-01",
                "events": {
                    "path": "e.parquet",
                    "format": "parquet",
                    "columns": {**columns, "event_id": "id", "event_type": "what"},
                },
                "payments": {
                    "path": "p.parquet",
                    "format": "parquet",
                    "columns": {**columns, "payment_id": "id", "amount": "amount", "status": "status"},
                },
            }
        ),
        tmp_path,
    )
    events, payments = source.read("events", -EVER, EVER).rows, source.read("payments", -EVER, EVER).rows
    assert events.select("event_id", "customer_id", "event_type").rows() == [("x", "a", "use"), ("y", "a", "use")]
    assert payments.select("payment_id", "customer_id", "status").rows() == [("1", "a", "failed"), ("2", "a", "failed")]


def test_words_of_a_database_are_those_of_files(postgres_server: Postgres) -> None:
    url = postgres_server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE c AS SELECT * FROM (VALUES (1.00, '1 ', 1::float8), (2, ' 0', 'nan')) AS rows(id, churn, plan)"
        )
        connection.execute(
            "CREATE TABLE p AS SELECT * FROM (VALUES (1::float8, date '2024-01-01', 5)) AS rows(who, day, total)"
        )
        connection.execute("CREATE TABLE d AS SELECT 1.00 AS id, date '2024-01-01' AS day")
    whole = {"kind": "postgres", "url": url}
    table = PostgresSettings.model_validate({**whole, "shape": "table", "customers": {"table": "c", **TABLE}})
    rows = PostgresSource(table).read("customers", 0, 0).rows.sort("customer_id").to_dict(as_series=False)
    assert rows == {"customer_id": ["1", "2"], "plan": ["1", None], "churned": [True, False]}
    history = {
        "start": "2024-01-01",
        "customers": {"table": "d", "columns": {"customer_id": "id", "signed_up": "day"}},
        "payments": {"table": "p", "columns": {"customer_id": "who", "occurred": "day", "amount": "total"}},
    }
    source = PostgresSource(PostgresSettings.model_validate({**whole, **history}))
    assert source.read("payments", -EVER, EVER).rows["customer_id"].to_list() == ["1"]


def test_a_number_that_a_float_holds_only_about_stays_as_it_is_written() -> None:
    words = ["9007199254740993", "1e300", "inf", "1200.00", "120", "-0.50", "1.05", None]
    text = pl.Series("n", words).to_frame().select(plain(pl.col("n"), is_number=True)).to_series()
    assert text.to_list() == ["9007199254740993", "1e300", "inf", "1200", "120", "-0.5", "1.05", None]


def test_a_batch_knows_a_word_with_blanks_around_it() -> None:
    column = Column(name="plan", kind="category", categories=("basic",))
    found = sort_rows(pl.DataFrame({"plan": [" basic", "basic\t"]}), Signature((column,)), id_column=None)
    assert (found.rows["plan"].to_list(), found.unknown) == (["basic", "basic"], {})
