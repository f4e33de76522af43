"""Three bad candidates, and a good one, through the graph of the company in this folder: ``python .../benchmarks/gate_candidates.py``.

For looking at the gate: each is a run of the job ``retrain`` in the folder's Dagster instance, so the Dagster UI shows the checks
of ``model_blessing`` for each of them. The company has been through ``churn demo``, whose own candidate is the champion; so the good
one, which comes last and puts the ``training_set`` right again, is the same model and a tie. None of them is released.

- ``leaking``: one feature knows some of who will churn;
- ``uncalibrated``: the log odds are three times what they should be;
- ``worse on a segment``: of one word of a category the training rows say that nobody churns.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np
import polars as pl

from churn_assets.automation.jobs import RETRAIN
from churn_assets.build import build_defs
from churn_assets.orchestration.instance import instance_of
from churn_assets.tables import JUDGE
from churn_assets.training import assets
from churn_assets.training.families import export
from churn_assets.training.fitting import Fitted
from churn_assets.training.training_set import rows_by_time
from churn_assets.training.tuning import search_and_fit
from churn_store.errors import ChurnError

TELLS = 0.55
"""Of so many churners the leaking feature knows."""

STRETCHED = 3.0
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def leaking(*given: Any, **named: Any) -> pl.DataFrame:
    """The rows of the training set, whose first number that counts something tells of some churners."""
    rows = rows_by_time(*given, **named)
    name = next(name for name in rows.columns if name.startswith("days_since"))
    tells = pl.Series(np.random.default_rng(0).random(rows.height) < TELLS) & rows["churned"]
    return rows.with_columns(pl.when(tells).then(rows[name].max()).otherwise(pl.col(name)).alias(name))


def uncalibrated(*given: Any, **named: Any) -> Fitted:
    """A family whose log odds are stretched."""
    fitted = search_and_fit(*given, **named)
    for calibrated in fitted.pipeline.named_steps["model"].calibrated_classifiers_:
        for calibrator in calibrated.calibrators:
            calibrator.a_ *= STRETCHED
    return replace(fitted, model=export(fitted.pipeline, fitted.signature))


def worse_on_a_segment(name: str, training_set: pl.DataFrame, *given: Any, **named: Any) -> Fitted:
    """A family that was taught that nobody of the plan with the most churners ever churns."""
    by_plan = training_set.group_by("plan").agg(pl.col("churned").mean()).sort("churned")
    segment = (pl.col("plan") == by_plan["plan"][-1]) & (pl.col("role") != JUDGE)
    taught = training_set.with_columns(churned=pl.col("churned") & ~segment)
    return search_and_fit(name, taught, *given, **named)


BAD: dict[str, tuple[str, Callable[..., Any]]] = {
    "leaking": ("rows_by_time", leaking),
    "uncalibrated": ("search_and_fit", uncalibrated),
    "worse on a segment": ("search_and_fit", worse_on_a_segment),
}


def run(instance: dg.DagsterInstance, name: str) -> None:
    """Run ``retrain`` and print what the gate said."""
    with ExitStack() as patches:
        if name in BAD:
            target, instead = BAD[name]
            patches.enter_context(patch.object(assets, target, instead))
        job = build_defs().resolve_job_def(RETRAIN)
        result = job.execute_in_process(
            instance=instance,
            run_config=QUIET,
            tags={"candidate": name, "churn/reason": f"shown to the gate: {name}"},
            raise_on_error=False,
        )
    if not result.success:
        raise ChurnError(f"run {result.run_id} failed; look at it in the Dagster UI")
    checks = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    gate = [check for check in checks if check.asset_key == dg.AssetKey("model_blessing")]
    print(f"\n{name}: run {result.run_id}")
    for check in gate:
        print(
            f"  {'passed' if check.passed else check.severity.value:<7}{check.check_name:<27}{(check.description or '')[:150]}"
        )


if __name__ == "__main__":
    with instance_of(Path.cwd()) as here:
        for candidate in sys.argv[1:] or [*BAD, "good"]:
            run(here, candidate)
