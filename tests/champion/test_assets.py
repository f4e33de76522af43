"""The assets of the gate: what they judge on, and what they say of it."""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.champion.assets import CandidateModel, Verdict, champion_assets
from churn_assets.champion.candidate import build, describe
from churn_assets.champion.gate import RULES, failed
from churn_assets.materialization import columns_schema
from churn_assets.raw.sources import open_source
from churn_assets.resources.lake import Lake, digest
from churn_assets.resources.serving import ServingStore
from churn_assets.settings import Settings
from churn_assets.training.fitting import Fitted
from churn_assets.training.split import JUDGE, roles_by_customer
from churn_store.manifest import TableVersion
from churn_store.releases import stage
from tests.champion.world import NOW_S, attributes, company_of_one_table, released, training_set

CUSTOMERS = 1_500


@dataclass(frozen=True)
class Company:
    """A company of data without time: a row a customer."""

    settings: Settings
    lake: Lake
    serving: ServingStore

    def with_seed(self, seed: int) -> "Company":
        """The same one after somebody has edited ``training.seed``."""
        training = self.settings.training.model_copy(update={"seed": seed})
        return Company(self.settings.model_copy(update={"training": training}), self.lake, self.serving)

    def write_training_set(self) -> pl.DataFrame:
        """Materialize ``training_set``."""
        rows = (
            training_set()
            .drop("snapshot_s")
            .head(CUSTOMERS)
            .with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
        )
        split = rows.with_columns(role=roles_by_customer(rows, self.settings.training))
        self.lake.replace("training_set", {"all": split}, run_id="test")
        return self.lake.read("training_set", "all")

    def candidate(self, rows: pl.DataFrame, *, seed: int = 1) -> CandidateModel:
        """Materialize ``candidate_model``."""
        blind = rows.with_columns(pl.col("visits").shuffle(seed=seed)) if seed else rows
        made = build("logistic_regression", blind, attributes(), seed=1)
        read = TableVersion(self.lake.version("training_set"), digest(rows, key=["customer_id"]))
        manifest = describe(
            made,
            settings=self.settings,
            chosen=Fitted("logistic_regression", {"auc": 0.7}, 0.5),
            training_set=rows,
            metrics={"auc": 0.7},
            tables={"training_set": read},
            mlflow={},
            now_s=NOW_S,
        )
        return CandidateModel(made.pipeline, stage(self.serving.files, made.files, manifest))

    def judged(self, candidate: CandidateModel) -> tuple[Verdict, dict[str, object]]:
        """Materialize ``model_blessing`` alone: its value and its metadata."""
        _, blessing, _ = champion_assets(self.settings, attributes(), open_source(self.settings))
        result, *checks = blessing(
            dg.build_asset_context(), candidate, lake=self.lake, clock=self.settings.clock, serving=self.serving
        )
        assert len(checks) == len(RULES)
        return result.value, result.metadata


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    settings = company_of_one_table(tmp_path, monkeypatch)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    return Company(settings, Lake(settings.lake_url), serving)


def test_a_candidate_of_the_present_training_set_is_judged_on_its_judging_rows(company: Company) -> None:
    rows = company.write_training_set()
    candidate = company.candidate(rows, seed=0)
    verdict, said = company.judged(candidate)
    assert verdict.blessing.verdict == "accepted"
    assert said["dagster/row_count"] == rows.filter(role=JUDGE).height
    assert said["dagster/column_schema"] == columns_schema(candidate.manifest.signature.columns)


def test_a_training_set_made_anew_with_another_seed_judges_no_older_candidate(company: Company) -> None:
    """Its judging rows are some that the candidate was trained on."""
    candidate = company.candidate(company.write_training_set(), seed=0)
    again = company.with_seed(43)
    again.write_training_set()
    verdict, _ = again.judged(candidate)
    assert verdict.blessing.verdict == "rejected"
    assert all("training_set has changed since the candidate was made" in rule.found for rule in verdict.blessing.rules)


def test_a_training_set_made_anew_with_the_same_rows_still_judges(company: Company) -> None:
    candidate = company.candidate(company.write_training_set(), seed=0)
    company.write_training_set()
    assert company.judged(candidate)[0].blessing.verdict == "accepted"


def test_a_candidate_of_another_split_than_the_champion_is_rejected_until_the_seed_is_set_back(company: Company) -> None:
    """The rows that would judge both are some that the champion was trained on."""
    worse = company.candidate(company.write_training_set(), seed=5)
    released(company.serving.engine, company.serving.files, worse.manifest)
    again = company.with_seed(43)
    verdict, _ = again.judged(again.candidate(again.write_training_set(), seed=0))
    assert [rule.name for rule in failed(verdict.blessing)] == ["judging_rows_are_later"]
    assert "the champion's split by customer: seed 42, held out 0.3" in failed(verdict.blessing)[0].found
    assert company.judged(company.candidate(company.write_training_set(), seed=0))[0].blessing.verdict == "accepted"
