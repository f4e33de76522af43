"""From the lake to the results of an experiment: a real company's labels, the graph that publishes them, and the service that counts them."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST, LABELS, PUBLISH
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import Back
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.instance import report_restored
from churn_assets.outcomes.assets import CHECK, definition_of
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label
from churn_store.cli.experiments import experiment
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.outcomes.published_labels import FOLDER, open_labels
from churn_store.storage.online_store import write_snapshot
from tests.api.conftest import Installation, Service, problem
from tests.automation.asking import asked_by
from tests.automation.company import CONFIGURATION, START, write_company
from tests.release_factory import rows_of, small_columns, train

pytestmark = pytest.mark.integration

MAR, APR, MAY = (f"2024-0{month}-01" for month in range(3, 6))
DAYS_AFTER = 12
"""Days between the snapshot and the first request: some have left by then."""


@dataclass
class Company:
    """A company with its graph, its service and its Dagster instance, all in one home."""

    installation: Installation
    settings: Settings
    instance: dg.DagsterInstance

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake(self.settings.lake_url)

    def go_to(self, day: dt.date) -> None:
        """Set the clock of graph and service."""
        self.settings.clock.fix(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))

    def run(self, job: str, first: str, last: str, **more: Any) -> dg.ExecuteInProcessResult:
        """Run a job over some periods, as the daemon would."""
        tags = {RANGE_START: first, RANGE_END: last} if first != last else {}
        key = first if first == last else None
        definition = build_defs(self.settings).resolve_job_def(job)
        result = definition.execute_in_process(
            instance=self.instance, tags=tags, partition_key=key, run_config=QUIET, **more
        )
        assert result.success
        return result

    def asked(self, job: str) -> list[tuple[str | None, str | None]]:
        """The ends of the stretches that the sensor of a job asks for."""
        requests, _ = asked_by(build_defs(self.settings), self.instance, job)
        return [
            (one.tags.get(RANGE_START, one.partition_key), one.tags.get(RANGE_END, one.partition_key)) for one in requests
        ]

    def files(self) -> list[Path]:
        """Every published file and pointer."""
        return [file for file in (Path(self.settings.releases_url) / FOLDER).rglob("*") if file.is_file()]

    def shown(self) -> tuple[dict[str, Any], str]:
        """The results by HTTP, and what the command prints."""
        with self.installation.serve() as service:
            told: dict[str, Any] = service.get("/experiments/calls").json()["results"]
        printed = CliRunner().invoke(experiment, ["show", "calls"], catch_exceptions=False).output
        return told, printed


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company whose snapshots have features, and none of which is labelled; the clock stands after the first one."""
    write_company(tmp_path, customers=1_600, until=dt.date(2024, 7, 1))
    with Installation.make(tmp_path) as installation, dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
        source: dict[str, Any] = CONFIGURATION["source"]
        settings = Settings(
            home=tmp_path,
            source=FilesSettings.model_validate(source),
            features=Features(first_snapshot=dt.date.fromisoformat(MAR)),
        )
        made = Company(installation, settings, instance)
        made.go_to(dt.date(2024, 6, 1))
        made.run(INGEST, START.isoformat(), MAY)
        made.run(FEATURES, MAR, MAY)
        yield made


def ask_about_everybody(company: Company) -> list[str]:
    """Begin an experiment and ask the service about all customers at risk in March, some days after the snapshot."""
    customers = company.lake.read("customer_features", MAR)["customer_id"].to_list()
    rows = rows_of(small_columns(), len(customers), 7)
    names = sorted(rows[0])
    company.installation.release(train())
    write_snapshot(
        company.settings.online_url,
        name=MAR,
        snapshot_s=epoch_s(dt.date.fromisoformat(MAR)),
        columns=names,
        rows=((one, [row[name] for name in names]) for one, row in zip(customers, rows, strict=True)),
        now_s=0,
    )
    company.installation.make_key("Ada", "release", "act")
    company.go_to(dt.date.fromisoformat(MAR) + dt.timedelta(days=DAYS_AFTER))
    plan = {
        "name": "calls", "subject": "actions", "metric": "retention", "effect": 0.05, "deviation": 0.3, "minimum_size": 200,
        "reason": "to know",
    }  # fmt: skip
    with company.installation.serve() as service:
        assert service.post("/experiments/", plan, key="Ada").status_code == 200
        assert service.post("/experiments/calls/start", {"reason": "go"}, key="Ada").status_code == 200
        service.until(lambda: service.get(f"/predict/{customers[0]}").json()["experiment"])
        for start in range(0, len(customers), 100):
            body = {"customer_ids": customers[start : start + 100]}
            assert service.post("/predict/batch", body).status_code == 200
    company.go_to(dt.date(2024, 6, 1))
    return customers


def post(service: Service, customer: str, *, churned: bool) -> None:
    said = {"customer_id": customer, "snapshot": MAR, "churned": churned}
    assert service.post("/outcomes", said, key="Ada").status_code == 200


def left_in_time(company: Company, until: dt.date) -> set[str]:
    """Whose first cancellation lies between the snapshot and a day, by the company's own table."""
    inside = pl.col("occurred_s").is_between(epoch_s(dt.date.fromisoformat(MAR)), epoch_s(until), closed="left")
    events = company.lake.scan("events").filter(pl.col("event_type") == "cancelled", inside).collect()
    return set(events["customer_id"])


