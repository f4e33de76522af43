"""The servers that tests of several folders work with, each started once a session and only where it is asked for."""

from collections.abc import Iterator

import pytest

from tests.store.servers import Postgres, postgres, redis_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url
