"""What the tests of the service work with: an installation on disk, and the service on top of it in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import httpx
import msgspec
import pytest
import sqlalchemy as sa
import yaml
from litestar.testing import TestClient
from litestar.types import ControllerRouterHandler
from prometheus_client.parser import text_string_to_metric_families

from churn_api.app import create_app
from churn_api.http.edge import ServiceApp
from churn_api.security.keys import KeyStore, NewKey
from churn_api.settings import ServiceConfig
from churn_store.clock import DAY_S, wall_s
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect, prediction_log, releases
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import Bundle, load_bundle, stage
from churn_store.releases.challenge import challenge
from churn_store.releases.log import Serving, newest
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import Snapshot
from tests.release_factory import NOW_S, Candidate, bless, make_online, release, rows_of, small_columns, train

CUSTOMERS = 50

ONLINE_ROWS = rows_of(small_columns(), CUSTOMERS, 7)
"""What ``make_online`` writes for ``c0``, ``c1``, ..."""

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True)
class Installation:
    """A migrated database, a folder of release files and a place for online features; nothing serves yet."""

    home: Path
    config: ServiceConfig
    engine: sa.Engine
    files: DigestStore
    keys: dict[str, NewKey] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def make(cls, home: Path, *, store: dict[str, str] | None = None, **service: Any) -> Iterator[Self]:
        """An installation with an ordinary ``churn.yaml``, its clock fixed at ``NOW_S``, and one key: ``both``."""
        file = home / "churn.yaml"
        limits = {"poll_s": 0.05, "ship_s": 60.0, **service}
        file.write_text(yaml.safe_dump({"home": str(home), "store": store or {}, "service": limits}), encoding="utf-8")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("CHURN_CONFIG", str(file))
            config = ServiceConfig.load()
        config.clock.fix(datetime.fromtimestamp(NOW_S, UTC))
        migrate(config.database_url)
        engine = connect(config.database_url)
        try:
            made = cls(home=home, config=config, engine=engine, files=DigestStore(config.releases_url))
            made.make_key("both", "predict", "read")
            yield made
        finally:
            engine.dispose()

    def make_key(self, name: str, *scopes: str, days_ago: int = 0, expires_days: int | None = None) -> NewKey:
        """Make a key and remember it under its name."""
        store = KeyStore(self.engine, now_s=int(wall_s()) - days_ago * DAY_S)
        self.keys[name] = store.create(name=name, scopes=scopes, expires_days=expires_days)
        return self.keys[name]

    def revoke(self, name: str) -> None:
        """Revoke a key in the database; a service that runs is not told."""
        KeyStore(self.engine, now_s=NOW_S).revoke(self.keys[name].key_id)

    def release(self, candidate: Candidate, *, reason: str = "test") -> Serving:
        """Publish a candidate as the next epoch."""
        return release(self.engine, self.files, candidate, reason=reason)

    def challenge(self, candidate: Candidate, share: float) -> Serving:
        """Let a candidate answer a share beside the champion that serves now."""
        serving = newest(self.engine)
        assert serving is not None
        staged = stage(self.files, candidate.contents, candidate.manifest)
        record_blessing(self.engine, msgspec.structs.replace(bless(self.engine, staged), epoch=serving.epoch))
        return challenge(self.engine, self.files, staged.candidate, share=share, by="Ada", reason="try it", now_s=NOW_S)

    def name(self, champion: str, challenger: str | None = None, share: float = 0.0) -> None:
        """Add a row to ``releases`` that names any digests, without the checks of the platform."""
        serving = newest(self.engine)
        row = Serving((serving.epoch if serving else 0) + 1, champion, challenger, share, "nobody", "by hand", NOW_S)
        with self.engine.begin() as connection:
            connection.execute(releases.insert().values(**asdict(row)))

    def put_online(self, **snapshot: Any) -> Snapshot:
        """Write online features (see ``make_online``) where the service looks for them."""
        return make_online(self.config.online_url, **{"customers": CUSTOMERS, **snapshot})

    def newest_epoch(self) -> int:
        """Of the table ``releases``; 0 before the first."""
        row = newest(self.engine)
        return 0 if row is None else row.epoch

    def bundle(self) -> Bundle:
        """The newest release, loaded apart from the service."""
        row = newest(self.engine)
        assert row is not None
        return load_bundle(self.files, row.champion)

    def manifest(self) -> Manifest:
        """Of the newest release."""
        return self.bundle().manifest

    def logged(self) -> list[dict[str, Any]]:
        """The table ``prediction_log`` in the order of requests and items."""
        order = (prediction_log.c.request_id, prediction_log.c.item)
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(prediction_log).order_by(*order))]

    def spooled(self) -> list[dict[str, Any]]:
        """The lines that wait in the spool, with what they leave out."""
        files = sorted(self.config.spool_folder.glob("*.jsonl"))
        none = {"experiment": None, "arm": None, "unit": None}
        return [{**none, **msgspec.json.decode(line)} for file in files for line in file.read_bytes().splitlines()]

    @contextmanager
    def serve(self, *more_routes: ControllerRouterHandler) -> Iterator["Service"]:
        """The service, from its start to its end, with more routes than its own."""
        app = create_app(self.config, more_routes=more_routes)
        with TestClient(app) as client:
            yield Service(self, app, client)


@dataclass(frozen=True)
class Service:
    """A service that runs in this process, and a client of it."""

    installation: Installation
    app: ServiceApp
    client: TestClient[ServiceApp]

    def get(self, path: str, *, key: str | None = "both", headers: dict[str, str] | None = None) -> httpx.Response:
        """Ask with the key of that name; none for no key."""
        return self.client.get(path, headers={**self.key_header(key), **(headers or {})})

    def post(
        self, path: str, body: Any, *, key: str | None = "both", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a value as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.client.post(path, content=content, headers={**self.key_header(key), **(headers or {})})

    def key_header(self, name: str | None) -> dict[str, str]:
        """How a key is sent."""
        return {} if name is None else {"X-API-Key": self.installation.keys[name].key}

    def raw(
        self,
        method: str,
        target: bytes,
        *body: bytes,
        headers: tuple[Header, ...] | None = None,
        host: bytes = b"testserver",
    ) -> httpx.Response:
        """A request as uvicorn would hand it over: the address unquoted once, headers as often as sent, the body in parts."""
        path, _, query = target.partition(b"?")
        sent = [("host", host), *(self.key_header("both").items() if headers is None else headers)]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query, "root_path": "",
            "headers": [(_bytes(name).lower(), _bytes(value)) for name, value in sent],
            "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        parts = list(body) or [b""]
        answered: dict[str, Any] = {"content": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.update(status=message["status"], headers=message["headers"])
            else:
                answered["content"] += message["body"]

        asgi: Any = self.app
        self.client.blocking_portal.call(lambda: asgi(scope, receive, send))
        return httpx.Response(answered["status"], headers=answered["headers"], content=answered["content"])

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry the labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def until(self, reached: Callable[[], Any], *, within_s: float = 20.0) -> Any:
        """Wait for something that the service does by itself; the true value that ended the waiting."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if found := reached():
                return found
            time.sleep(0.01)
        raise AssertionError(f"not within {within_s} s")


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The body of an error that has the one form of all errors."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {"type", "title", "detail", "request_id"} <= set(body)
    return body


