"""The prediction service: serves the release that the asset graph published. Imports nothing of the graph."""

import os

# ONNX Runtime sends no telemetry; set here as in ``churn_store``, as either package may be imported first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
