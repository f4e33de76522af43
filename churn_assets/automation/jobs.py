"""The jobs: the assets that run together, in the order of the data.

Assets with different partitions are in different jobs, and so are assets that are due at different times.
"""

from typing import Any

import dagster as dg
from dagster_mlflow import end_mlflow_on_run_finished

from churn_assets.orchestration.failure_policy import RETRY

INGEST, FEATURES, LABELS, RETRAIN, SCORE, MONITOR, BACKTEST = (
    "ingest",
    "build_features",
    "build_labels",
    "retrain",
    "score",
    "monitor",
    "backtest",
)
ORDER = (INGEST, FEATURES, LABELS, RETRAIN, SCORE, MONITOR)
"""The jobs in the order of the data, without the backtest, for which nothing waits."""


SELECTIONS = {
    INGEST: dg.AssetSelection.groups("raw"),
    FEATURES: dg.AssetSelection.assets("customer_features"),
    LABELS: dg.AssetSelection.assets("churn_labels"),
    RETRAIN: dg.AssetSelection.assets("champion").upstream() & dg.AssetSelection.groups("training", "champion"),
    SCORE: dg.AssetSelection.groups("scoring"),
    MONITOR: dg.AssetSelection.groups("monitoring"),
    BACKTEST: dg.AssetSelection.assets("backtest_report"),
}
"""The assets that each job makes."""


def jobs(partitions: dg.PartitionsDefinition[Any] | None) -> list[Any]:
    """One job for each entry of ``SELECTIONS``."""
    described = {
        INGEST: "Read what arrived in a period.",
        FEATURES: "Compute the features of a snapshot.",
        LABELS: "Label a snapshot whose outcomes can all be known.",
        RETRAIN: "Train every family, judge the better one, and release it if it is accepted.",
        SCORE: "Score the newest snapshot and hand its features to the service.",
        MONITOR: "Compare the newest snapshot with what the serving release was trained on.",
        BACKTEST: "Test models on every snapshot that followed them, and follow them as they age.",
    }
    return [
        dg.define_asset_job(
            name,
            selection=selection,
            partitions_def=None if name in (RETRAIN, BACKTEST) else partitions,
            description=described[name],
            hooks={end_mlflow_on_run_finished} if name == RETRAIN else None,
            op_retry_policy=RETRY,
        )
        for name, selection in SELECTIONS.items()
    ]
