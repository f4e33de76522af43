"""The assets of the gate: what they judge on, what they say of it, and that a fault in what they read promotes nothing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import msgspec
import polars as pl
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.champion.assets import champion_assets
from churn_assets.champion.candidate import Candidate, build, describe
from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.gate.verdict import RULES, failed
from churn_assets.champion.mlflow_logging import log_candidate
from churn_assets.champion.same_model import registered_version
from churn_assets.cli.features import features
from churn_assets.connectors.open_source import open_source
from churn_assets.evaluation.evaluate import evaluate
from churn_assets.features.assets import feature_assets
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.raw.assets import raw_assets
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.profit import Profit
from churn_assets.tables import JUDGE
from churn_assets.training.assets import training_assets
from churn_assets.training.fitted_family import GOLDEN, MODEL, PROBABILITIES, FittedFamily, as_document, contents
from churn_assets.training.fitting import fit_family
from churn_assets.training.split import roles_by_customer
from churn_store.errors import DiskError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_file, stage
from churn_store.releases.log import newest
from churn_store.releases.manifest import Blessing, Evaluation, Manifest, TableVersion
from tests.champion.world import NOW_S, attributes, company_of_one_table, released, training_set

pytestmark = pytest.mark.integration

CUSTOMERS = 1_800
CHECKED = ("training_set", "customer_features", "churn_labels")

MADE: dict[tuple[str, int, int], tuple[FittedFamily, dict[str, bytes], Candidate, Evaluation]] = {}
"""Candidates by the digest of their training set and the seeds; a fault touches their files, not them."""


@dataclass(frozen=True)
class Company:
    """A company of data without time: a row a customer."""

    settings: Settings
    lake: Lake
    serving: ServingStore
    instance: dg.DagsterInstance

    def with_seed(self, seed: int) -> "Company":
        """The same one after somebody has edited ``training.seed``."""
        training = self.settings.training.model_copy(update={"seed": seed})
        return Company(self.settings.model_copy(update={"training": training}), self.lake, self.serving, self.instance)

    @cached_property
    def upstream(self) -> list[dg.AssetsDefinition]:
        """The assets of the tables that a candidate is made of."""
        source = open_source(self.settings)
        return [
            *raw_assets(
                source,
                None,
                described=self.settings.source,
                timeline=None,
                raw=self.settings.raw,
                quality=self.settings.quality,
            ),
            *feature_assets(
                attributes(),
                None,
                timeline=None,
                tables=self.settings.tables,
                at_risk=self.settings.at_risk,
                label=self.settings.label,
                events=self.settings.events,
                quality=self.settings.quality,
                engine=self.settings.engine,
                spark=self.settings.spark,
            ),
            *training_assets(self.settings, attributes()),
        ]

    def write_training_set(self) -> pl.DataFrame:
        """Materialize ``training_set``; every check of it and of what it is made of passes."""
        rows = (
            training_set()
            .drop("snapshot_s")
            .head(CUSTOMERS)
            .with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
        )
        split = rows.with_columns(role=roles_by_customer(rows, self.settings.training))
        self.lake.replace("training_set", {"all": split}, run_id="test")
        self.check(*CHECKED, passed=True)
        return self.lake.read("training_set", "all")

    def check(self, *tables: str, passed: bool) -> None:
        """Evaluate the blocking checks of some tables."""
        for spec in (spec for asset in self.upstream for spec in asset.check_specs):
            if spec.asset_key.to_user_string() in tables:
                self.instance.report_runless_asset_event(
                    dg.AssetCheckEvaluation(asset_key=spec.asset_key, check_name=spec.name, passed=passed, metadata={})
                )

    def candidate(self, rows: pl.DataFrame, *, seed: int = 1) -> CandidateModel:
        """Materialize ``candidate_model``; with a seed its family saw visits that say nothing."""
        made_of = TableVersion(self.lake.version("training_set"), digest(rows, key=["customer_id"]))
        key = (str(made_of.digest), self.settings.training.seed, seed)
        if key not in MADE:
            blind = rows.with_columns(pl.col("visits").shuffle(seed=seed)) if seed else rows
            fitted = fit_family("logistic_regression", blind, attributes(), self.settings.fitting, data=made_of)
            left = contents(fitted, rows, seed=1)
            made = build(fitted.signature, model=left[MODEL], golden=left[GOLDEN], training_set=rows, seed=1)
            evaluation = evaluate(
                rows,
                made.scorer,
                threshold=fitted.threshold,
                profit=self.settings.profit,
                evaluation=self.settings.evaluation,
                seed=self.settings.training.seed,
            )
            MADE[key] = as_document(fitted, {}), left, made, evaluation
        chosen, left, made, evaluation = MADE[key]
        manifest = describe(
            made,
            company=self.settings.company,
            purpose=self.settings.purpose,
            settings=self.settings.fitting,
            chosen=chosen,
            training_set=rows,
            metrics={"auc": 0.7},
            evaluation=evaluation,
            tables={"training_set": made_of},
            mlflow={},
            now_s=NOW_S,
        )
        return CandidateModel(
            candidate=stage(self.serving.files, made.files, manifest).candidate,
            probabilities=self.serving.files.put(left[PROBABILITIES]),
            configured=chosen.configured,
        )

    def manifest(self, candidate: CandidateModel) -> Manifest:
        """Of a candidate that was materialized."""
        return candidate.manifest(self.serving.files)

    def judged(self, candidate: CandidateModel) -> tuple[Blessing, dict[str, Any]]:
        """Materialize ``model_blessing`` alone: its value and its metadata."""
        blessing: Any
        _, blessing, _ = champion_assets(self.settings, open_source(self.settings), attributes(), self.upstream)
        with dg.build_asset_context(instance=self.instance) as context:
            result, *checks = blessing(context, candidate, lake=self.lake, clock=self.settings.clock, serving=self.serving)
        assert len(checks) == len(RULES)
        return result.value, result.metadata


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    settings = company_of_one_table(tmp_path, monkeypatch)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Company(settings, Lake(settings.lake_url), serving, instance)


def test_a_candidate_of_the_present_training_set_is_judged_on_its_judging_rows(company: Company) -> None:
    rows = company.write_training_set()
    candidate = company.candidate(rows, seed=0)
    verdict, said = company.judged(candidate)
    assert verdict.verdict == "accepted"
    assert said["dagster/row_count"] == rows.filter(role=JUDGE).height
    assert list(said)[:3] == ["verdict", "verdict_in_words", "reasons"]
    assert "dagster/column_schema" not in said


def test_a_training_set_made_anew_with_another_seed_judges_no_older_candidate(company: Company) -> None:
    """A setting that its family was fitted under is another one now."""
    candidate = company.candidate(company.write_training_set(), seed=0)
    again = company.with_seed(43)
    again.write_training_set()
    verdict, _ = again.judged(candidate)
    assert verdict.verdict == "rejected"
    assert all("logistic_regression was fitted with other features" in rule.found for rule in verdict.rules)


def test_a_candidate_is_judged_on_the_version_that_it_was_made_of_though_a_newer_one_is_there(company: Company) -> None:
    """The newer one's judging rows may be some that the candidate was trained on."""
    rows = company.write_training_set()
    candidate = company.candidate(rows, seed=0)
    first, said = company.judged(candidate)
    fewer = rows.filter((pl.col("role") != JUDGE) | ~pl.col("churned"))
    company.lake.replace("training_set", {"all": fewer}, run_id="test")
    again, of_newer = company.judged(candidate)
    assert first.verdict == again.verdict == "accepted"
    assert said["dagster/row_count"] == of_newer["dagster/row_count"] > fewer.filter(role=JUDGE).height
    figures = [{rule.name: rule.found for rule in one.rules if rule.name != "latency"} for one in (first, again)]
    assert figures[0] == figures[1]


