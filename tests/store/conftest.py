"""What the tests of the hall work with."""

from pathlib import Path

import pytest

from churn_store.storage.digest_store import DigestStore
from tests.release_factory import Candidate, train


@pytest.fixture
def files(tmp_path: Path) -> DigestStore:
    return DigestStore(str(tmp_path / "releases"))


@pytest.fixture(scope="session")
def candidate() -> Candidate:
    return train()


@pytest.fixture(scope="session")
def other_candidate() -> Candidate:
    return train(seed=5)
