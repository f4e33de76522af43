"""The two assets in a company's graph: due once labels are published, also those of an older installation, and again once they are others."""

import datetime as dt

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.jobs import LABELS, PERFORMANCE
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.performance.assets import CHECK
from churn_assets.performance.verdicts import snapshot_performances
from churn_assets.periods import epoch_s
from churn_store.reports import ReportFile, newest
from tests.outcomes.test_published_labels import APR, MAR, Company, company
from tests.performance.made import probabilities, proven
from tests.release_factory import release, train

__all__ = ["company"]

pytestmark = pytest.mark.integration


def serve(company: Company, key: str) -> str:
    """Let a release that is older than the snapshot score everyone at risk; it knows something of who leaves."""
    start_s = epoch_s(dt.date(2024, 1, 15))
    candidate = proven(train(), created_s=start_s, trained_on=("2023-10-01",))
    home = company.installation
    digest = release(home.engine, home.files, candidate, now_s=start_s).champion
    labels = company.lake.read("churn_labels", key)
    rows = company.lake.read("customer_features", key, columns=["customer_id"]).join(
        labels.select("customer_id", "churned"), on="customer_id", how="left"
    )
    rate = labels["churned"].to_numpy().mean()
    told = probabilities(rows.height, 3)
    leaves = rows["churned"].fill_null(value=False).to_numpy()
    scores = (rate * told / told.mean() + leaves * rate).clip(0.001, 0.9)
    frame = rows.select("customer_id").with_columns(
        release=pl.lit(digest), probability=pl.Series(scores), churn=pl.Series(scores >= 0.2)
    )
    company.lake.replace("churn_scores", {key: frame}, run_id="test")
    return digest


def test_the_snapshots_of_an_older_installation_are_judged_and_again_once_labels_are_others(company: Company) -> None:
    company.run(LABELS, MAR, APR)
    digest = serve(company, MAR)
    assert company.asked(PERFORMANCE) == [(MAR, APR)]
    result = company.run(PERFORMANCE, MAR, APR)
    assert company.asked(PERFORMANCE) == []
    checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert not checks[CHECK].passed
    assert str(checks[CHECK].description).startswith("Unknown: nothing was served for this snapshot")

    march, april = (
        [one for one in snapshot_performances(company.lake, 5) if one.snapshot == key and one.segment is None]
        for key in (MAR, APR)
    )
    assert [(one.release, one.rows) for one in april] == [("", 0)]
    labels = company.lake.read("churn_labels", MAR)
    assert [(one.release, one.rows) for one in march] == [(digest, labels.height)]
    assert march[0].state != "unknown"
    assert march[0].seen == pytest.approx(labels["churned"].to_numpy().mean())
    page = newest(company.installation.engine, "performance")
    assert page is not None
    text = ReportFile(page).read(company.installation.files).decode()
    assert f"<p>{page.verdict}" in text.replace("&#x27;", "'")
    assert MAR in text

    restated = dg.AssetMaterialization("published_labels", partition=MAR, tags={DATA_VERSION_TAG: "another"})
    company.instance.report_runless_asset_event(restated)
    assert company.asked(PERFORMANCE) == [(MAR, MAR)]
    company.run(PERFORMANCE, MAR, MAR)
    assert company.asked(PERFORMANCE) == []
