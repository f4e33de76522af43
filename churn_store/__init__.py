"""The common ground of the asset graph and the service: what both agree on. Imports neither of them."""

import os

# Set before the first import of onnxruntime, which otherwise looks up its vendor's host and queues usage data under the home
# folder. DO_NOT_TRACK and its own `disable_telemetry_events()` do not stop it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
