"""Nothing leaves the machine: no dependency reports or queues its usage, whichever package is imported first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# By these onnxruntime and Dagster know a build server, where they report nothing: a watch there would be blind.
BUILD_SERVERS = (
    "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "TRAVIS", "JENKINS_URL", "CODEBUILD_BUILD_ID", "BUILDKITE",
    "BITBUCKET_BUILD_NUMBER", "CIRCLECI", "APPVEYOR", "TEAMCITY_VERSION", "BUILD_ID", "JB_SPACE_API_URL",
)  # fmt: skip
UNASKED = ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "DAGSTER_DISABLE_TELEMETRY")
SESSION = """
import {package}
import onnx, onnxruntime
from onnx import TensorProto, helper

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnxruntime.InferenceSession(model.SerializeToString()).run(None, {{"x": [1.0]}})
"""


def clean(home: Path) -> dict[str, str]:
    """The environment of a user who never said anything about telemetry, on a machine of their own."""
    kept = {name: value for name, value in os.environ.items() if name not in UNASKED + BUILD_SERVERS}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("package", ["churn_store", "churn_assets", "churn_api"])
def test_a_session_of_onnxruntime_queues_nothing_under_the_home_folder(package: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SESSION.format(package=package)], env=clean(tmp_path), check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_image_and_the_stack_turn_it_off_too() -> None:
    root = Path(__file__).parent.parent
    for name in UNASKED:
        assert f"{name}=" in (root / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "ORT_DISABLE_TELEMETRY" in (root / "docker-compose.yml").read_text(encoding="utf-8")
