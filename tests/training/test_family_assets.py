"""Families in the graph: what a run may ask of them, what is logged, and what is left as it was when they fail.

A company of data without time in a folder of its own, with the repository's dagster.yaml: real runs, a real MLflow database.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.automation.jobs import RETRAIN
from churn_assets.automation.runner import QUIET, Graph, run_all, why
from churn_assets.build import build_defs
from churn_assets.cli.train import train
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.lost_periods import FILES_TAG
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.training.fitted_family import LIMITS
from churn_store.cli.main import churn
from churn_store.database.migrate import migrate
from churn_store.errors import InputError
from churn_store.reports import newest as newest_report
from tests.champion.world import training_set

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
FAMILIES = ("logistic_regression", "gradient_boosting")
CONFIGURATION = """
company: small
source:
  kind: files
  shape: table
  customers:
    path: customers.csv
    columns: {customer_id: id}
    label: {column: left}
    attributes:
      visits: {column: visits, kind: number}
      spend: {column: spend, kind: number}
      plan: {column: plan, kind: category}
training: {families: [logistic_regression, gradient_boosting], trials: 2}
gate: {auc_plausible: 1.0, calibration_slope: [0.2, 5.0], calibration_intercept: [-2.0, 2.0]}
"""


@dataclass(frozen=True)
class Company:
    """A company whose families were trained once."""

    folder: Path
    settings: Settings
    instance: dg.DagsterInstance
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the first training said of its families and its candidate, whatever a test trains after it."""

    @property
    def lake(self) -> Lake:
        """Where its training set is."""
        return Lake(self.settings.lake_url)

    @property
    def store(self) -> ServingStore:
        """Where its releases are."""
        return ServingStore(self.settings.database_url, self.settings.releases_url, self.settings.online_url)

    def run(self, *assets: str, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """Materialize assets, the first of them with a configuration."""
        return (
            build_defs(self.settings)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey(name) for name in assets],
                run_config={**QUIET, "ops": {assets[0]: {"config": config or {}}}},
                raise_on_error=False,
            )
        )

    def write_training_set(self, rows: pl.DataFrame) -> None:
        """Write a training set and tell Dagster, as its asset does."""
        done = self.lake.replace("training_set", {"all": rows}, run_id="test")
        tags = {FILES_TAG: done.files["all"]}
        self.instance.report_runless_asset_event(dg.AssetMaterialization("training_set", tags=tags))

    def metadata(self, asset: str) -> dict[str, Any]:
        """Of its newest materialization."""
        found = newest_materialization(self.instance, asset)
        assert found is not None
        return found.metadata

    def state(self) -> dict[str, object]:
        """What must be as before when a family has failed."""
        row = self.store.newest()
        events = {name: newest_materialization(self.instance, name) for name in (*FAMILIES, "candidate_model", "champion")}
        return {
            "release": None if row is None else (row.epoch, row.champion),
            **{name: None if event is None else event.event for name, event in events.items()},
            "versions": len(self.versions()),
        }

    def versions(self) -> list[Any]:
        """Of the model in the registry."""
        client = mlflow.MlflowClient(self.settings.tracking_uri)
        return list(client.search_model_versions(f"name='{self.settings.tracking.model_name}'"))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    (folder / "churn.yaml").write_text(CONFIGURATION)
    rows = training_set().select(
        "visits", "spend", "plan", pl.when("churned").then(pl.lit("Yes")).otherwise(pl.lit("No")).alias("left")
    )
    rows.with_columns(id=pl.format("c{}", pl.int_range(pl.len()))).write_csv(folder / "customers.csv")
    with chdir(folder), instance_of(folder) as instance:
        settings = Settings.load()
        migrate(settings.database_url)
        made = Company(folder, settings, instance)
        graph = Graph(build_defs(settings), settings, open_source(settings), made.store, instance)
        for step in run_all(graph, started=lambda _: None):
            assert step.error is None, f"{step.job}: {step.error}"
            if step.job == RETRAIN:
                break
        assert made.store.newest() is not None
        made.first.update({name: made.metadata(name) for name in (*FAMILIES, "candidate_model")})
        yield made


