"""An older lake, in which one value may have two words, gets one word each: no row comes twice, and a release knows its words."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from churn_assets.automation.jobs import INGEST
from churn_assets.automation.runner import QUIET, why
from churn_assets.build import build_defs
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.identity import read_mark, write_mark
from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import NAME, REWRITING, normalisation_of
from churn_assets.lake.rewrite import rewrite_words
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.run_history import data_versions
from churn_assets.settings.company import Settings
from churn_store.cli.main import churn
from churn_store.clock import parse_time
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS
from churn_store.model.signature import Column, Signature

pytestmark = pytest.mark.integration

MONTHS = ["2024-01-01", "2024-02-01", "2024-03-01"]
COMPANY = {
    "company": "older",
    "source": {
        "kind": "files",
        "shape": "history",
        "start": "2024-01-01",
        "customers": {
            "path": "customers.parquet",
            "format": "parquet",
            "columns": {"customer_id": "id", "signed_up": "since"},
            "attributes": {"plan": {"column": "plan", "kind": "category"}},
        },
        "events": {"path": "events.csv", "columns": {"customer_id": "id", "event_type": "kind", "occurred": "at"}},
    },
    "raw": {"quarantine_limit": 0.5},
    "label": {"kind": "inactivity"},
    "at_risk": {"cancelled_event": None},
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose lake was ingested by version 1."""
    folder = tmp_path_factory.mktemp("older")
    (folder / "churn.yaml").write_text(yaml.safe_dump(COMPANY), encoding="utf-8")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    pl.DataFrame(
        {
            "id": [float(n) for n in range(1, 31)],
            "since": ["2024-01-02"] * 30,
            "plan": pl.Series([1.0, 2.0, 3.5] * 10).cast(pl.Decimal(10, 2)),
        }
    ).write_parquet(folder / "customers.parquet")
    rows = [f"{n}.0,{'open ' if n % 3 else 'open'},2024-0{n % 3 + 1}-0{n % 9 + 1}" for n in range(1, 31)]
    bad = ["4.0, late ,no time"]
    (folder / "events.csv").write_text("\n".join(["id,kind,at", *rows, *rows[:3], *bad, ""]), encoding="utf-8")
    with chdir(folder):
        settings = Settings.load()
        settings.clock.fix(parse_time("2024-04-01", where="a test"))
        write_mark(settings.lake_url, NAME, "1")
        ingest(folder)
    return folder


@pytest.fixture
def company(ingested: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that folder, and the current one."""
    folder = shutil.copytree(ingested, tmp_path / "company")
    with chdir(folder):
        yield folder


def ingest(folder: Path) -> None:
    """Ingest all periods, as the schedule does."""
    definitions = build_defs(Settings.load())
    with instance_of(folder) as instance:
        for month in MONTHS:
            result = definitions.resolve_job_def(INGEST).execute_in_process(
                instance=instance, partition_key=month, run_config=QUIET, raise_on_error=False
            )
            assert result.success, why(result)


def lake_of() -> Lake:
    return Lake(Settings.load().lake_url)


def rows_of(lake: Lake, table: str) -> pl.DataFrame:
    key = [name for name in KEYS.get(table, ()) if name != PERIOD] or ["row", "rule"]  # type: ignore[call-overload]
    rows = lake.scan(table).collect()
    return rows.select(sorted(rows.columns)).sort(key)


def test_migrated_it_holds_what_a_fresh_read_gives_and_nothing_comes_twice(company: Path) -> None:
    lake = lake_of()
    assert set(rows_of(lake, "events")["event_type"]) == {"open", "open "}
    assert set(rows_of(lake, "customers")["plan"]) == {"1.00", "2.00", "3.50"}
    done = CliRunner().invoke(churn, ["data", "migrate"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "events: the words of 33 rows have one writing now" in done.output
    assert normalisation_of(lake) == 2
    migrated = {table: rows_of(lake, table) for table in ("customers", "events", "events_quarantine")}
    assert set(migrated["events"]["event_type"]) == {"open"}
    assert set(migrated["customers"]["plan"]) == {"1", "2", "3.5"}
    with instance_of(company) as instance:
        told = data_versions(instance, "events")
    ingest(company)
    for table, rows in migrated.items():
        assert rows_of(lake, table).equals(rows), table
    with instance_of(company) as instance:
        assert data_versions(instance, "events") == told  # Dagster knew the rewritten rows
    assert CliRunner().invoke(churn, ["data", "migrate"], catch_exceptions=False).output.startswith("the lake")


def test_until_then_it_keeps_its_words(company: Path) -> None:
    before = {table: rows_of(lake_of(), table) for table in ("customers", "events", "events_quarantine")}
    ingest(company)
    for table, rows in before.items():
        assert rows_of(lake_of(), table).equals(rows), table


def test_a_rewrite_that_was_cut_off_goes_on_and_nothing_is_read_in_between(company: Path) -> None:
    lake, told = lake_of(), []

    def killed(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrite_words(lake, digested=["events"], tell=killed)
    assert read_mark(lake.url, NAME) == REWRITING
    with pytest.raises(InputError, match="half rewritten, as `churn data migrate` was interrupted; run it again"):
        normalisation_of(lake)
    with instance_of(company) as instance:
        result = (
            build_defs(Settings.load())
            .resolve_job_def(INGEST)
            .execute_in_process(instance=instance, partition_key=MONTHS[0], run_config=QUIET, raise_on_error=False)
        )
        assert not result.success
    rewrite_words(lake, digested=["events"], tell=lambda done: told.append(done.table))
    assert {"customers", "events", "events_quarantine"} <= set(told)
    assert normalisation_of(lake) == 2


def test_a_lake_of_a_newer_platform_is_refused(company: Path) -> None:
    write_mark(lake_of().url, NAME, "7")
    with pytest.raises(InputError, match="writes words by version 7; expected at most 2"):
        normalisation_of(lake_of())


def test_a_release_of_older_words_is_given_the_words_that_it_knows() -> None:
    plan = Column(name="plan", kind="category", categories=("1.0", "2.50", "basic ", "3", "3.0"))
    signature = Signature((plan, Column(name="age", kind="number")))
    now = ["1", "2.5", "basic", "3", "new", None]
    rows = [{"plan": word, "age": 1.0} for word in now]
    _, words = signature.tensors(rows)
    assert words[:, 0].tolist() == ["1.0", "2.50", "basic ", "3", "new", ""]
    assert signature.frame_tensors(pl.DataFrame(rows))[1][:, 0].tolist() == words[:, 0].tolist()
    assert [signature.unknown_categories(row) for row in rows] == [[], [], [], [], ["plan"], []]
    assert signature.as_trained(pl.DataFrame(rows))["plan"].to_list() == ["1.0", "2.50", "basic ", "3", "new", None]


def test_a_release_of_present_words_pays_nothing() -> None:
    column = Column(name="plan", kind="category", categories=("1", "basic"))
    assert Signature((column,)).trained_words == {}
    assert Signature((replace_words(column, ("1", "1.0")),)).trained_words == {}


def replace_words(column: Column, words: tuple[str, ...]) -> Column:
    return Column(**{**{name: getattr(column, name) for name in column.__struct_fields__}, "categories": words})
