"""What the tests of the hall work with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import Candidate, train


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'serving.db'}"
    return str(request.getfixturevalue("postgres_server").new_database())


@pytest.fixture
def engine(empty_database: str) -> Iterator[sa.Engine]:
    """A migrated database."""
    migrate(empty_database)
    found = connect(empty_database)
    yield found
    found.dispose()


@pytest.fixture
def files(tmp_path: Path) -> DigestStore:
    return DigestStore(str(tmp_path / "releases"))


@pytest.fixture(scope="session")
def candidate() -> Candidate:
    return train()


@pytest.fixture(scope="session")
def other_candidate() -> Candidate:
    return train(seed=5)
