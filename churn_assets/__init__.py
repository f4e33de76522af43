"""The asset graph: raw data, features, models, the release, scores, drift, retraining.

A stage is a folder; the folders in reading order are the data's way.
"""

import os
import warnings

# Nothing leaves the machine unasked: Evidently, MLflow when it is imported first, onnxruntime (``churn_store``), and Dagster where
# an instance's dagster.yaml does not say so.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

# Checks by partition and single-run backfills are Dagster's own names for what is used here on purpose, on a pinned version.
warnings.filterwarnings("ignore", message=".*is currently in (beta|preview).*")
