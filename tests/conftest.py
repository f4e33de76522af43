"""What tests of several folders share: the servers and databases, release files and candidates, the table of faults, and how many examples Hypothesis draws.

A server is started once a session and only where it is asked for. Examples are few and the same in each run, unless
``make proofs`` asks for more.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.storage.digest_store import DigestStore
from tests.fault_table import FaultTable, fault
from tests.release_factory import Candidate, train
from tests.store.object_storage import ObjectStorage, object_storage
from tests.store.servers import Postgres, postgres, redis_server

# Shrinking a company takes minutes, and is for a person who looks for a mistake: --hypothesis-profile=shrink.
_SHORT = (Phase.explicit, Phase.reuse, Phase.generate)
settings.register_profile("ci", max_examples=15, deadline=None, derandomize=True, phases=_SHORT)
settings.register_profile("proofs", max_examples=100, deadline=None, print_blob=True, phases=_SHORT)
settings.register_profile("shrink", max_examples=200, deadline=None, print_blob=True)
settings.load_profile("ci")

__all__ = ["fault"]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FaultTable(), "fault-table")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def _object_storage() -> Iterator[ObjectStorage]:
    with object_storage() as server:
        yield server


@pytest.fixture
def s3(_object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """An S3 server, and the variables by which its clients find it."""
    for name, value in _object_storage.environment.items():
        monkeypatch.setenv(name, value)
    return _object_storage


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
    """Release files, of which there are none yet."""
    return DigestStore(str(tmp_path / "releases"))


@pytest.fixture(scope="session")
def candidate() -> Candidate:
    return train()


@pytest.fixture(scope="session")
def other_candidate() -> Candidate:
    return train(seed=5)
