"""`churn simulate OUT`: a folder of files that the platform reads as the company that they were written from."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.cli.simulate import company, simulate, write_company
from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.open_source import open_source
from churn_assets.periods import Calendar, epoch_s
from churn_assets.settings.company import Settings
from churn_assets.simulator.months import months_of
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS, Table

TABLES: tuple[Table, ...] = ("customers", "events", "payments")


def both_sources(
    folder: Path, settings: SyntheticSettings, file_format: Literal["csv", "parquet"], monkeypatch: pytest.MonkeyPatch
) -> tuple[SyntheticSource, FilesSource]:
    """The company as it is, and as it is read back from its files by the churn.yaml beside them."""
    list(write_company(settings, folder, file_format))
    monkeypatch.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
    files = open_source(Settings.load())
    assert isinstance(files, FilesSource)
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"churn.yaml", "dagster.yaml", "workspace.yaml"}
    return SyntheticSource(settings), files


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_the_files_read_back_period_by_period_are_the_rows_of_the_company(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: Literal["csv", "parquet"]
) -> None:
    settings = company(
        customers=600, months=5, seed=3, scenario={"kind": "price_increase", "start": "2024-03-10"}, dirt=0.0
    )
    synthetic, files = both_sources(tmp_path / "out", settings, file_format, monkeypatch)
    assert [column.name for column in files.attributes] == [column.name for column in synthetic.attributes]
    calendar = Calendar("monthly", settings.start)
    months = [epoch_s(month) for month in [*months_of(settings), calendar.next(months_of(settings)[-1])]]
    for table in TABLES:
        assert files.given(table) == synthetic.given(table)
        assert files.says_when_known(table)
        for start_s, end_s in pairwise(months):
            delivery = files.read(table, start_s, end_s)
            ours = synthetic.read(table, start_s, end_s).rows
            assert delivery.unreadable.is_empty()
            assert delivery.rows.select(ours.columns).sort(KEYS[table]).equals(ours)
            assert ours.height > 20


def test_dirt_goes_into_the_files_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = company(customers=3_000, months=3, dirt=0.1)
    synthetic, _ = both_sources(tmp_path / "out", settings, "parquet", monkeypatch)
    written = pl.read_parquet(tmp_path / "out" / "payments" / "*.parquet")
    ours = synthetic.read(
        "payments", epoch_s(settings.start), epoch_s(Calendar("monthly", settings.start).next(months_of(settings)[-1]))
    )
    assert written.height == ours.rows.height
    for column, canonical in (("amount", "amount_cents"), ("customer_id", "customer_id"), ("status", "status")):
        assert written[column].null_count() == ours.rows[canonical].null_count() > 0
    assert written["payment_id"].is_duplicated().any()
    assert written["amount"].min() < 0


def test_the_command_writes_and_says_what(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--customers", "200", "--months", "2", "--format", "csv"]
    result = CliRunner().invoke(simulate, [str(out), *options])
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in (out / "events").iterdir()) == ["2024-01-01.csv", "2024-02-01.csv"]
    assert "the data ends with 2024-02-29" in result.output
    again = CliRunner().invoke(simulate, [str(out), *options])
    assert isinstance(again.exception, InputError)
    assert "is not an empty folder" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the folder"),
        (["out", "--verify"], "writes nothing"),
        (["out", "--scenario", "competitor"], "belong together"),
        (["out", "--from", "2024-05-01"], "belong together"),
        (["out", "--scenario", "meteorite"], "meteorite"),
    ],
)
def test_a_wrong_use_is_one_line(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(simulate, arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"customers": 3}, "customers"),
        ({"dirt": 2.0}, "dirt"),
        ({"scenario": {"kind": "competitor", "start": "soon"}}, "start"),
    ],
)
def test_a_company_that_can_not_be_is_wrong_input(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        company(**given)
