"""The OpenAPI document against the service, by a tool that is not ours: schemathesis, all checks, with sequences of calls.

Belongs here: a bounded run with a fixed seed (``make schemathesis``). What a schema can't say is in ``schemathesis.toml``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from churn_api.security.keys import SCOPES
from tests.api.conftest import Installation
from tests.api.processes import serving
from tests.api.test_explanations import PLAN
from tests.release_factory import train

pytestmark = pytest.mark.integration

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "8")
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
SECONDS = os.environ.get("SCHEMATHESIS_SECONDS", "60")


@pytest.mark.timeout(600)
def test_the_service_keeps_to_its_document(tmp_path: Path) -> None:
    with Installation.make(tmp_path, limits={"key": "", "address": ""}) as made:
        made.make_key("all", *SCOPES)
        made.release(train(reasons=PLAN))
        made.put_online()
        with serving(tmp_path) as process:
            process.until("/health/ready", 200, within_s=60)
            command: list[str | Path] = [
                SCHEMATHESIS, "--config-file", CONFIG, "run", f"http://127.0.0.1:{process.port}/docs/openapi.json",
                "--header", f"X-API-Key: {made.keys['all'].key}", "--seed", SEED, "--max-examples", EXAMPLES, "--max-time", SECONDS,
                "--continue-on-failure", "--no-shrink", "--no-color", "--generation-database", ":memory:",
            ]  # fmt: skip
            ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=570, check=False)
            process.until("/health/live", 200)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert "Stateful" in ran.stdout