def test_the_results_follow_the_labels_from_the_lake_to_http_and_the_command(company: Company) -> None:
    customers = ask_about_everybody(company)
    told, printed = company.shown()
    assert (told["matured"], sum(arm["unknown"] for arm in told["arms"])) == (0, len(customers))
    assert any(text.startswith("No labels of the lake are published yet") for text in told["cautions"])
    assert "note: No labels of the lake are published yet" in printed

    # As an older installation: labelled, and never published.
    company.run(LABELS, MAR, APR, asset_selection=[dg.AssetKey("churn_labels")])
    assert company.files() == []
    assert company.asked(PUBLISH) == [(MAR, APR)]
    assert company.asked(LABELS) == []
    result = company.run(PUBLISH, MAR, APR)
    assert {(one.check_name, one.passed) for one in result.get_asset_check_evaluations()} == {(CHECK, True)}
    assert company.asked(PUBLISH) == []

    labels = company.lake.read("churn_labels", MAR)
    asked_on = dt.date.fromisoformat(MAR) + dt.timedelta(days=DAYS_AFTER)
    gone = left_in_time(company, asked_on) & set(labels.filter("churned")["customer_id"])
    assert gone
    told, printed = company.shown()
    kinds = ("units", "matured", "posted", "labelled", "gone", "unknown")
    counted = {kind: sum(arm[kind] for arm in told["arms"]) for kind in kinds}
    matured = labels.height - len(gone)
    assert counted == {
        "units": len(customers), "matured": matured, "posted": 0, "labelled": matured, "gone": len(gone),
        "unknown": len(customers) - labels.height,
    }  # fmt: skip
    stayed = labels.filter(~pl.col("churned"))["customer_id"].to_list()
    assert told["verdict"] == "undecided", (told["words"], counted)
    shares = [arm["mean"] * arm["matured"] for arm in told["arms"]]
    assert round(sum(shares)) == len(stayed)
    assert f"outcomes: 0 posted, {matured:,} from the labels of the lake" in printed

    with company.installation.serve() as service:
        post(service, stayed[0], churned=True)
        post(service, stayed[1], churned=False)
    told, printed = company.shown()
    assert told["sources"] == {"posted": 2, "labelled": matured - 2, "both": 2, "differing": 1, "unread": [], "left_out": 0}
    assert round(sum(arm["mean"] * arm["matured"] for arm in told["arms"])) == len(stayed) - 1
    assert "outcomes: 2 posted" in printed

    # Torn: said by name, left out, and no promotion or verdict rests on it in silence.
    [torn] = [file for file in company.files() if MAR in str(file) and file.name != "current.json"]
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    told, printed = company.shown()
    assert (told["matured"], told["verdict"]) == (2, "too_early")
    [said] = told["sources"]["unread"]
    assert said.startswith(f"the labels of {MAR} can't be read: file {torn.name[:12]} was changed")
    assert told["sources"]["left_out"] == len(customers) - 2
    assert "Published labels of the lake could not be read" in told["words"]
    assert f"note: The labels of {MAR} can't be read" in printed
    with company.installation.serve() as service:
        refused = problem(service.post("/experiments/calls/promote", {"reason": "now"}, key="Ada"), 409)
        assert "compares actions" in refused["detail"]
    company.run(PUBLISH, MAR, MAR)
    assert company.shown()[0]["matured"] == matured


def test_a_customer_who_is_erased_from_the_lake_is_in_no_published_file(company: Company) -> None:
    company.run(LABELS, MAR, APR)
    lake, erased = company.lake, company.lake.read("churn_labels", MAR)["customer_id"][0]
    assert any(erased.encode() in file.read_bytes() for file in company.files())
    kept = {key: lake.read("churn_labels", key).filter(pl.col("customer_id") != erased) for key in (MAR, APR)}
    before = lake.version("churn_labels")
    done = lake.replace("churn_labels", kept, run_id="erasure")
    backs = {key: Back(digest_at("churn_labels", rows), rows.height) for key, rows in kept.items()}
    report_restored(
        company.instance, lake, "churn_labels", backs, of=before, version=done.version, said="a customer was erased"
    )
    assert company.asked(PUBLISH) == [(MAR, APR)]
    company.settings = company.settings.model_copy(update={"label": Label(horizon_days=40)})
    company.run(PUBLISH, MAR, APR)
    assert not any(erased.encode() in file.read_bytes() for file in company.files())
    for key, rows in kept.items():
        labels = open_labels(company.installation.files, key)
        assert labels is not None
        told = labels.of(rows["customer_id"].to_list())
        assert {one: label.churned for one, label in told.items()} == dict(
            rows.select("customer_id", "churned").iter_rows()
        )
        assert (labels.about.rows, labels.about.horizon_days) == (rows.height, 30), (
            "as the labels were made, not as they would be now"
        )


def test_labels_of_an_older_version_are_of_the_present_definition_only_if_they_matured_when_it_says() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        older = dg.AssetMaterialization("churn_labels", partition=MAR, metadata={"matured_on": "2024-04-03"})
        instance.report_runless_asset_event(older)
        assert definition_of(instance, MAR, Label(horizon_days=30, grace_days=3)).horizon_days == 30
        with pytest.raises(
            InputError, match="matured on 2024-04-03, and by the present definition of churn they would on 2024-05-03"
        ):
            definition_of(instance, MAR, Label(horizon_days=60, grace_days=3))