def test_a_family_says_what_it_found_and_mlflow_holds_it_without_a_pickle(company: Company) -> None:
    said = company.first["gradient_boosting"]
    assert said["trials"] == 2
    assert said["best_log_loss"] <= said["default_log_loss"]
    assert said["ignored"] == "none"
    assert 50 < said["peak_memory_mib"] < 100_000
    client = mlflow.MlflowClient(company.settings.tracking_uri)
    run = client.get_run(said["mlflow_run"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["selecting_log_loss"] == pytest.approx(said["log_loss"], rel=1e-4)
    assert {name: float(run.data.params[name]) for name in said["parameters"]} == said["parameters"]
    [data] = run.inputs.dataset_inputs
    assert json.loads(data.dataset.source)["path"] == company.lake.uri("training_set")
    assert len(data.dataset.digest) > 30
    assert run.data.tags["training_set_version"] == str(said["training_set_version"])
    assert said["training_set_version"] <= company.lake.version("training_set")
    fitted_on = company.lake.read("training_set", "all", version=said["training_set_version"])
    assert digest(fitted_on, key=["customer_id"]).startswith(data.dataset.digest)
    files = _files(client, said["mlflow_run"])
    assert {"signature.json", "input_example.json", "trials.json", "requirements.lock", "pictures/reliability.svg"} <= files
    candidate = _files(client, company.first["candidate_model"]["mlflow_run"])
    assert {"signature.json", "input_example.json", "requirements.lock", "pictures/reliability.svg"} <= candidate
    root = company.settings.home / "mlartifacts"
    written = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.suffix == ".onnx" for path in written)
    assert not [path.name for path in written if path.suffix in {".pkl", ".pickle", ".joblib", ".skops"}]
    ids = set(company.lake.read("training_set", "all")["customer_id"])
    texts = [path.read_text("utf-8") for path in written if path.suffix == ".json"]
    assert not [name for text in texts for name in ids if f'"{name}"' in text]


def test_what_assets_pass_on_is_json_and_the_files_that_it_names_are_in_the_release_store(company: Company) -> None:
    written = [path for path in Path(company.instance.storage_directory()).rglob("*") if path.is_file()]
    assert {path.name for path in written} == {f"{name}.json" for name in (*FAMILIES, "candidate_model", "model_blessing")}
    values = {path.stem: json.loads(path.read_text("utf-8")) for path in written}
    for family in FAMILIES:
        assert company.metadata(family)["model_sha256"] == values[family]["files"]["model.onnx"]
        for name, sha256 in values[family]["files"].items():
            assert company.store.files.get(sha256, at_most=LIMITS[name])
    assert values["candidate_model"]["candidate"] == values["model_blessing"]["candidate"]
    ids = set(company.lake.read("training_set", "all")["customer_id"])
    assert not [name for path in written for name in ids if f'"{name}"' in path.read_text("utf-8")]


def _files(client: mlflow.MlflowClient, run: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for one in client.list_artifacts(run, folder):
        found |= _files(client, run, one.path) if one.is_dir else {one.path}
    return found


def test_the_launchpad_fixes_parameters_trials_and_seed(company: Company) -> None:
    asked = {"parameters": {"max_iter": 15}, "trials": 3, "seed": 5}
    assert company.run("gradient_boosting", config=asked).success
    said = company.metadata("gradient_boosting")
    assert (said["parameters"]["max_iter"], said["trials"]) == (15, 3)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"parameters": {"iterations": 3}}, "gradient_boosting has no parameter 'iterations'; known are l2_regularization"),
        ({"parameters": {"max_iter": "many"}}, "max_iter of gradient_boosting is 'many'; expected a whole number"),
        ({"trials": 0}, "0 trials were asked for; expected at least 1"),
    ],
)
def test_a_launchpad_that_makes_no_sense_fails_in_a_sentence(company: Company, config: dict[str, Any], said: str) -> None:
    before = company.state()
    result = company.run("gradient_boosting", config=config)
    error, wrong_input = why(result)
    assert (said in error, wrong_input) == (True, True), error
    assert company.state() == before


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"visits": float("inf")}, "rows to train on an infinite value, or one beyond 3.4e38, is in visits in"),
        ({"churned": True}, "rows to train on churned; expected both"),
        ({"visits": None, "spend": None}, "passed"),
    ],
)
def test_what_a_family_can_not_learn_from_fails_in_a_sentence_and_leaves_all_as_it_was(
    company: Company, broken: dict[str, Any], said: str
) -> None:
    lake = company.lake
    known, before = lake.version("training_set"), company.state()
    rows = lake.read("training_set", "all")
    values = [pl.lit(value, dtype=rows.schema[name]).alias(name) for name, value in broken.items()]
    company.write_training_set(rows.with_columns(values))
    try:
        result = company.run("logistic_regression", "candidate_model", "model_blessing", "champion")
        error, _ = why(result)
        if said == "passed":  # the word that is left is enough, but the other family was fitted on other rows
            assert "gradient_boosting of version" in error
            assert company.metadata("logistic_regression")["constant_features"] == "visits, spend"
        else:
            assert said in error
            assert company.state() == before
        assert company.state()["release"] == before["release"]
        assert company.state()["candidate_model"] == before["candidate_model"]
    finally:
        company.write_training_set(rows)
    assert lake.version("training_set") == known + 2


