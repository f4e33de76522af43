"""The label column of data without time: who churned, who stayed, who is one of today's customers; and what is said where none of it fits."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import yaml

from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.open_source import open_source
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.settings.company import Settings
from churn_assets.settings.postgres import PostgresSettings
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Delivery
from tests.store.servers import Postgres

LABEL = {"column": "left", "churned": "Yes", "stayed": "No"}
NAN = float("nan")


def source(folder: Path, label: dict[str, Any], **changed: Any) -> FilesSource:
    files = {
        "path": "c*.*",
        "columns": {"customer_id": "id"},
        "label": label,
        "attributes": {"age": {"column": "age", "kind": "number"}},
        **changed,
    }
    return FilesSource(FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": files}), folder)


def delivered(folder: Path, words: list[str], label: dict[str, Any], **changed: Any) -> Delivery:
    """What a CSV gives whose label column holds some words."""
    lines = [f"{place},{place + 20},{word}" for place, word in enumerate(words)]
    (folder / "c.csv").write_text("\n".join(["id,age,left", *lines, ""]))
    return source(folder, label, **changed).read("customers", 0, 0)


@pytest.mark.parametrize(
    ("unknown", "words", "found"),
    [
        ("", ["Yes", "", "No", " "], [True, None, False, None]),
        ("", ["Yes", "NA", "No"], [True, None, False]),
        ("NA", ["Yes", "NA", "No"], [True, None, False]),
        ("?", ["Yes", "?", "No", " ? "], [True, None, False, None]),
        ("NULL", ["Yes", "NULL", "No"], [True, None, False]),
        (" ? ", ["Yes ", "?", "\tNo"], [True, None, False]),
        ("", ["Yes", "No"], [True, False]),
        ("", ["", ""], [None, None]),
    ],
)
def test_a_row_with_the_unknown_word_has_no_label(
    tmp_path: Path, unknown: str, words: list[str], found: list[bool | None]
) -> None:
    delivery = delivered(tmp_path, words, {**LABEL, "unknown": unknown})
    assert delivery.rows["churned"].to_list() == found
    assert delivery.unreadable.height == 0


def test_a_word_may_be_nothing_and_the_others_stay_words(tmp_path: Path) -> None:
    label = {"column": "left", "churned": "Yes", "stayed": "", "unknown": "today"}
    assert delivered(tmp_path, ["Yes", "", "today"], label).rows["churned"].to_list() == [True, False, None]


@pytest.mark.parametrize(
    ("values", "unknown", "found"),
    [
        ([1.0, 0.0, None], "", [True, False, None]),
        ([1.0, 0.0, NAN], "", [True, False, None]),
        ([1, 0, -1], "-1", [True, False, None]),
        ([1.0, 0.0, -1.0], "-1", [True, False, None]),
        ([True, False, None], "", [True, False, None]),
    ],
)
def test_numbers_of_parquet_are_those_words(
    tmp_path: Path, values: list[float | None], unknown: str, found: list[bool | None]
) -> None:
    pl.DataFrame({"id": [1, 2, 3], "age": [1, 2, 3], "left": values}).write_parquet(tmp_path / "c.parquet")
    label = {"column": "left", "churned": "1", "stayed": "0", "unknown": unknown}
    assert source(tmp_path, label, format="parquet").read("customers", 0, 0).rows["churned"].to_list() == found


def test_a_database_says_it_by_null(postgres_server: Postgres) -> None:
    url = postgres_server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE c AS SELECT * FROM (VALUES (1, true), (2, false), (3, null)) AS rows(id, gone)")
    label = {"column": "gone", "churned": "true", "stayed": "false", "unknown": ""}
    settings = {"kind": "postgres", "url": url, "shape": "table"}
    table = {"table": "c", "columns": {"customer_id": "id"}, "label": label}
    rows = PostgresSource(PostgresSettings.model_validate({**settings, "customers": table})).read("customers", 0, 0).rows
    assert sorted(rows.rows()) == [("1", True), ("2", False), ("3", None)]


ADVICE = re.compile(r"Write `(label: \{.*\})` under source\.customers")


@pytest.mark.parametrize(
    ("word", "who"), [("", "a row without a label"), ("open", "a row with 'open'"), ('5" - ?', "a row with '5\" - ?'")]
)
def test_without_unknown_such_rows_are_refused_and_the_advised_line_lets_them_in(
    tmp_path: Path, word: str, who: str
) -> None:
    written = f'"{word}"'.replace('5"', '5""')
    words = ["Yes", "No", written]
    with pytest.raises(InputError) as error:
        delivered(tmp_path, words, LABEL)
    said = str(error.value)
    assert f"column left holds {repr(word) if word else 'nothing'} (line 4); expected 'Yes' or 'No'; change `label`" in said
    assert f"If {who} is a customer of today, of whom nobody knows yet, say so by label.unknown" in said
    assert said.endswith("; 1 row is like that")
    advised = ADVICE.search(said)
    assert advised is not None
    label = yaml.safe_load(advised[1])["label"]
    assert delivered(tmp_path, words, label).rows["churned"].to_list() == [True, False, None]


@pytest.mark.parametrize(
    "words",
    [["ja", "nein"], ["Yes", "No", "open", ""], ["", ""], ["Yes", "anna@example.org"], ["Yes", "x" * 41]],
    ids=["other words for both", "two words", "nothing else", "an address", "a text"],
)
def test_no_line_is_advised_where_it_would_not_help(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        delivered(tmp_path, words, LABEL)
    assert "label.unknown" not in str(error.value)
    assert "anna" not in str(error.value)


def test_a_word_that_is_none_of_three_is_refused_with_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'maybe'.*; expected 'Yes', 'No' or nothing; change `label`"):
        delivered(tmp_path, ["Yes", "No", "", "maybe"], {**LABEL, "unknown": ""})


def test_a_few_rows_without_a_label_are_set_aside_as_ever_where_nothing_is_said_of_them(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, ["Yes", "No"] * 60 + [""], LABEL)
    assert (delivery.rows.height, delivery.rows["churned"].null_count()) == (120, 0)
    assert delivery.unreadable.select("rule", "column", "value").rows() == [("'Yes' or 'No'", "left", None)]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"churned": "a", "stayed": "a "}, "`churned` and `stayed` are both 'a'; expected two words"),
        ({"unknown": "Yes"}, "`unknown` and `churned` are both 'Yes'; expected a word of its own"),
        ({"unknown": " No "}, "`unknown` and `stayed` are both ' No '; expected a word of its own"),
    ],
)
def test_words_that_are_one_word_are_refused_when_the_settings_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: dict[str, str], said: str
) -> None:
    customers = {"path": "c.csv", "columns": {"customer_id": "id"}, "label": {**LABEL, **label}}
    configuration = {"source": {"kind": "files", "shape": "table", "customers": customers}}
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(configuration))
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    with pytest.raises(InputError) as error:
        Settings.load()
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("label", "missing", "said"),
    [
        (
            {"unknown": "NA", "stayed": ""},
            ["", "NA"],
            "names 'Yes', nothing or 'NA', of which two are one word in column left",
        ),
        ({"churned": "NULL", "unknown": ""}, ["", "NULL"], "names 'NULL', 'No' or nothing, of which two are one word"),
    ],
)
def test_words_that_are_one_word_in_this_file_are_refused_when_it_is_read(
    tmp_path: Path, label: dict[str, str], missing: list[str], said: str
) -> None:
    with pytest.raises(InputError) as error:
        delivered(tmp_path, ["Yes", "No"], {**LABEL, **label}, missing=missing)
    assert said in str(error.value)


@pytest.mark.parametrize("label", [{"unknown": ""}, {"column": "left", "churned": "Yes"}])
def test_the_label_of_a_history_has_no_column_and_the_message_says_where_one_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: dict[str, str]
) -> None:
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"source": {"kind": "synthetic"}, "label": label}))
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    with pytest.raises(InputError) as error:
        Settings.load()
    assert "describes the label column of data without time" in str(error.value)
    assert "Write it under `source.customers.label`, with `shape: table`" in str(error.value)


def test_the_example_of_the_documentation_is_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text(encoding="utf-8")
    table, described = re.findall(r"```(?:yaml)?\n(CustomerId.*?|company: bank.*?)```", text, flags=re.DOTALL)
    (tmp_path / "customers.csv").write_text(table)
    (tmp_path / "churn.yaml").write_text(described)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    rows = open_source(Settings.load()).read("customers", 0, 0).rows
    assert rows["churned"].to_list() == [False, True, None]
