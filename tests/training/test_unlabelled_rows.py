"""A bank's table with today's customers among the rows: from file to scores, and nothing of a model hangs on who has no label."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.jobs import FEATURES, INGEST, LABELS, SCORE
from churn_assets.automation.runner import Graph, run_all
from churn_assets.build import build_defs
from churn_assets.cli.without_time import had_left, scored, trained_on
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.releases.manifest import Manifest
from tests.bank import bank, write_bank

pytestmark = pytest.mark.integration

LABELLED, PLANTED, TOP = 2_400, 600, 200
QUICK: dict[str, Any] = {
    "training": {"families": ["logistic_regression"], "trials": 1},
    "evaluation": {"draws": 100},
    "gate": {"auc_floor": 0.5, "calibration_slope": [0.0, 5.0], "calibration_intercept": [-3.0, 3.0], "confidence": 0.8},
}


def extreme(rows: pl.DataFrame) -> pl.DataFrame:
    """Customers like nobody else: values beyond all others, words that nobody has."""
    return rows.with_columns(
        pl.lit("1e30").alias("Balance"), pl.lit("99999").alias("CreditScore"), pl.lit("Atlantis").alias("Geography")
    )


@dataclass(frozen=True)
class Ran:
    """A company after its jobs, with what its runs told of the tables."""

    settings: Settings
    lake: Lake
    manifest: Manifest
    metadata: dict[str, dict[str, Any]]


@contextmanager
def graph_of(folder: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """The graph of a company whose table of customers is the given one; nothing has run yet."""
    write_bank(folder, rows, **QUICK)
    monkeypatch.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
    settings = Settings.load()
    migrate(settings.database_url)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as instance:
        yield Graph(build_defs(settings), settings, open_source(settings), serving, instance)


def scored_company(folder: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """A company whose customers were scored, from the file on."""
    with graph_of(folder, rows, monkeypatch) as graph:
        for step in run_all(graph, started=lambda _: None):
            assert step.error is None, f"{step.job}: {step.error}"
            if step.job == SCORE:
                break
        told = {}
        for asset in ("customers", "customer_features", "churn_labels", "training_set", "churn_scores", "online_features"):
            newest = newest_materialization(graph.instance, asset)
            told[asset] = {} if newest is None else dict(newest.metadata)
    bundle = graph.serving.champion()
    assert bundle is not None
    return Ran(graph.settings, Lake(graph.settings.lake_url), bundle.manifest, told)


def test_todays_customers_are_scored_and_change_nothing_of_the_model_that_scores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = bank(LABELLED, today=0)
    today = extreme(bank(PLANTED, today=PLANTED, seed=8)).with_columns(CustomerId=pl.format("t{}", "CustomerId"))
    planted = pl.concat([today.head(300), rows, today.tail(300)])
    with_them = scored_company(tmp_path / "with", planted, monkeypatch)
    without = scored_company(tmp_path / "without", rows, monkeypatch)

    for name in ("training_set", "churn_labels"):
        digests = {digest_at(name, company.lake.read(name, "all")) for company in (with_them, without)}
        assert len(digests) == 1, name
    one, other = with_them.manifest, without.manifest
    assert one.files == other.files  # model, golden rows and the reference of drift
    assert (one.metrics, one.evaluation, one.signature, one.threshold, one.split) == (
        other.metrics,
        other.evaluation,
        other.signature,
        other.threshold,
        other.split,
    )
    assert (one.training_rows, one.judging_rows) == (other.training_rows, other.judging_rows)
    assert one.protected == other.protected == {"age": "the example of a bank has it; tests/bank.py"}

    left, stayed = (rows.filter(Exited=word).height for word in "10")
    counted = {"churned": left, "stayed": stayed, "unlabelled": PLANTED}
    for asset in ("customers", "churn_labels"):
        assert {name: with_them.metadata[asset][name] for name in counted} == counted
    assert with_them.metadata["customer_features"]["at_risk"] == PLANTED
    assert with_them.metadata["online_features"]["dagster/row_count"] == PLANTED
    scores = with_them.lake.read("churn_scores", "all")
    assert set(scores["customer_id"]) == set(today["CustomerId"])
    assert (scores["in_sample"].sum(), scores["in_sample"].null_count()) == (0, 0)
    assert dict(trained_on(with_them.lake, with_them.settings.training))["labels"] == (
        f"{left:,} churned, {stayed:,} stayed, 600 unlabelled (today's customers); who has none neither trains nor judges"
    )
    assert dict(scored(with_them.lake)) == {
        "had left": "0 of 600 scores",
        "in sample": "0 of 600 scores: the release has seen none of them",
    }

    everybody = without.lake.read("churn_scores", "all").sort("probability", descending=True)
    gone = set(rows.filter(Exited="1")["CustomerId"])
    assert everybody.height == stayed
    assert not gone & set(everybody["customer_id"].head(TOP))
    assert had_left(without.lake) == 0
    trained = without.lake.read("training_set", "all").filter(pl.col("role") != "judge", ~pl.col("churned"))
    assert set(everybody.filter("in_sample")["customer_id"]) == set(trained["customer_id"])
    assert dict(scored(without.lake))["in sample"] == (
        f"{trained.height:,} of {stayed:,} scores: their scores are no proof, the release was trained on them"
    )


def test_a_table_without_any_label_is_ingested_and_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with graph_of(tmp_path, bank(900, today=900), monkeypatch) as graph:
        *done, last = run_all(graph, started=lambda _: None)
    assert [step.job for step in done] == [INGEST, FEATURES]
    assert (last.job, last.wrong_input) == (LABELS, True)
    assert "none of 900 customers has a label; expected some who churned and some who stayed" in str(last.error)
