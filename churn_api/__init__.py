"""The prediction service: serves the release that the asset graph published. Imports nothing of the graph."""

import os

# Nothing leaves the machine unasked; as in ``churn_store``, whichever package is imported first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