def counts(response: httpx.Response) -> dict[str, int]:
    """What a receipt counts, without what it counts none of."""
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if value and name not in {"request_id", "replayed"}}


def refused_since(began: datetime, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of refusals that were counted since ``began``; the session's service writes its own to the same output."""
    return [line for line in lines if line["event"] == "refused" and datetime.fromisoformat(line["since"]) >= began]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


@pytest.fixture(scope="session")
def other_candidate() -> Candidate:
    return train(seed=5, reference=True)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Without a release and without online features."""
    with Installation.make(tmp_path) as made:
        yield made


@pytest.fixture
def fresh(installation: Installation, candidate: Candidate) -> Iterator[Service]:
    """A service for a test that changes it: one release, one snapshot."""
    installation.release(candidate)
    installation.put_online()
    with installation.serve() as service:
        yield service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[Service]:
    """A service for tests that only ask it: one release, one snapshot."""
    with Installation.make(tmp_path_factory.mktemp("service")) as made:
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            yield service


@pytest.fixture
def acting(tmp_path: Path, candidate: Candidate) -> Iterator[Service]:
    """A service with keys to send and to read, which ships predictions at once."""
    with Installation.make(tmp_path, ship_s=0.05) as installed:
        installed.make_key("act", "act")
        installed.make_key("read", "read")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            yield service


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service, without a release, for tests after which nothing is written."""
    with Installation.make(tmp_path_factory.mktemp("refusing")) as installed:
        installed.make_key("act", "act")
        with installed.serve() as service:
            yield service
