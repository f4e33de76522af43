"""The asset graph: raw data, features, models, the release, scores, drift, retraining.

A stage is a folder; the folders in reading order follow the data.
"""

import os
import warnings

# Telemetry is off, so that nothing leaves the machine unasked: in Evidently, in MLflow if it is imported after this, in onnxruntime
# (by ``churn_store``), and in Dagster even where an instance's dagster.yaml says nothing about it.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

# Partitioned checks and single-run backfills are beta in Dagster; they are used on purpose, on a pinned version.
warnings.filterwarnings("ignore", message=".*is currently in (beta|preview).*")
