"""What tests of this folder share: a churn.yaml that is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from churn_assets.settings.company import Settings

Read = Callable[[dict[str, Any]], Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a churn.yaml."""

    def load(content: dict[str, Any]) -> Settings:
        (tmp_path / "churn.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
        return Settings.load()

    return load
