"""The jobs: the assets that run together, in the order of the data.

Assets with different partitions are in different jobs, and so are assets that are due at different times.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from churn_assets.orchestration.failure_policy import RETRY
from churn_assets.orchestration.pools import FIRST
from churn_assets.resources.tracking import END_MLFLOW

INGEST, FEATURES, LABELS, PUBLISH, RETRAIN, SCORE, MONITOR, BACKTEST, PERFORMANCE, FACTS = (
    "ingest",
    "build_features",
    "build_labels",
    "publish_labels",
    "retrain",
    "score",
    "monitor",
    "backtest",
    "judge_performance",
    "publish_facts",
)
ORDER = (INGEST, FEATURES, LABELS, RETRAIN, SCORE, MONITOR, FACTS)
"""The jobs in the order of the data, without those for which nothing waits: the backtest, the publication of labels that were made
without it, and the performance of what was served."""


SELECTIONS = {
    INGEST: dg.AssetSelection.groups("raw"),
    FEATURES: dg.AssetSelection.assets("customer_features"),
    LABELS: dg.AssetSelection.assets("churn_labels") | dg.AssetSelection.groups("outcomes"),
    PUBLISH: dg.AssetSelection.groups("outcomes"),
    RETRAIN: dg.AssetSelection.assets("waiting_candidates").upstream() & dg.AssetSelection.groups("training", "champion"),
    SCORE: dg.AssetSelection.groups("scoring"),
    MONITOR: dg.AssetSelection.groups("monitoring"),
    BACKTEST: dg.AssetSelection.assets("backtest_report"),
    PERFORMANCE: dg.AssetSelection.groups("performance"),
    FACTS: dg.AssetSelection.groups("facts"),
}
"""The assets that each job makes."""


def jobs(families: Sequence[str]) -> list[Any]:
    """One job for each entry of ``SELECTIONS``.

    Args:
        families: the company's families, of which a retraining may be asked for some.
    """
    described = {
        INGEST: "Read what arrived in a period.",
        FEATURES: "Compute the features of a snapshot.",
        LABELS: "Label a snapshot whose outcomes can all be known, and publish its labels.",
        PUBLISH: "Publish the labels of a snapshot that were made, or brought back, without it.",
        RETRAIN: "Train every family, judge the better one, and release it if it is accepted.",
        SCORE: "Score the newest snapshot and hand its features to the service.",
        MONITOR: "Compare the newest snapshot with what the serving release was trained on.",
        BACKTEST: "Test models on every snapshot that followed them, and follow them as they age.",
        PERFORMANCE: "Judge what was served of a snapshot by its mature labels.",
        FACTS: "Publish what was found out about drift, quality, performance and skew, for the service.",
    }
    return [
        dg.define_asset_job(
            name,
            selection=selection,
            description=described[name],
            hooks={END_MLFLOW} if name == RETRAIN else None,
            op_retry_policy=RETRY,
            config=_retraining(families) if name == RETRAIN else None,
            tags=FIRST if name in (INGEST, FEATURES, SCORE) else None,
        )
        for name, selection in SELECTIONS.items()
    ]


def _retraining(families: Sequence[str]) -> dg.ConfigMapping:
    """What the launchpad of ``retrain`` may ask for, and what each family is told of it.

    A run that asks for nothing is as churn.yaml says. A run that asks for something has no fingerprint, so that `churn demo` trains
    again as churn.yaml says; its seed stands in MLflow, and what it left out in ``candidate_model``.
    """
    known: Any = Enum("FamilyOfTheCompany", [(name, name) for name in families])  # type: ignore[misc]
    which = f"families to train, of {', '.join(families)}; the others are left out of this run; none named: all of them"

    class Retraining(dg.Config):
        families: list[known] = Field(default=[], description=which)
        trials: int | None = Field(
            default=None,
            description="trials of each family's search, at least 1, which takes the defaults; default: training.trials",
        )
        seed: int | None = Field(
            default=None, description="seed of the estimators and of the search; default: training.seed"
        )
        loggers: dict[str, Any] = Field(default={}, description="loggers of the run, as of any job; default: the console")

    @dg.config_mapping
    def retraining(asked: Retraining) -> dg.RunConfig:
        wanted = {name: value for name, value in {"trials": asked.trials, "seed": asked.seed}.items() if value is not None}
        chosen = {one.value for one in asked.families} or set(families)
        config = {name: wanted if name in chosen else {"left_out": True} for name in families}
        return dg.RunConfig(
            ops={name: {"config": told} for name, told in config.items() if told}, loggers=dict(asked.loggers) or None
        )

    return retraining