def test_the_command_prints_the_family_beside_the_others_and_releases_nothing_without_the_gate(company: Company) -> None:
    before = company.store.newest()
    asked = ["--family", "logistic_regression", "--set", "C=0.5", "--set", "max_iter=300", "--trials", "2"]
    result = CliRunner().invoke(train, asked, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert next(line.split()[:2] for line in lines if line.startswith("*")) == ["*", "logistic_regression"]
    assert any(line.startswith("  gradient_boosting ") for line in lines)
    assert "* logistic_regression: C 0.5, max_iter 300; " in result.output
    assert "rows, peak memory " in result.output
    assert f"{company.metadata('logistic_regression')['log_loss']:.4f}" in result.output
    assert company.store.newest() == before


def test_the_command_lets_the_gate_judge(company: Company) -> None:
    assert company.run("logistic_regression").success
    assert company.run("gradient_boosting").success
    blessed = company.metadata("model_blessing")
    result = CliRunner().invoke(
        train, ["--family", "logistic_regression", "--set", "C=0.2", "--judge"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "The gate: " in result.output
    assert company.metadata("model_blessing")["candidate"] != blessed["candidate"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ["--family", "xgboost"],
            "--family xgboost: the families of this company are logistic_regression, gradient_boosting",
        ),
        (["--family", "logistic_regression", "--set", "C"], "--set C: expected NAME=VALUE with a number"),
        (["--family", "logistic_regression", "--set", "C=none"], "--set C=none: expected NAME=VALUE with a number"),
        (
            ["--family", "logistic_regression", "--set", "penalty=1"],
            "logistic_regression has no parameter 'penalty'; known are C,",
        ),
        (
            ["--family", "logistic_regression", "--set", "C=-1"],
            "C of logistic_regression is -1; expected a number from 1e-08",
        ),
    ],
)
def test_a_command_that_makes_no_sense_is_a_sentence(company: Company, asked: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(churn, ["train", *asked], catch_exceptions=False)


def test_a_training_set_that_is_refused_leaves_the_gate_as_it_was(company: Company) -> None:
    """Its checks were planned and never evaluated; the table that is there passed them."""
    training = company.settings.training.model_copy(update={"minimum_rows": 100_000})
    other = Company(company.folder, company.settings.model_copy(update={"training": training}), company.instance)
    error, wrong_input = why(other.run("training_set"))
    assert ("expected at least 100000" in error, wrong_input) == (True, True), error
    # A model of its own: one that serves already would not be judged again.
    CliRunner().invoke(train, ["--family", "logistic_regression", "--set", "C=0.15", "--judge"], catch_exceptions=False)
    assert "data_quality_green: passed" in company.metadata("model_blessing")["reasons"]


def test_the_gate_takes_no_family_that_was_fitted_under_other_settings(company: Company) -> None:
    features = company.settings.features.model_copy(update={"exclude": ("spend",)})
    other = Company(company.folder, company.settings.model_copy(update={"features": features}), company.instance)
    before = company.state()
    error, wrong_input = why(other.run("logistic_regression", "candidate_model", "model_blessing", "champion"))
    assert (error.startswith("gradient_boosting was fitted with other features"), wrong_input) == (True, True), error
    assert company.state()["release"] == before["release"]
    assert company.run("logistic_regression").success


def test_the_command_refuses_to_judge_families_of_other_settings_before_it_fits(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = company.state()
    changed = company.folder / "changed.yaml"
    changed.write_text(CONFIGURATION + "features: {exclude: [spend]}\n")
    monkeypatch.setenv("CHURN_CONFIG", str(changed))
    asked = ["train", "--family", "logistic_regression", "--judge"]
    with pytest.raises(
        InputError, match=r"gradient_boosting was fitted with other features.*run the job retrain, or `churn demo`"
    ):
        CliRunner().invoke(churn, asked, catch_exceptions=False)
    assert company.state() == before


def test_a_tracking_server_that_is_away_fails_the_run_before_anything_is_made(company: Company) -> None:
    before = company.state()
    tracking = company.settings.tracking.model_copy(update={"uri": "http://127.0.0.1:9"})
    away = Company(company.folder, company.settings.model_copy(update={"tracking": tracking}), company.instance)
    error, wrong_input = why(away.run("logistic_regression", "candidate_model"))
    assert (
        error
        == "the MLflow at http://127.0.0.1:9 does not answer as it should (ConnectError); start it, or set tracking.uri"
    )
    assert wrong_input
    assert company.state() == before


class Sick(BaseHTTPRequestHandler):
    """A server that answers every question with an error."""

    def do_GET(self) -> None:
        """Never well."""
        self.send_error(503)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        """Say nothing."""


def test_a_tracking_server_that_is_sick_is_named_without_its_password(company: Company) -> None:
    server = HTTPServer(("127.0.0.1", 0), Sick)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://somebody:secret@127.0.0.1:{server.server_port}"
        tracking = company.settings.tracking.model_copy(update={"uri": address})
        sick = Company(company.folder, company.settings.model_copy(update={"tracking": tracking}), company.instance)
        error, _ = why(sick.run("logistic_regression"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert f"the MLflow at http://127.0.0.1:{server.server_port} does not answer as it should (" in error
    assert "secret" not in error


def test_the_launchpad_of_retrain_takes_families_trials_and_seed_and_the_demo_trains_again_as_configured(
    company: Company,
) -> None:
    defs = build_defs(company.settings)
    graph = Graph(defs, company.settings, open_source(company.settings), company.store, company.instance)
    asked = {"families": ["logistic_regression"], "trials": 1, "seed": 5}
    result = defs.resolve_job_def(RETRAIN).execute_in_process(
        instance=company.instance, run_config={**QUIET, **asked}, raise_on_error=False
    )
    assert result.success, why(result)
    candidate, left_out = company.metadata("candidate_model"), company.metadata("gradient_boosting")
    assert (candidate["family"], candidate["seed"], candidate["left_out"]) == (
        "logistic_regression",
        5,
        "gradient_boosting",
    )
    assert left_out["left_out"] == "not fitted: this run has left the family out"
    assert company.metadata("logistic_regression")["trials"] == 0
    client = mlflow.MlflowClient(company.settings.tracking_uri)
    assert client.get_run(candidate["mlflow_run"]).data.params["seed"] == "5"

    card = newest_report(company.store.engine, "card")
    row = company.store.newest()
    assert card is not None
    assert row is not None
    assert (card.release, card.digest) == (row.champion, company.metadata("champion")["report_sha256"])

    steps = {step.job: step for step in run_all(graph, started=lambda _: None)}
    assert (steps[RETRAIN].skipped, steps[RETRAIN].error) == (False, None)
    candidate = company.metadata("candidate_model")
    assert (candidate["seed"], candidate["left_out"]) == (company.settings.training.seed, "none")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"trials": 0}, "0 trials were asked for; expected at least 1"),
        ({"seed": -1}, "the seed -1 was asked for; expected a whole number from 0"),
    ],
)
def test_what_the_launchpad_can_t_mean_ends_the_run_in_a_sentence(
    company: Company, asked: dict[str, Any], said: str
) -> None:
    before = company.state()
    result = (
        build_defs(company.settings)
        .resolve_job_def(RETRAIN)
        .execute_in_process(instance=company.instance, run_config={**QUIET, **asked}, raise_on_error=False)
    )
    sentence, wrong_input = why(result)
    assert wrong_input
    assert said in sentence
    assert company.state() == before


def test_a_family_that_the_company_does_not_have_is_refused_before_the_run(company: Company) -> None:
    job = build_defs(company.settings).resolve_job_def(RETRAIN)
    with pytest.raises(dg.DagsterInvalidConfigError, match="not in enum type FamilyOfTheCompany got oracle"):
        job.execute_in_process(instance=company.instance, run_config={**QUIET, "families": ["oracle"]})
