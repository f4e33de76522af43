"""Every test of this folder is a proof: ``make proofs`` runs them over many drawn companies, ``.ci/run`` over a few fixed ones."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.proofs)
