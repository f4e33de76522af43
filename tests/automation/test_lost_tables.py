"""A lake that is torn under the daemon: the sensors ask for exactly what is lost, nothing is built from it before, and all is as it was."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST
from churn_assets.automation.runner import QUIET, why
from churn_assets.build import build_defs
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import REASON, data_versions
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_store.mapping.file_settings import FilesSettings
from tests.automation.asking import asked_by
from tests.automation.company import CONFIGURATION, START, write_company

pytestmark = pytest.mark.integration

FEB, MAR, APR, MAY = (f"2024-0{month}-01" for month in range(2, 6))
TABLES = ("customers", "events", "payments", "customer_features")
JOBS = (INGEST, FEATURES)


class Company:
    """A small company in files, with five months in its lake."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, *, says_when_known: bool) -> None:
        source: dict[str, Any] = CONFIGURATION["source"]
        if not says_when_known:
            source = {
                name: {
                    **table,
                    "columns": {column: theirs for column, theirs in table["columns"].items() if column != "known"},
                }
                if isinstance(table, dict)
                else table
                for name, table in source.items()
            }
        self.instance = instance
        self.settings = Settings(
            home=folder,
            source=FilesSettings.model_validate(source),
            features=Features(first_snapshot=dt.date(2024, 3, 1)),
        )
        self.settings.clock.fix(dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
        self.lake = Lake(self.settings.lake_url)
        self.defs = build_defs(self.settings)

    def requests(self, job: str) -> list[dg.RunRequest]:
        """What a sensor asks for now."""
        return asked_by(self.defs, self.instance, job)[0]

    def asked(self, job: str) -> list[str]:
        """The periods that a sensor asks for now."""
        periods = []
        for request in self.requests(job):
            first = request.partition_key or request.tags[RANGE_START]
            last = request.partition_key or request.tags[RANGE_END]
            keys = self.settings.calendar.keys(dt.date.fromisoformat(last), first=dt.date.fromisoformat(first))
            periods += [key.isoformat() for key in keys]
        return periods

    def answer(self, job: str) -> None:
        """Run what a sensor asks for."""
        for request in self.requests(job):
            assert self.run(job, dict(request.tags), request.partition_key).success

    def run(self, job: str, tags: dict[str, str], partition_key: str | None) -> dg.ExecuteInProcessResult:
        """Run a job as the daemon would."""
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, tags=tags, partition_key=partition_key, run_config=QUIET, raise_on_error=False
        )

    def versions(self) -> dict[str, dict[str, str]]:
        """What the tables hold, by table and period."""
        return {table: data_versions(self.instance, table) for table in TABLES}


@pytest.fixture
def company(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=200, until=dt.date(2024, 6, 1))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        made = Company(tmp_path, instance, says_when_known=request.param)
        for job in (INGEST, FEATURES):
            made.answer(job)
        yield made


@pytest.mark.parametrize(
    ("company", "torn", "job", "gone"),
    [
        (True, "events/_delta_log", INGEST, [START.isoformat(), FEB, MAR, APR, MAY]),
        (False, "events/_delta_log", INGEST, [START.isoformat(), FEB, MAR, APR, MAY]),
        (False, "events/period=2024-04-01", INGEST, [APR]),
        (True, "customer_features/period=2024-04-01", FEATURES, [APR]),
    ],
    indirect=["company"],
)
def test_what_is_torn_is_asked_for_as_lost_and_comes_back_as_it_was(
    company: Company, torn: str, job: str, gone: list[str]
) -> None:
    """Also where the source does not say when its rows became known: they count from when they did at first."""
    whole = company.versions()
    table, _, part = torn.partition("/")
    shutil.rmtree(Path(company.lake.uri(table)) / part)
    assert sorted(lost(company.instance, company.lake, table)) == gone
    assert [company.asked(one) for one in JOBS] == [gone if one == job else [] for one in JOBS]
    [asked] = company.requests(job)
    where = f"{gone[0]} is" if len(gone) == 1 else f"{gone[0]} to {gone[-1]} are"
    assert asked.tags[REASON] == f"{where} lost and made again"
    company.answer(job)
    assert [lost(company.instance, company.lake, name) for name in TABLES] == [{}] * len(TABLES)
    assert company.versions() == whole
    assert [company.asked(one) for one in JOBS] == [[], []]


@pytest.mark.parametrize("company", [True], indirect=True)
def test_a_run_for_a_new_period_says_that_it_also_makes_the_lost_ones_again(company: Company) -> None:
    shutil.rmtree(Path(company.lake.uri("customer_features")) / f"period={MAY}")
    shutil.rmtree(Path(company.lake.uri("events")) / f"period={MAY}")
    company.settings.clock.fix(dt.datetime(2024, 7, 1, tzinfo=dt.UTC))
    [asked] = company.requests(INGEST)
    assert asked.tags[REASON] == f"{MAY} to 2024-06-01 are due, of them 1 lost and made again"


@pytest.mark.parametrize("company", [True], indirect=True)
def test_nothing_is_built_from_what_is_left(company: Company) -> None:
    shutil.rmtree(Path(company.lake.uri("events")) / "_delta_log")
    failed = company.run(FEATURES, {}, MAY)
    assert not failed.success
    assert (
        f"events {START}, {FEB}, {MAR} and 2 more are lost: the lake has no rows of it, and it had some" in why(failed)[0]
    )
    company.lake.replace("events", {APR: pl.DataFrame({"event_id": ["e"]})}, run_id="by hand")
    assert company.asked(FEATURES) == []
