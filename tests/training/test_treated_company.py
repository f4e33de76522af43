"""A company that calls its customers, from its campaigns to the verdict: the treated are left out, and without propensities nothing is decided."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.jobs import RETRAIN
from churn_assets.automation.runner import Graph, run_all
from churn_assets.build import build_defs
from churn_assets.champion.card.model_card import document_of
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.settings.training import Training
from churn_assets.simulator.campaigns import Campaign
from churn_assets.simulator.source import SyntheticSettings
from churn_assets.tables import JUDGE, WEIGHT
from churn_assets.training.rebuild import rebuild
from churn_store.database.intake import Sender
from churn_store.database.migrate import migrate
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.treatments.log import Treatment, record
from tests.release_factory import NOW_S

pytestmark = pytest.mark.integration

JUDGED = dt.date(2024, 9, 1)


@dataclass(frozen=True)
class Company:
    """A graph of a company with a campaign, and its lake."""

    graph: Graph
    lake: Lake

    def made(self) -> tuple[pl.DataFrame, Manifest, Blessing]:
        """The training set, the candidate's manifest and the newest verdict."""
        blessing = newest_blessings(self.graph.serving.engine)[0]
        return self.lake.read("training_set", "all"), load_manifest(self.graph.serving.files, blessing.candidate), blessing


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    settings = Settings(
        company="small",
        home=tmp_path / ".churn",
        source=SyntheticSettings(
            customers=1_500, monthly_churn=0.1, campaigns=(Campaign(day=JUDGED, share=0.3, holdout=0.4),)
        ),
        features=Features(first_snapshot=dt.date(2024, 4, 1)),
        training=Training(
            families=("logistic_regression",), judging_snapshots=1, selecting_snapshots=2, training_snapshots=3, trials=1,
            minimum_rows=50,
        ),
    )  # fmt: skip
    settings.clock.fix(dt.datetime(2024, 11, 10, tzinfo=dt.UTC))
    migrate(settings.database_url)
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield Company(
            Graph(build_defs(settings), settings, open_source(settings), store, instance), Lake(settings.lake_url)
        )


def test_the_treated_are_left_out_weighed_for_and_told_and_treatments_without_a_propensity_decide_nothing(
    company: Company,
) -> None:
    for step in run_all(company.graph, started=lambda _: None):
        assert step.error is None, f"{step.job}: {step.error}"
        if step.job == RETRAIN:
            break
    rows, manifest, blessing = company.made()
    judging = rows.filter(pl.col("role") == JUDGE)
    campaign = company.lake.scan("treatments").collect()
    assert not set(campaign.filter("treated")["customer_id"]) & set(judging["customer_id"])
    held_out = campaign.filter(~pl.col("treated"))["customer_id"]
    assert judging.filter(pl.col("customer_id").is_in(held_out.implode()))[WEIGHT].unique().to_list() == [
        pytest.approx(2.5)
    ]
    assert isinstance(manifest.treated, str)
    assert manifest.treated.startswith("left out and weighted: ")
    assert set(manifest.tables) == {"training_set", "customer_features", "churn_labels", "treatments"}
    assert manifest.judging_rows == judging.height
    assert manifest.treated in str(document_of(manifest, None, verdict=blessing))
    assert "data_quality_green" not in {rule.name for rule in blessing.rules if not rule.passed}
    assert "export_equals_pipeline" not in {rule.name for rule in blessing.rules if not rule.passed}
    again = rebuild(company.lake, manifest)
    assert again.is_equal, again.comparison

    day_s = int(dt.datetime(2024, 9, 5, tzinfo=dt.UTC).timestamp())
    record(company.graph.serving.engine, [Treatment(judging["customer_id"][0], day_s)], Sender("k", "r", NOW_S))
    job = company.graph.defs.resolve_job_def(RETRAIN)
    assert job.execute_in_process(instance=company.graph.instance).success
    rows, manifest, blessing = company.made()
    assert isinstance(manifest.treated, str)
    assert manifest.treated.startswith("unknown: the labels of 2024-09-01 can't be weighted, as the propensity of 1 of ")
    assert rows.filter(pl.col("role") == JUDGE)[WEIGHT].null_count() > judging.height
    [rule] = [one for one in blessing.rules if one.name == "data_quality_green"]
    assert (rule.passed, rule.undecided) == (False, True)
    assert blessing.verdict in ("undecided", "rejected")
