"""A period that can't be read stops only itself: those beside it stand, it is told, and it is ingested once it is right."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_assets.automation.jobs import INGEST
from churn_assets.automation.runner import why
from churn_assets.orchestration.run_history import data_versions
from tests.automation.company import START, file_of, write_company
from tests.automation.test_lost_tables import FEB, MAR, Company

pytestmark = pytest.mark.integration

JAN = START.isoformat()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=200, until=dt.date(2024, 6, 1))
    return tmp_path


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def ingest(company: Company) -> list[str]:
    """Run what the schedule asks for; why each run failed."""
    failures = []
    for request in company.requests(INGEST):
        done = company.run(INGEST, dict(request.tags), request.partition_key)
        failures += [] if done.success else [why(done)[0]]
    return failures


def stored(instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    return {table: data_versions(instance, table) for table in ("customers", "events", "payments")}


@pytest.mark.parametrize(
    ("table", "says_when_known", "stopped"),
    [
        ("events", True, [FEB]),
        ("customers", True, [FEB]),
        ("customers", False, [FEB]),
        # The files are cut by when rows became known: if nothing says so, a file may have rows of the month before.
        ("events", False, [JAN, FEB]),
    ],
)
def test_a_file_that_is_cut_off_stops_its_own_month_until_it_is_whole(
    folder: Path,
    instance: dg.DagsterInstance,
    table: Any,
    says_when_known: bool,
    stopped: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    untorn_folder = tmp_path_factory.mktemp("untorn")
    with dg.DagsterInstance.local_temp(str(untorn_folder)) as other:
        assert ingest(Company(untorn_folder, other, says_when_known=says_when_known)) == []
        expected = stored(other)
    file = file_of(folder, table, FEB)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2].rpartition(b",")[0])
    torn = Company(folder, instance, says_when_known=says_when_known)
    [failure] = ingest(torn)
    assert f"{table} {FEB} was not written" in failure
    assert re.search(rf"data/{table}-{FEB}\.csv ends in the middle of a line.* copy it again", failure)
    assert MAR not in failure
    stand = {key: digest for key, digest in expected[table].items() if key not in stopped}
    assert stored(instance) == {**expected, table: stand}
    assert ingest(Company(folder, instance, says_when_known=says_when_known)) == [], "nothing has changed"

    file.write_bytes(whole)
    mended = Company(folder, instance, says_when_known=says_when_known)
    assert mended.asked(INGEST) == stopped
    assert ingest(mended) == []
    assert stored(instance) == expected


def test_a_file_without_a_date_in_its_name_may_be_of_any_period(folder: Path, instance: dg.DagsterInstance) -> None:
    file = file_of(folder, "events", FEB)
    content = file.read_bytes()
    file.rename(file.with_name("events-february.csv")).write_bytes(content[:200].rpartition(b",")[0])
    [failure] = ingest(Company(folder, instance, says_when_known=True))
    assert "data/events-february.csv ends in the middle of a line" in failure
    assert "where each file's name has its month, week or day, only that waits for it" in failure
    assert stored(instance)["events"] == {}
