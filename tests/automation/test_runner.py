"""What `churn demo` runs again, and what it leaves as it arrived."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_assets.automation.jobs import FACTS, FEATURES, INGEST, LABELS, MONITOR, ORDER, RETRAIN
from churn_assets.automation.runner import Graph, Step, fingerprint, run_all
from churn_assets.build import build_defs
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.events import EventRoles, EventSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.label import Label
from churn_assets.settings.monitoring import Monitoring
from churn_assets.settings.raw import Raw
from churn_assets.settings.retraining import Retraining
from churn_store.database.migrate import migrate
from churn_store.mapping.file_settings import FilesSettings
from churn_store.settings import Section

pytestmark = pytest.mark.integration

JAN, FEB = "2024-01-01", "2024-02-01"
HEAD = "who,when,amount,seen\n"
JANUARY = "a,2024-01-05,1,2024-01-05\nb,2024-01-09,2,2024-01-09\n"
FEBRUARY = "a,2024-02-05,1,2024-02-05\n"
LATE = "c,2024-01-20,3,2024-02-20\n"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def company(folder: Path, rows: str, *, recorded: bool, as_of: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
    (folder / "p.csv").write_text(HEAD + rows)
    columns = {"customer_id": "who", "occurred": "when", "amount": "amount", **({"known": "seen"} if recorded else {})}
    source: dict[str, Any] = {"kind": "files", "start": JAN, "payments": {"path": "p.csv", "columns": columns}}
    settings = Settings(home=folder, source=FilesSettings.model_validate(source), label=Label(kind="inactivity"))
    settings.clock.fix(dt.datetime.fromisoformat(as_of).replace(tzinfo=dt.UTC))
    return settings


def ingested(settings: Settings, instance: dg.DagsterInstance, *, anew: bool = False) -> list[Step]:
    """The steps of the job that ingests; what comes after it has too little to go on."""
    migrate(settings.database_url)
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    graph = Graph(build_defs(settings), settings, open_source(settings), store, instance)
    return [step for step in run_all(graph, started=lambda _: None, anew=anew) if step.job == INGEST]


def payments(settings: Settings) -> dict[str, list[tuple[str, bool]]]:
    """Who paid by period of arrival, and whether it was known only later."""
    lake = Lake(settings.lake_url)
    return {
        period: sorted(
            (who, known > occurred)
            for who, occurred, known in lake.read("payments", period)
            .select("customer_id", "occurred_s", "known_s")
            .iter_rows()
        )
        for period in lake.periods("payments")
    }


def test_a_source_that_can_not_say_when_is_read_on_and_never_dated_back(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = company(tmp_path, JANUARY, recorded=False, as_of="2024-02-01", monkeypatch=monkeypatch)
    assert [(step.periods, step.skipped) for step in ingested(settings, instance)] == [(1, False)]
    assert [(step.skipped, step.kept) for step in ingested(settings, instance)] == [(True, False)]

    settings = company(tmp_path, JANUARY + LATE, recorded=False, as_of="2024-02-01", monkeypatch=monkeypatch)
    assert [(step.skipped, step.kept) for step in ingested(settings, instance)] == [(True, True)]
    assert payments(settings) == {JAN: [("a", False), ("b", False)]}

    settings = company(tmp_path, JANUARY + LATE + FEBRUARY, recorded=False, as_of="2024-03-01", monkeypatch=monkeypatch)
    assert [(step.periods, step.skipped) for step in ingested(settings, instance)] == [(1, False)]
    assert payments(settings) == {JAN: [("a", False), ("b", False)], FEB: [("a", False), ("c", True)]}

    assert [(step.periods, step.skipped) for step in ingested(settings, instance, anew=True)] == [(2, False)]
    assert payments(settings) == {JAN: [("a", False), ("b", False), ("c", False)], FEB: [("a", False)]}


def test_a_source_that_says_when_is_read_again_where_it_has_changed_as_nothing_can_be_dated_back(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = company(tmp_path, JANUARY, recorded=True, as_of="2024-02-01", monkeypatch=monkeypatch)
    ingested(settings, instance)
    settings = company(tmp_path, JANUARY + LATE + FEBRUARY, recorded=True, as_of="2024-03-01", monkeypatch=monkeypatch)
    assert [(step.periods, step.skipped) for step in ingested(settings, instance)] == [(2, False)]
    assert payments(settings) == {JAN: [("a", False), ("b", False)], FEB: [("a", False), ("c", True)]}


def fingerprints(folder: Path, instance: dg.DagsterInstance, **sections: Any) -> dict[str, str]:
    """The fingerprint of each job of a synthetic company, with some sections of its own."""
    settings = Settings(home=folder, **sections)
    migrate(settings.database_url)
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    graph = Graph(build_defs(settings), settings, open_source(settings), store, instance)
    return {job: fingerprint(graph, job, None) for job in ORDER}


@pytest.mark.parametrize(
    ("sections", "jobs"),
    [
        ({"retraining": Retraining(cooldown_days=3)}, set()),
        ({"monitoring": Monitoring(effect=0.3)}, {MONITOR}),
        ({"gate": Gate(auc_floor=0.7)}, {RETRAIN}),
        ({"raw": Raw(quarantine_limit=0.1)}, {INGEST}),
        ({"at_risk": AtRisk(active_days=40)}, {FEATURES, LABELS, RETRAIN}),
        ({"events": EventSettings(roles=EventRoles(session=("login", "app_open")))}, {FEATURES, LABELS}),
        (
            {"events": EventSettings(roles=EventRoles(cancelled=("gone", "left")))},
            {INGEST, FEATURES, LABELS, RETRAIN, FACTS},
        ),  # as for `label`
    ],
)
def test_a_job_is_due_again_for_a_setting_that_it_reads_and_for_no_other(
    sections: dict[str, Section], jobs: set[str], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    before, after = fingerprints(tmp_path, instance), fingerprints(tmp_path, instance, **sections)
    assert {job for job in ORDER if before[job] != after[job]} == jobs


def test_a_job_is_due_again_for_another_version_of_what_is_upstream_of_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    before = fingerprints(tmp_path, instance)
    tags = {DATA_VERSION_TAG: "another"}
    instance.report_runless_asset_event(dg.AssetMaterialization("payments", partition=JAN, tags=tags))
    after = fingerprints(tmp_path, instance)
    assert {job for job in ORDER if before[job] != after[job]} == {FEATURES, LABELS}


def test_a_setting_of_another_section_skips_the_job_and_one_of_its_own_runs_it(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = company(tmp_path, JANUARY, recorded=True, as_of="2024-02-01", monkeypatch=monkeypatch)
    assert [step.skipped for step in ingested(settings, instance)] == [False]
    other = settings.model_copy(update={"monitoring": Monitoring(effect=0.3)})
    assert [step.skipped for step in ingested(other, instance)] == [True]
    own = settings.model_copy(update={"raw": Raw(quarantine_limit=0.1)})
    assert [step.skipped for step in ingested(own, instance)] == [False]
