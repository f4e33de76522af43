"""What tests of several folders share: the servers, and how many examples Hypothesis draws.

A server is started once a session and only where it is asked for. Examples are few and the same in each run, unless
``make proofs`` asks for more.
"""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests.store.object_storage import ObjectStorage, object_storage
from tests.store.servers import Postgres, postgres, redis_server

# Shrinking a company takes minutes, and is for a person who looks for a mistake: --hypothesis-profile=shrink.
_SHORT = (Phase.explicit, Phase.reuse, Phase.generate)
settings.register_profile("ci", max_examples=15, deadline=None, derandomize=True, phases=_SHORT)
settings.register_profile("proofs", max_examples=100, deadline=None, print_blob=True, phases=_SHORT)
settings.register_profile("shrink", max_examples=200, deadline=None, print_blob=True)
settings.load_profile("ci")


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
