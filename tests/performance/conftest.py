"""A company whose release has served, on SQLite: most tests of performance ask nothing that PostgreSQL would answer otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.storage.digest_store import DigestStore
from tests.performance.made import Company
from tests.release_factory import Candidate, train


@pytest.fixture(scope="session")
def candidate() -> Candidate:
    return train()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def company(tmp_path: Path, database: sa.Engine, files: DigestStore, candidate: Candidate) -> Company:
    return Company.make(tmp_path, database, files, candidate)
