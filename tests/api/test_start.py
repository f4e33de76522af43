"""What a service imports before it answers: nothing that the first prediction does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Installation
from tests.release_factory import train

pytestmark = pytest.mark.integration

LATER = ("polars", "pyarrow", "churn_store.mapping.csv_reader", "churn_api.predictions.company_files", "alembic")
"""Modules that come with the first file, sample or older release, in the thread that reads it."""

PROGRAM = """
import sys
import churn_api.server
from churn_api.app import create_app
from churn_api.settings import ServiceConfig
create_app(ServiceConfig.load())
print(*sys.modules)
"""


def test_a_service_is_made_without_frames_and_without_readers_of_files(tmp_path: Path) -> None:
    with Installation.make(tmp_path) as made:
        made.release(train())
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env={"CHURN_CONFIG": str(tmp_path / "churn.yaml")}
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert "churn_api.app" in imported
    assert [name for name in LATER if name in imported] == []