def test_a_candidate_of_other_settings_is_judged_no_more(company: Company) -> None:
    """Its threshold is of costs that nobody has any longer."""
    candidate = company.candidate(company.write_training_set(), seed=0)
    settings = company.settings.model_copy(update={"profit": Profit(customer_value=60)})
    verdict, _ = Company(settings, company.lake, company.serving, company.instance).judged(candidate)
    assert verdict.verdict == "rejected"
    assert all("logistic_regression was fitted with other features" in rule.found for rule in verdict.rules)


def test_a_training_set_made_anew_with_the_same_rows_still_judges(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    company.write_training_set()
    assert company.judged(candidate)[0].verdict == "accepted"


def test_a_candidate_of_another_split_than_the_champion_is_rejected_until_the_seed_is_set_back(company: Company) -> None:
    """The rows that would judge both are some that the champion was trained on."""
    worse = company.candidate(company.write_training_set(), seed=5)
    released(company.serving.engine, company.serving.files, company.manifest(worse))
    again = company.with_seed(43)
    verdict, _ = again.judged(again.candidate(again.write_training_set(), seed=0))
    assert verdict.verdict == "rejected"
    assert [rule.name for rule in failed(verdict) if not rule.undecided] == ["judging_rows_are_later"]
    assert "the champion's split by customer: seed 42, held out 0.3" in failed(verdict)[0].found
    assert company.judged(company.candidate(company.write_training_set(), seed=0))[0].verdict == "accepted"


def test_what_serves_is_not_judged_against_itself(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    released(company.serving.engine, company.serving.files, company.manifest(candidate))
    with pytest.raises(dg.Failure, match=r"serves already \(epoch 1\)"):
        company.judged(candidate)
    assert [blessing.verdict for blessing in newest_blessings(company.serving.engine)] == ["accepted"]


def test_the_model_that_serves_made_again_is_not_judged_and_keeps_its_verdict(company: Company) -> None:
    """Another run gives the same ``model.onnx`` another manifest, and so another candidate."""
    rows = company.write_training_set()
    candidate = company.candidate(rows, seed=0)
    manifest = company.manifest(candidate)
    served = released(company.serving.engine, company.serving.files, manifest)
    contents_again = {name: load_file(company.serving.files, manifest, name) for name in manifest.files}
    changed = msgspec.structs.replace(manifest, created_s=NOW_S + 60, threshold=manifest.threshold / 2)
    made_again = stage(company.serving.files, contents_again, changed)
    assert made_again.candidate != manifest.candidate
    again = msgspec.structs.replace(candidate, candidate=made_again.candidate)
    kept, metadata = company.judged(again)
    assert kept == served.manifest.blessing
    assert metadata["same_model"] == made_again.candidate
    assert metadata["why"].startswith("the same model.onnx serves already (epoch 1); it is not judged against itself")
    assert "Its threshold would now be" in metadata["why"]
    assert [blessing.candidate for blessing in newest_blessings(company.serving.engine)] == [manifest.candidate]
    champion: Any
    *_, champion = champion_assets(company.settings, open_source(company.settings), attributes(), company.upstream)
    said = champion(
        dg.build_asset_context(instance=company.instance),
        again,
        kept,
        clock=company.settings.clock,
        serving=company.serving,
        mlflow=None,
    )
    assert (said.metadata["published"], said.metadata["epoch"]) == (False, 1)
    assert newest(company.serving.engine).champion == served.digest


def test_a_registered_version_says_what_it_is_worth_and_the_same_model_is_registered_once(
    company: Company, tmp_path: Path
) -> None:
    rows = company.write_training_set()
    company.candidate(rows, seed=0)
    [(chosen, _, made, _)] = [found for key, found in MADE.items() if key[2] == 0 and key[1] == 42][-1:]
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("test", artifact_location=str(tmp_path / "artifacts")))
    client = MlflowClient()
    resource: Any = ModuleWithClient(client)
    model_sha256 = company.manifest(company.candidate(rows, seed=0)).model_sha256
    logged = []
    for _ in range(2):
        there = registered_version(client, company.serving, name="churn", model_sha256=model_sha256)
        logged.append(
            log_candidate(
                resource,
                made,
                model_name="churn",
                chosen=chosen,
                training_set=rows,
                data=TableVersion(0, "0" * 64),
                data_uri=str(tmp_path),
                metrics={"auc": 0.71234},
                pictures={},
                registered=there,
                backtest_auc=0.7,
            )
        )
    assert [one["model_version"] for one in logged] == ["1", "1"]
    assert logged[0]["run_id"] != logged[1]["run_id"]
    assert len(client.search_model_versions("name = 'churn'")) == 1
    assert client.get_model_version("churn", "1").tags == {
        "family": "logistic_regression",
        "held_out_auc": "0.7123",
        "folds_mean_log_loss": "no search",
        "folds_mean_auc": "0.7000",
        "model_sha256": model_sha256,
    }


class ModuleWithClient:
    """MLflow as the resource of dagster-mlflow gives it: the module's functions, and a client."""

    def __init__(self, client: MlflowClient) -> None:
        self.tracking_client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(mlflow, name)


def test_each_further_model_that_asks_the_same_rows_is_held_to_more(company: Company) -> None:
    """Twenty equal models would else be worth one false promotion in six."""
    rows = company.write_training_set()
    released(company.serving.engine, company.serving.files, company.manifest(company.candidate(rows, seed=5)))
    tried = [company.judged(company.candidate(rows, seed=seed))[0] for seed in (1, 2, 3, 2)]
    said = [next(rule.found for rule in one.rules if rule.name == "more_profit_than_champion") for one in tried]
    assert "compared on these rows" not in said[0]
    assert said[1].endswith("2 models were compared on these rows, so this one needs a bound of 98.75%")
    assert said[2].endswith("3 models were compared on these rows, so this one needs a bound of 99.44%")
    assert said[3].endswith("3 models were compared on these rows, so this one needs a bound of 99.44%"), "no further try"


def test_every_blocking_check_of_what_a_candidate_is_made_of_counts(company: Company) -> None:
    """The gate asks the definitions which there are, so that a new one counts by itself."""
    candidate = company.candidate(company.write_training_set(), seed=0)
    [quality] = [rule for rule in company.judged(candidate)[0].rules if rule.name == "data_quality_green"]
    specs = [spec for asset in company.upstream for spec in asset.check_specs if spec.blocking]
    expected = [spec for spec in specs if spec.asset_key.to_user_string() in CHECKED]
    assert quality.found.startswith(f"{len(expected)} checks of {len(CHECKED)} tables have passed")


@pytest.mark.parametrize("table", CHECKED)
def test_a_check_that_failed_last_or_was_never_evaluated_is_not_green(company: Company, table: str) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    company.check(table, passed=False)
    verdict, _ = company.judged(candidate)
    assert [rule.name for rule in failed(verdict)] == ["data_quality_green"]
    assert table in failed(verdict)[0].found
    company.check(table, passed=True)
    assert company.judged(candidate)[0].verdict == "accepted"


def test_a_raw_table_whose_check_failed_is_not_green(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    company.check("customers", passed=False)
    assert [rule.name for rule in failed(company.judged(candidate)[0])] == ["data_quality_green"]


def test_checks_that_nobody_evaluated_are_not_green(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    with dg.DagsterInstance.ephemeral() as other:
        verdict, _ = Company(company.settings, company.lake, company.serving, other).judged(candidate)
    assert "customer_features: schema not evaluated" in failed(verdict)[0].found


def without_model(company: Company, candidate: CandidateModel) -> None:
    [file] = Path(company.settings.releases_url).rglob(company.manifest(candidate).files["model.onnx"].sha256)
    file.unlink()


def without_golden(company: Company, candidate: CandidateModel) -> None:
    [file] = Path(company.settings.releases_url).rglob(company.manifest(candidate).files["golden.json"].sha256)
    file.write_bytes(file.read_bytes()[:100])


def without_champion_model(company: Company, candidate: CandidateModel) -> None:
    row = newest(company.serving.engine)
    assert row is not None
    [file] = Path(company.settings.releases_url).rglob(row.champion)
    file.unlink()


def without_training_set(company: Company, candidate: CandidateModel) -> None:
    for file in (Path(company.settings.lake_url) / "training_set").rglob("*.parquet"):
        file.unlink()


def other_training_set(company: Company, candidate: CandidateModel) -> None:
    """The table begun anew: the version of that number has other rows."""
    version = company.lake.version("training_set")
    rows = company.lake.read("training_set", "all")
    shutil.rmtree(Path(company.settings.lake_url) / "training_set")
    for _ in range(version + 1):
        company.lake.replace("training_set", {"all": rows.with_columns(~pl.col("churned"))}, run_id="test")
    assert company.lake.version("training_set") >= version


def without_probabilities(company: Company, candidate: CandidateModel) -> None:
    [file] = Path(company.settings.releases_url).rglob(candidate.probabilities)
    file.unlink()


def probabilities_cut_short(company: Company, candidate: CandidateModel) -> None:
    [file] = Path(company.settings.releases_url).rglob(candidate.probabilities)
    file.write_bytes(file.read_bytes()[:-40])


def without_releases_table(company: Company, candidate: CandidateModel) -> None:
    with company.serving.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE releases RENAME TO gone")


def clock_that_says_nothing(company: Company, candidate: CandidateModel) -> None:
    company.settings.home.joinpath("as_of").write_text("soon")


def without_database(company: Company, candidate: CandidateModel) -> None:
    company.serving.engine.dispose()
    for file in company.settings.home.glob("serving.db*"):
        file.unlink()


@pytest.mark.parametrize(
    "fault",
    [
        without_model,
        without_golden,
        without_champion_model,
        without_probabilities,
        probabilities_cut_short,
        without_training_set,
        other_training_set,
        without_releases_table,
        clock_that_says_nothing,
        without_database,
    ],
)
def test_a_fault_in_what_the_gate_reads_promotes_nothing(
    company: Company, fault: Callable[[Company, CandidateModel], None]
) -> None:
    """Either the verdict is a rejection, or there is none: the asset behind the gate is then not run."""
    rows = company.write_training_set()
    worse = company.candidate(rows, seed=5)
    released(company.serving.engine, company.serving.files, company.manifest(worse))
    candidate = company.candidate(rows, seed=0)
    assert company.judged(candidate)[0].verdict == "accepted"
    fault(company, candidate)
    if fault in (clock_that_says_nothing, without_database):
        with pytest.raises((dg.Failure, SQLAlchemyError, DiskError)):
            company.judged(candidate)
    else:
        verdict, _ = company.judged(candidate)
        assert verdict.verdict == "rejected"
        assert {rule.name for rule in failed(verdict)} == set(RULES)


def test_probabilities_of_another_model_are_no_proof_of_this_export(company: Company) -> None:
    rows = company.write_training_set()
    other, candidate = company.candidate(rows, seed=5), company.candidate(rows, seed=0)
    verdict, _ = company.judged(msgspec.structs.replace(candidate, probabilities=other.probabilities))
    assert verdict.verdict == "rejected"
    [rule] = failed(verdict)
    assert rule.name == "export_equals_pipeline"
    assert "the pipeline's probabilities are of model" in rule.found


def test_a_candidate_whose_manifest_is_gone_is_not_judged_and_says_what_to_do(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    [file] = Path(company.settings.releases_url).rglob(candidate.candidate)
    file.unlink()
    with pytest.raises(dg.Failure, match="materialize candidate_model again"):
        company.judged(candidate)
    assert newest_blessings(company.serving.engine) == []


def test_the_command_audits_the_features_of_the_release_that_serves(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal() -> str:
        return str(CliRunner().invoke(features, ["audit"]).exception)

    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    assert "no release serves" in refusal()
    candidate = company.candidate(company.write_training_set(), seed=0)
    serving = released(company.serving.engine, company.serving.files, company.manifest(candidate))
    assert "needs spend, plan, which is no feature of this company any more" in refusal()
    config = tmp_path / "churn.yaml"
    more = "attributes: {spend: {column: s, kind: number}, plan: {column: p, kind: category}, "
    config.write_text(config.read_text().replace("attributes: {", more))

    dropped = ["--drop", "spend", "--drop", "visits", "--drop", "spend,plan"]
    ran = CliRunner().invoke(features, ["audit", *dropped, "--json"], catch_exceptions=False)
    found = msgspec.json.decode(ran.stdout)
    assert (found["release"], found["family"]) == (serving.digest, "logistic_regression")
    # Data without time has one fold.
    assert found["rows"] == company.lake.read("training_set", "all").filter(role="select").height
    first, *others = found["left_out"]
    assert (first["features"], first["verdict"]) == (["visits"], "earns")
    assert 0 < first["profit"]["low"] < first["profit"]["value"] < first["profit"]["high"]
    assert {tuple(left_out["features"]) for left_out in others} == {("spend",), ("spend", "plan")}
    for_people = CliRunner().invoke(features, ["audit", "--drop", "visits"], catch_exceptions=False).stdout
    assert for_people.startswith(f"feature audit of logistic_regression, release {serving.digest[:12]}")
    assert "2 fits in " in for_people
