import os

# Before any test imports onnxruntime, some of which do so before they import a package of the platform.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
