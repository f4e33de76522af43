"""Words of a company's tables in ``churn.yaml``: text without quotes stays the text that was written."""

import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import available_timezones

import polars as pl
import pytest
import yaml

from churn_assets.settings.company import Settings
from churn_store.errors import InputError
from churn_store.mapping.settings import NOT_A_PLACE, MappedTable
from churn_store.yaml_words import load

TABLE = """
source:
  kind: files
  shape: table
  customers:
    path: bank.csv
    columns: {{customer_id: id}}
    {more}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    yield tmp_path / "churn.yaml"
    assert os.environ["CHURN_CONFIG"] == str(tmp_path / "churn.yaml")


def read(file: Path, more: str) -> Settings:
    file.write_text(TABLE.format(more=more), encoding="utf-8")
    return Settings.load()


@pytest.mark.parametrize(
    ("churned", "stayed"),
    [("Yes", "No"), ("1", "0"), ("true", "false"), ("TRUE", "off"), ("1.0", "0.0"), ("2024-01-01", "~")],
)
def test_words_of_the_label_need_no_quotes(file: Path, churned: str, stayed: str) -> None:
    table = read(file, f"label: {{column: left, churned: {churned}, stayed: {stayed}}}").source.described("customers")
    assert table is not None
    label = table.label
    assert label is not None
    assert (label.churned, label.stayed) == (churned, stayed)


def test_words_and_their_translations_need_no_quotes(file: Path) -> None:
    more = """label: {column: left}
    attributes: {plan: {column: plan, kind: category}}
    values: {plan: {No: none, 1: Yes, NULL: 2, 007: 7}}
    missing: [NaN, ~, 'NA', ]"""
    table = read(file, more).source.described("customers")
    assert table is not None
    assert table.values == {"plan": {"No": "none", "1": "Yes", "NULL": "2", "007": "7"}}
    assert table.missing == ("NaN", "~", "NA")  # type: ignore[attr-defined]


def test_what_is_no_word_stays_what_yaml_says(file: Path) -> None:
    settings = read(file, "label: {column: left}\ntraining: {trials: 3}\nat_risk: {cancelled_event: null}")
    assert settings.training.trials == 3
    assert settings.at_risk.cancelled_event is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            TABLE.format(more="label: {column: left}\n    separator: ab"),
            r"churn.yaml: source.customers.separator: .*\(found 'ab'\)",
        ),
        (TABLE.format(more="label: {churned: 1}"), "source.customers.label.column is missing, .*; write it into the file"),
        (
            TABLE.format(more="label: {column: left}").replace("path: bank.csv", ""),
            "source.customers.path is missing, a file or a",
        ),
        ("training: {families: [forest]}", "training.families.0: Input should be 'logistic_regression'"),
        ("purpose: 12", "purpose: Input should be a valid string .found 12.. Write it in quotes"),
        ("cadence: daily\ncadence: weekly", "the name cadence stands twice in one section .line 2."),
    ],
)
def test_a_mistake_is_told_by_the_place_that_it_has_in_the_file(file: Path, content: str, said: str) -> None:
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        Settings.load()


def test_other_documents_are_read_as_yaml_reads_them() -> None:
    text = "a: [1, yes, null, 2024-01-01, '1']\nb: &x {c: 1.5}\nd: *x\n"
    assert load(text) == yaml.safe_load(text)
    assert load("") is None


def test_every_zone_that_is_taken_can_be_used() -> None:
    naive = pl.Series([0]).cast(pl.Datetime("us"))
    for zone in sorted(available_timezones() - NOT_A_PLACE):
        MappedTable(columns={}, time_zone=zone)
        naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")


@pytest.mark.parametrize(
    "zone", ["localtime", "posixrules", "Factory", "posix/Europe/Berlin", "CEST", "europe/berlin", "", "../x"]
)
def test_what_is_no_zone_is_refused_in_one_sentence(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone; expected a name like Europe/Berlin"):
        MappedTable(columns={}, time_zone=zone)
