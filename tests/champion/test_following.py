"""Dagster's side of a release that a person decided: the jobs, the asset that waits, and the sensor that follows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import msgspec
import pytest
import sqlalchemy as sa
import yaml
from mlflow.tracking import MlflowClient

from churn_assets.champion import sensors
from churn_assets.champion.assets import champion_assets
from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.jobs import approve, roll_back
from churn_assets.champion.sensors import release_sensors
from churn_assets.champion.waiting_asset import waiting_asset
from churn_assets.connectors.open_source import open_source
from churn_assets.orchestration.run_history import data_version, newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import prepare
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.releases import lifecycle
from churn_store.releases.approval import approve as make_champion
from churn_store.releases.blessings import newest_blessing
from churn_store.releases.bundles import stage
from churn_store.releases.challenge import challenge, end_challenge
from churn_store.releases.log import history, newest
from churn_store.releases.manifest import Evaluation, Interval, Manifest, TableVersion
from churn_store.releases.rollback import roll_back as serve_former
from churn_store.reports import ReportFile
from churn_store.reports import newest as newest_report
from tests.release_factory import NOW_S, Candidate, bless, release, train

pytestmark = pytest.mark.integration

MODEL = "churn"
ADA: dict[str, Any] = {"by": "ada", "reason": "she knows", "now_s": NOW_S}


@dataclass
class Company:
    """A serving database, an instance, and a sensor that keeps its cursor."""

    settings: Settings
    serving: ServingStore
    instance: dg.DagsterInstance
    cursor: str | None = None

    def sensor(self) -> dg.SensorDefinition:
        """``follow_releases``, as a process that has just started has it."""
        [sensor] = release_sensors(
            self.serving,
            company=self.settings.company,
            lake_url=self.settings.lake_url,
            tracking_uri=self.settings.tracking_uri,
            experiment=self.settings.experiment,
        )
        return sensor

    def tick(self, sensor: dg.SensorDefinition | None = None) -> str:
        """One tick of ``follow_releases``, with what the daemon does of its result; what it says."""
        sensor = sensor or self.sensor()
        said = sensor(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        if isinstance(said, dg.SensorResult):
            for event in said.asset_events:
                self.instance.report_runless_asset_event(event)
            self.cursor = said.cursor
            return str(said.skip_reason.skip_message)
        return str(said.skip_message)

    def run(self, job: dg.JobDefinition, op: str, **config: Any) -> dg.ExecuteInProcessResult:
        """Run a job of one op, as the launchpad does."""
        return job.execute_in_process(
            run_config={"ops": {op: {"config": config}}},
            resources={"clock": self.settings.clock, "serving": self.serving},
            instance=self.instance,
            raise_on_error=False,
        )

    def waiting(self, candidate: Candidate, verdict: str = "accepted") -> Manifest:
        """A candidate that was judged against who serves now."""
        staged = stage(self.serving.files, candidate.contents, candidate.manifest)
        row = newest(self.serving.engine)
        bless(self.serving.engine, staged, verdict, epoch=0 if row is None else row.epoch)
        return staged


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    (tmp_path / "churn.yaml").write_text("company: small\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    settings = Settings.load(home=tmp_path)
    migrate(settings.database_url)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    with dg.instance_for_test() as instance:
        yield Company(settings, serving, instance)


@pytest.fixture(scope="module")
def models() -> tuple[Candidate, Candidate]:
    return with_card(train()), with_card(train(seed=5))


def with_card(candidate: Candidate) -> Candidate:
    """The candidate with all that its card asks for."""
    manifest = candidate.manifest
    assert isinstance(manifest.evaluation, Evaluation)
    evaluation = msgspec.structs.replace(
        manifest.evaluation,
        importance=dict.fromkeys(manifest.signature.names, 0.01),
        intervals={"auc": Interval(0.8, 0.75, 0.85)},
    )
    return Candidate(msgspec.structs.replace(manifest, evaluation=evaluation), candidate.contents, candidate.pipeline)


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    cause = event.step_failure_data.error.cause
    return str(cause.message if cause else event.message)


def registered(company: Company, candidate: Candidate, version: int) -> Candidate:
    """The candidate as version so-and-so of a model in the registry, trained on a training set with a digest."""
    mlflow = {"model": MODEL, "model_version": str(version), "run_id": "r"}
    tables = {"training_set": TableVersion(3, f"{version:064x}")}
    return Candidate(
        msgspec.structs.replace(candidate.manifest, mlflow=mlflow, tables=tables), candidate.contents, candidate.pipeline
    )


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(MODEL).aliases.items()}


def test_the_job_approves_a_waiting_candidate_and_the_sensor_reports_it_once(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    assert company.tick() == "nothing was released yet"
    waits = company.waiting(models[0])
    result = company.run(approve, "approve_candidate", id=waits.candidate[:8], by="ada", reason="she looked at it")
    assert result.success
    row = newest(company.serving.engine)
    assert (row.kind, row.actor, row.reason) == ("approved", "ada", "she looked at it")

    assert "epoch 1 is reported now" in company.tick()
    found = newest_materialization(company.instance, "champion")
    assert (found.metadata["epoch"], found.metadata["release"]) == (1, row.champion)
    assert (found.metadata["kind"], found.metadata["actor"]) == ("approved", "ada")
    assert data_version(company.instance, "champion") == row.champion
    manifest = models[0].manifest
    first = ["family", "profit_per_customer", "auc", "threshold", "trained_until", "former_release", "card", "report"]
    assert list(found.metadata)[: len(first)] == first
    assert found.metadata["family"] == manifest.family
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}, 95%\)", found.metadata["auc"]), found.metadata["auc"]
    assert found.metadata["trained_until"].startswith(f"snapshot {max(manifest.trained_on)}, whose outcomes end on ")
    assert found.metadata["former_release"] == "none: this is the first"
    assert found.metadata["card"].startswith(f"# Model card: {manifest.family.replace('_', chr(92) + '_')}")
    card = newest_report(company.serving.engine, "card")
    assert card is not None
    assert (card.digest, card.release) == (found.metadata["report_sha256"], row.champion)
    assert "she looked at it" in ReportFile(card).read(company.serving.files).decode()

    assert "epoch 1 was reported" in company.tick()
    assert newest_materialization(company.instance, "champion").event == found.event


def test_a_wrong_approval_fails_the_run_with_its_sentence_and_changes_nothing(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    rejected = company.waiting(models[0], "rejected")
    result = company.run(approve, "approve_candidate", id=rejected.candidate, by="ada", reason="why not")
    assert not result.success
    assert "was not accepted: rejected by gate" in failure(result)
    assert newest(company.serving.engine) is None


def test_the_job_rolls_back_and_the_graph_is_told(company: Company, models: tuple[Candidate, Candidate]) -> None:
    first, _ = (release(company.serving.engine, company.serving.files, model) for model in models)
    company.tick()
    assert company.run(roll_back, "put_back", by="bob", reason="too many offers").success
    assert "epoch 3 is reported now" in company.tick()
    assert data_version(company.instance, "champion") == first.champion
    said = newest_materialization(company.instance, "champion").metadata
    assert said["former_release"].startswith(f"{history(company.serving.engine)[1].champion[:12]}: ")
    card = newest_report(company.serving.engine, "card")
    assert card is not None
    assert card.release == first.champion
    assert "too many offers" in ReportFile(card).read(company.serving.files).decode()
    again = company.run(roll_back, "put_back", by="carol", reason="me too")
    assert not again.success
    assert "epoch 3 is itself a rollback" in failure(again)
    assert len(history(company.serving.engine)) == 3


def test_the_registry_shows_champion_and_challenger_and_is_tried_again_until_it_is_there(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    engine, files = company.serving.engine, company.serving.files
    one, other = registered(company, models[0], 1), registered(company, models[1], 2)
    release(engine, files, one)
    staged = company.waiting(other)
    assert "the registry does not show it yet" in company.tick()
    assert newest_materialization(company.instance, "champion").metadata["epoch"] == 1
    assert company.cursor is None

    client = MlflowClient(company.settings.tracking_uri)
    client.create_registered_model(MODEL)
    for _ in models:
        client.create_model_version(MODEL, source=str(company.settings.home / "model"))
    assert "champion is version 1 of churn, challenger is nobody" in company.tick()
    assert company.cursor == "1"

    challenge(engine, files, staged.candidate, share=0.2, **ADA)
    company.tick()
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    row = newest(engine)
    tags = client.get_model_version(MODEL, "2").tags
    assert tags == {
        "release": row.challenger, "epoch": "2", "blessing": "accepted", "blessed_by": "gate", "training_set": f"{2:064x}"
    }  # fmt: skip

    end_challenge(engine, files, **ADA)
    assert "champion is version 1 of churn, challenger is nobody" in company.tick()
    assert aliases(client) == {"champion": "1"}

    make_champion(engine, files, staged.candidate, **ADA)
    company.tick()
    assert aliases(client) == {"champion": "2"}


def test_a_rollback_while_the_registry_is_away_is_reported_at_once_and_mirrored_when_it_is_back(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    engine, files = company.serving.engine, company.serving.files
    client = MlflowClient(company.settings.tracking_uri)
    client.create_registered_model(MODEL)
    for version, model in enumerate(models, start=1):
        client.create_model_version(MODEL, source=str(company.settings.home / "model"))
        release(engine, files, registered(company, model, version))
    company.tick()
    assert aliases(client) == {"champion": "2"}

    database = Path(str(sa.make_url(company.settings.tracking_uri).database))
    database.rename(database.with_name("away"))
    row = serve_former(engine, files, **ADA)
    assert "epoch 3 is reported now; the registry does not show it yet" in company.tick()
    assert not database.exists()
    found = newest_materialization(company.instance, "champion")
    assert (found.metadata["epoch"], found.metadata["kind"], found.metadata["actor"]) == (3, "rolled_back", "ada")
    assert data_version(company.instance, "champion") == row.champion
    assert "epoch 3 was reported; the registry does not show it yet" in company.tick()

    database.with_name("away").rename(database)
    assert aliases(client) == {"champion": "2"}
    assert "epoch 3 was reported; in the registry champion is version 1 of churn" in company.tick()
    assert aliases(client) == {"champion": "1"}
    assert company.cursor == "3"


def test_a_registry_that_is_lost_after_it_showed_the_release_is_said_and_told_anew_once_it_is_back(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    prepare(company.instance, company.settings.tracking_uri, company.settings.experiment)
    client = MlflowClient(company.settings.tracking_uri)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, source=str(company.settings.home / "model"))
    release(company.serving.engine, company.serving.files, registered(company, models[0], 1))
    company.tick()
    assert company.tick() == "epoch 1 was reported; the registry shows it"

    database = Path(str(sa.make_url(company.settings.tracking_uri).database))
    database.rename(database.with_name("away"))
    said = company.tick()
    assert said.startswith("epoch 1 was reported; the registry does not show it any more: MLflow's database is lost: ")
    assert "mlflow.db is gone" in said
    assert not database.exists()

    database.with_name("away").rename(database)
    client.delete_registered_model_alias(MODEL, "champion")  # a backup of before the release
    assert "in the registry champion is version 1 of churn" in company.tick()
    assert aliases(client) == {"champion": "1"}
    assert company.tick() == "epoch 1 was reported; the registry shows it"


def test_a_registry_that_shows_the_release_is_not_asked_at_every_tick(
    company: Company, models: tuple[Candidate, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    release(company.serving.engine, company.serving.files, models[0])
    company.cursor = "1"
    asked: list[str] = []
    monkeypatch.setattr(sensors, "require_not_lost", lambda _instance, uri, _experiment: asked.append(uri))
    sensor = company.sensor()
    assert {company.tick(sensor).partition("; ")[2] for _ in range(3)} == {"the registry shows it"}
    assert len(asked) == 1
    monkeypatch.setattr(sensors, "MIRROR_AGAIN_S", 0.0)
    company.tick(sensor)
    assert len(asked) == 2


def test_a_release_whose_manifest_is_gone_is_said_in_a_sentence_and_followed_when_it_is_back(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    row = release(company.serving.engine, company.serving.files, models[0])
    [manifest] = Path(company.settings.releases_url.removeprefix("file://")).rglob(row.champion)
    manifest.rename(manifest.with_name("away"))
    assert company.tick().startswith(
        f"epoch 1 can't be reported: the manifest of release {row.champion[:12]} can't be read (file {row.champion[:12]} is missing"
    )
    assert newest_materialization(company.instance, "champion") is None
    assert company.cursor is None
    manifest.with_name("away").rename(manifest)
    assert "epoch 1 is reported now" in company.tick()


def test_where_promotion_is_manual_an_accepted_candidate_waits_and_the_former_champion_stays(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    former = release(company.serving.engine, company.serving.files, models[0])
    staged = company.waiting(models[1])
    blessing = newest_blessing(company.serving.engine, staged.candidate)
    settings = company.settings.model_copy(update={"promotion": "manual"})
    champion: Any
    *_, champion = champion_assets(settings, open_source(settings), (), [])
    said = champion(
        dg.build_asset_context(instance=company.instance),
        CandidateModel(candidate=staged.candidate, probabilities="", configured=""),
        blessing,
        clock=settings.clock,
        serving=company.serving,
        mlflow=SimpleNamespace(tracking_client=MlflowClient(settings.tracking_uri)),
    )
    assert newest(company.serving.engine) == former
    assert said.data_version.value == former.champion
    assert (said.metadata["published"], said.metadata["waiting"]) == (False, staged.candidate)
    assert f"churn approve {staged.candidate[:12]} --by NAME --reason TEXT" in said.metadata["why"]
    assert [one.candidate for one in lifecycle.waiting(company.serving.engine, company.serving.files)] == [staged.candidate]


def test_the_page_of_waiting_candidates_says_who_waits_and_how_to_approve_until_somebody_has(
    company: Company, models: tuple[Candidate, Candidate]
) -> None:
    release(company.serving.engine, company.serving.files, models[0])
    staged = company.waiting(models[1])
    company.tick()
    said = newest_materialization(company.instance, "waiting_candidates")
    assert (said.metadata["number"], said.metadata["candidates"]) == (1, staged.candidate[:12])
    lines = said.metadata["who_waits"].splitlines()
    assert lines[0] == "**1 candidate waits for a person.**"
    [row] = [
        line for line in lines if line.startswith(f"- `{staged.candidate[:12]}`: {staged.family}, AUC 0.800; accepted; ")
    ]
    assert row.endswith("; judged on 2026-02-02")
    assert f"`churn approve {staged.candidate[:12]} --by NAME --reason TEXT`" in said.metadata["how_to_approve"]

    config = yaml.safe_load(said.metadata["how_to_approve"].split("```yaml")[1].split("```")[0])["ops"]["approve_candidate"]
    assert company.run(approve, "approve_candidate", **config["config"]).success
    assert company.tick().startswith("epoch 2 is reported now")
    said = newest_materialization(company.instance, "waiting_candidates")
    assert (said.metadata["number"], said.metadata["candidates"]) == (0, "none")
    assert said.metadata["who_waits"].startswith("**Nobody waits.**")

    result = dg.materialize([waiting_asset()], instance=company.instance, resources={"serving": company.serving})
    assert result.success
    assert newest_materialization(company.instance, "waiting_candidates").metadata["number"] == 0
