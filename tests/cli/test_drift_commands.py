"""`churn drift` and `churn report`: two files of a company, and the exit status that a script goes by."""

import json
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from click.testing import CliRunner, Result

from churn_assets.cli.drift import drift
from churn_assets.cli.report import report
from churn_assets.monitoring.evidently_report import unpacked
from churn_store.errors import InputError
from tests.monitoring.test_drift import frame

MAPPED = """company: small
source:
  kind: files
  shape: table
  customers:
    path: customers.csv
    separator: ";"
    columns: {customer_id: id}
    label: {column: left}
    attributes:
      normal: {column: Normal Value, kind: number}
      word: {column: Plan, kind: category}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files of one distribution and one whose number has moved."""
    (tmp_path / "churn.yaml").write_text("home: .\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.chdir(tmp_path)
    for name, rows in {
        "old": rows_of(1),
        "same": rows_of(2),
        "moved": rows_of(3).with_columns(pl.col("normal") + 1),
    }.items():
        rows.write_csv(f"{name}.csv")
    return tmp_path


def rows_of(seed: int, rows: int = 900) -> pl.DataFrame:
    ids = pl.format("c{}", pl.int_range(pl.len())).alias("customer_id")
    return frame(rows, seed).select(ids, "normal", "gaps", "word")


def ran(command: click.Command, *typed: str) -> Result:
    return CliRunner().invoke(command, typed)


def test_the_exit_status_says_whether_there_is_drift(home: Path) -> None:
    same, moved = ran(drift, "old.csv", "same.csv"), ran(drift, "old.csv", "moved.csv")
    assert (same.exit_code, moved.exit_code) == (0, 3)
    assert "No drift: no feature drifted" in same.output
    assert "Alert: normal drifted" in moved.output
    assert [line.split()[:2] for line in moved.output.splitlines() if line.startswith("normal")] == [["normal", "drifted"]]
    assert ran(drift, "old.csv", "moved.csv", "--leave-out", "normal").exit_code == 0
    assert "--separator has 2 characters" in str(ran(drift, "old.csv", "moved.csv", "--separator", ";;").exception)
    assert "no file has norml, which --leave-out names" in str(
        ran(drift, "old.csv", "moved.csv", "--leave-out", "norml").exception
    )


def test_csv_and_parquet_are_the_same_and_json_has_all_statistics(home: Path) -> None:
    pl.read_csv("moved.csv").write_parquet("moved.parquet")
    as_csv, as_parquet = (
        json.loads(ran(drift, "old.csv", f"moved.{kind}", "--json").output.splitlines()[-1]) for kind in ("csv", "parquet")
    )
    assert as_csv["features"] == as_parquet["features"]
    assert as_csv["state"] == "attention"
    assert as_csv["features"][0].keys() >= {
        "ks",
        "welch_t",
        "psi",
        "wasserstein",
        "jensen_shannon",
        "p_value",
        "mean_shift",
    }


def change(name: str) -> pl.DataFrame:
    rows = rows_of(2)
    return {
        "empty": rows.head(0),
        "one": rows.head(1),
        "few": rows.head(99),
        "lacking": rows.drop("word"),
        "others": rows.select(pl.col("normal").alias("else")),
    }[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "empty.csv has no rows"),
        ("one", "could not be judged"),
        ("few", "could not be judged"),
        ("lacking", "lacking.csv lacks word, which old.csv has"),
        ("others", "others.csv lacks normal, gaps, word"),
        ("gone", "gone.csv does not exist"),
    ],
)
def test_what_can_not_be_judged_is_an_error_in_a_sentence_and_never_no_drift(home: Path, name: str, says: str) -> None:
    if name != "gone":
        change(name).write_csv(f"{name}.csv")
    result = ran(drift, "old.csv", f"{name}.csv")
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception)


@pytest.mark.parametrize(
    ("value", "status", "says"),
    [
        (pl.lit(None, pl.Float64), 3, "gaps"),
        (pl.lit("n/a"), 3, "900 values of gaps in odd.csv are no numbers"),
        (pl.lit(1.0), 3, "gaps"),
    ],
)
def test_a_column_that_lost_what_it_said_is_drift(home: Path, value: pl.Expr, status: int, says: str) -> None:
    rows_of(2).with_columns(value.alias("gaps"), new=1).write_csv("odd.csv")
    result = ran(drift, "old.csv", "odd.csv")
    assert (result.exit_code, says in result.output) == (status, True)
    assert "odd.csv has new, which old.csv does not have: not compared" in result.output


def test_a_companys_own_files_are_read_by_its_mapping(home: Path) -> None:
    (home / "churn.yaml").write_text(MAPPED)
    for name in ("old", "moved"):
        rows = pl.read_csv(f"{name}.csv")
        named = {
            "Normal Value": pl.col("normal"),
            "Plan": pl.col("word"),
            "id": pl.col("customer_id"),
            "left": pl.lit("No"),
        }
        rows.select(**named).write_csv(f"{name}-own.csv", separator=";")
    told = json.loads(ran(drift, "old-own.csv", "moved-own.csv", "--json").output.splitlines()[-1])
    assert {move["feature"]: move["drifted"] for move in told["features"]} == {"normal": True, "word": False}
    result = ran(drift, "old.csv", "moved.csv")
    assert "--own-columns" in str(result.exception)
    assert ran(drift, "old.csv", "moved.csv", "--own-columns").exit_code == 3


def test_a_wrong_number_of_files_is_a_wrong_use(home: Path) -> None:
    for typed in (["old.csv"], ["old.csv", "same.csv", "moved.csv"]):
        assert ran(report, *typed).exit_code == 2


@pytest.mark.integration
def test_the_pages_of_two_files_are_written_with_their_figures(home: Path) -> None:
    result = ran(report, "old.csv", "moved.csv", "--into", "pages")
    assert result.exit_code == 0, result.output
    page = (home / "pages" / "drift.html").read_text()
    assert "<p>Alert: normal drifted" in page
    [drawing] = [name for name in page.split('"') if name.endswith(".html")]
    assert "Dataset Drift" in unpacked((home / "pages" / drawing).read_text())
    figures: dict[str, Any] = json.loads((home / "pages" / "drift.json").read_text())
    assert (figures["state"], figures["verdict"][:6]) == ("attention", "Alert:")
    assert figures["evidently"]["metrics"]
    assert json.loads((home / "pages" / "quality.json").read_text())["findings"] == []


@pytest.mark.integration
@pytest.mark.parametrize("rows", [1, 900])
def test_a_file_alone_has_a_page_of_data_quality_however_few_its_rows(home: Path, rows: int) -> None:
    rows_of(2).head(rows).with_columns(gaps=pl.lit(None, pl.Float64)).write_csv("odd.csv")
    assert ran(report, "--quality-only", "old.csv", "odd.csv", "--into", "pages").exit_code == 0
    told = json.loads((home / "pages" / "quality.json").read_text())
    assert [(one["severity"], one["feature"]) for one in told["findings"]] == [("critical", "gaps")]
    assert not (home / "pages" / "drift.html").exists()
