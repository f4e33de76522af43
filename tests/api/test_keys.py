"""Keys: who may ask what, what is stored of a key, and how soon a revoked one is refused."""

import hmac
import json
import re
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_api.app import create_app
from churn_api.security.keys import KeyStore
from churn_store.cli.main import churn, main
from churn_store.database.schema import api_keys, connect
from churn_store.errors import DatabaseAwayError, InputError
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, Candidate

PREDICTIONS = [
    ("GET", "/predict/c1", None),
    ("POST", "/predict", {"attributes": ONLINE_ROWS[0]}),
    ("POST", "/predict/batch", {"customer_ids": ["c1"]}),
]
RELEASES = [("POST", "/releases/rollback", {"reason": "a test"})]
MODELS = [("GET", path, None) for path in ("/model/version", "/models", "/health/detailed", "/metrics")]
PUBLIC = ["/health", "/health/live", "/health/ready", "/docs", "/docs/openapi.json"]


def ask(service: Service, route: tuple[str, str, Any], headers: dict[str, str]) -> httpx.Response:
    method, path, body = route
    return service.client.request(method, path, json=body, headers=headers)


@pytest.fixture(scope="module")
def keyed(service: Service) -> Service:
    """The service with a key for every case."""
    installed = service.installation
    installed.make_key("predict", "predict")
    installed.make_key("read", "read")
    installed.make_key("admin", "admin")
    installed.make_key("release", "release")
    installed.make_key("expired", "predict", "read", days_ago=1, expires_days=1)
    installed.make_key("expires", "predict", "read", expires_days=1)
    installed.make_key("revoked", "predict", "read")
    installed.revoke("revoked")
    service.until(lambda: service.get("/predict/c1", key="expires").status_code == 200)
    service.until(lambda: service.get("/predict/c1", key="revoked").status_code == 401)
    return service


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
@pytest.mark.parametrize("route", [*PREDICTIONS, *MODELS], ids=lambda route: f"{route[0]} {route[1]}")
def test_a_route_answers_only_a_usable_key_of_its_scope(keyed: Service, route: tuple[str, str, Any], header: str) -> None:
    keys = {name: made.key for name, made in keyed.installation.keys.items()}
    right, other = ("predict", "read") if route in PREDICTIONS else ("read", "predict")
    expected = {
        keys["both"]: 200, keys[right]: 200, keys["expires"]: 200,
        keys[other]: 403, keys["admin"]: 403,
        keys["expired"]: 401, keys["revoked"]: 401, keys["both"] + "x": 401, keys["both"][:-1]: 401,
        keys["both"].replace("churn_", "other_"): 401, "churn_000000000000_" + "x" * 43: 401, "churn__": 401, "x": 401, "": 401,
        f"{keys[right].rsplit('_', 1)[0]}_{keys[other].split('_', 2)[2]}": 401,
    }  # fmt: skip
    for key, status in expected.items():
        headers = {header: key if header == "X-API-Key" else f"Bearer {key}"}
        response = ask(keyed, route, headers)
        assert response.status_code == status, (key, response.text)
        if status != 200:
            problem(response, status)
    assert problem(ask(keyed, route, {}), 401)


@pytest.mark.parametrize("route", [*PREDICTIONS, *MODELS, *RELEASES], ids=lambda route: f"{route[0]} {route[1]}")
def test_the_scope_release_is_for_that_alone_and_no_other_scope_brings_it(
    keyed: Service, route: tuple[str, str, Any]
) -> None:
    keys = {name: made.key for name, made in keyed.installation.keys.items()}
    refused = ["both", "predict", "read", "admin"] if route in RELEASES else ["release"]
    for name in refused:
        problem(ask(keyed, route, {"X-API-Key": keys[name]}), 403)
    for name in ("expired", "revoked"):
        problem(ask(keyed, route, {"X-API-Key": keys[name]}), 401)
    if route in RELEASES:  # there is one release only, so it is let in and told so
        problem(ask(keyed, route, {"X-API-Key": keys["release"]}), 409)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_word_bearer_may_be_written_anyhow(keyed: Service, scheme: str) -> None:
    key = keyed.installation.keys["both"].key
    assert keyed.get("/predict/c1", key=None, headers={"Authorization": scheme + key}).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic ", "", "Bearer", "Token "])
def test_another_scheme_is_no_key(keyed: Service, scheme: str) -> None:
    key = keyed.installation.keys["both"].key
    problem(keyed.get("/predict/c1", key=None, headers={"Authorization": scheme + key}), 401)


@pytest.mark.parametrize("sent", [b"churn_\xff\xfe_x", "churn_ä_x".encode(), b"\0", b"churn_" + b"_" * 100_000])
def test_a_key_of_strange_bytes_is_refused_like_any_other(keyed: Service, sent: bytes) -> None:
    problem(keyed.raw("GET", b"/predict/c1", headers=(("x-api-key", sent),)), 401)


def test_an_unknown_id_and_a_wrong_secret_are_refused_in_the_same_words(keyed: Service) -> None:
    known = keyed.installation.keys["both"].key
    tried = [known + "x", "churn_000000000000_" + "x" * 43, "nonsense", keyed.installation.keys["expired"].key]
    bodies, headers = [], []
    for key in tried:
        response = keyed.get("/predict/c1", key=None, headers={"X-API-Key": key, "X-Request-ID": "same"})
        bodies.append(problem(response, 401))
        headers.append(dict(response.headers))
    assert all(body == bodies[0] for body in bodies)
    assert all(one == headers[0] for one in headers)
    assert headers[0]["www-authenticate"] == "Bearer"


def test_the_key_is_checked_before_anything_that_is_asked(keyed: Service) -> None:
    for path, body in (("/predict", b"not json"), ("/predict/batch", b" " * 20_000_000)):
        problem(keyed.post(path, body, key=None), 401)
        problem(keyed.post(path, body, key="read"), 403)
    problem(keyed.get("/predict/nobody", key=None), 401)


def test_what_a_caller_is_not_told_is_counted(keyed: Service) -> None:
    def refused(reason: str) -> float:
        return keyed.metric("churn_keys_refused_total", reason=reason)

    tried = {"missing": None, "malformed": "x", "unknown": keyed.installation.keys["revoked"].key}
    tried |= {"expired": keyed.installation.keys["expired"].key, "scope": keyed.installation.keys["read"].key}
    for reason, key in tried.items():
        before = refused(reason)
        keyed.get("/predict/c1", key=None, headers={} if key is None else {"X-API-Key": key})
        assert refused(reason) == before + 1


@pytest.mark.parametrize("path", PUBLIC)
def test_health_in_words_and_docs_need_no_key(keyed: Service, path: str) -> None:
    assert keyed.get(path, key=None).status_code == 200
    assert keyed.get(path, key="expired").status_code == 200


def test_the_secret_is_compared_in_constant_time_for_unknown_ids_too(
    keyed: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    compare = hmac.compare_digest

    def counting(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    known = keyed.installation.keys["both"].key
    for key in (known, known + "x", "churn_000000000000_x", keyed.installation.keys["revoked"].key):
        compared.clear()
        keyed.get("/predict/c1", key=None, headers={"X-API-Key": key})
        assert compared == [(32, 32)] * 2, key  # the newest secret and the former one, or nobody's


def test_the_secret_of_nobody_opens_nothing(keyed: Service) -> None:
    key = "churn_000000000000_nobody's secret"
    problem(keyed.get("/predict/c1", key=None, headers={"X-API-Key": key}), 401)


def test_only_hashes_are_in_the_database_and_on_disk(keyed: Service) -> None:
    installed = keyed.installation
    secrets = [made.key.split("_", 2)[2].encode() for made in installed.keys.values()]
    with installed.engine.connect() as connection:
        for row in connection.execute(sa.select(api_keys)):
            assert re.fullmatch("[0-9a-f]{64}", row.secret_sha256)
    files = [file for file in installed.home.rglob("*") if file.is_file()]
    assert any(file.name == "keys.json" for file in files)
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # SQLite's log goes with the last connection
            continue
        assert not any(secret in content for secret in secrets), file


def test_the_hashed_keys_are_readable_by_this_user_only(keyed: Service) -> None:
    file = keyed.installation.config.cache_folder / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_key_is_taken_and_a_revoked_one_refused_without_a_restart(fresh: Service) -> None:
    fresh.installation.make_key("new", "predict")
    fresh.until(lambda: fresh.get("/predict/c1", key="new").status_code == 200)
    fresh.installation.revoke("new")
    fresh.until(lambda: fresh.get("/predict/c1", key="new").status_code == 401)
    assert fresh.get("/predict/c1").status_code == 200


def test_a_key_expires_by_the_wall_clock_though_the_platforms_clock_stands_still(
    fresh: Service,
) -> None:
    fresh.installation.make_key("a day", "predict", expires_days=1)
    fresh.until(lambda: fresh.get("/predict/c1", key="a day").status_code == 200)
    clock = fresh.installation.config.clock
    clock.fix(clock.now() + timedelta(days=30))
    time.sleep(0.2)
    assert fresh.get("/predict/c1", key="a day").status_code == 200
    with fresh.installation.engine.begin() as connection:
        ended = api_keys.update().where(api_keys.c.name == "a day").values(expires_s=int(time.time()) - 1)
        connection.execute(ended)
    fresh.until(lambda: fresh.get("/predict/c1", key="a day").status_code == 401)
    assert fresh.get("/predict/c1").status_code == 200


def test_with_the_database_away_a_key_is_believed_for_a_settable_time(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, keys_max_age_s=2) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            time.sleep(2.5)
            assert service.get("/predict/c1").status_code == 200  # the database confirms it again and again
            database = installed.home / "serving.db"
            database.rename(tmp_path / "elsewhere.db")
            away_since = time.monotonic()
            assert service.get("/predict/c1").status_code == 200
            service.until(lambda: service.get("/predict/c1").status_code == 503)
            assert time.monotonic() - away_since > 1.5
            problem(service.get("/predict/c1"), 503)
            problem(service.get("/predict/c1", key=None), 401)
            found = problem_free(service.get("/health/ready", key=None), 503)
            assert "service.keys_max_age_s" in " ".join(found["not_ready"])
            assert "the file of the serving database is gone" in found["degraded"]
            (tmp_path / "elsewhere.db").rename(database)
            service.until(lambda: service.get("/predict/c1").status_code == 200)
            assert service.metric("churn_keys_refused_total", reason="unconfirmed") > 0


def test_keys_on_disk_are_not_taken_from_a_clock_that_was_set_back(installation: Installation) -> None:
    with installation.serve():
        pass
    kept = installation.config.cache_folder / "keys.json"
    written = json.loads(kept.read_bytes())
    (installation.home / "serving.db").rename(installation.home / "elsewhere.db")
    for shift_s, is_taken in ((-86_000, True), (-86_500, False), (86_500, False)):
        kept.write_text(json.dumps({**written, "confirmed_s": time.time() + shift_s}))
        if is_taken:
            create_app(installation.config)
        else:
            with pytest.raises(DatabaseAwayError):
                create_app(installation.config)


def problem_free(response: httpx.Response, status: int) -> dict[str, Any]:
    """The body of an answer that is no problem although its status says that something is wrong."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


def without_a_usable_key(installed: Installation, case: str) -> None:
    installed.revoke("both")
    if case == "no key":
        with installed.engine.begin() as connection:
            connection.execute(api_keys.delete())
    if case == "expired":
        installed.make_key("old", "predict", days_ago=2, expires_days=1)


@pytest.mark.parametrize("case", ["no key", "revoked", "expired"])
def test_the_service_refuses_to_start_without_a_usable_key(installation: Installation, case: str) -> None:
    without_a_usable_key(installation, case)
    with pytest.raises(InputError, match=r"no usable API key.*churn keys create"):
        create_app(installation.config)


def test_the_service_refuses_to_start_on_a_database_that_was_never_migrated(tmp_path: Path) -> None:
    with Installation.make(tmp_path) as installed:
        with installed.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        with pytest.raises(InputError, match="churn migrate"):
            create_app(installed.config)


@pytest.fixture
def command(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command line on the installation."""
    monkeypatch.setenv("CHURN_CONFIG", str(installation.home / "churn.yaml"))
    return CliRunner()


def create(command: CliRunner, *options: str) -> str:
    result = command.invoke(churn, ["keys", "create", "--name", "Ada", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_keys_create_prints_the_key_once(command: CliRunner, installation: Installation) -> None:
    key = create(command, "--scope", "read", "--scope", "read")
    assert re.fullmatch(r"churn_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
    listed = command.invoke(churn, ["keys", "list"]).output
    (line,) = (one for one in listed.splitlines() if "Ada" in one)
    today = datetime.now(UTC).date().isoformat()
    assert line.split() == [key.split("_")[1], "usable", today, "no", "end", "never", "used", "read", "Ada"]
    assert key.split("_", 2)[2] not in listed
    with installation.serve() as service:
        headers = {"X-API-Key": key}
        assert service.get("/models", key=None, headers=headers).status_code == 200
        assert service.get("/predict/c1", key=None, headers=headers).status_code == 403


def test_two_keys_are_never_the_same(command: CliRunner) -> None:
    assert create(command) != create(command)


def test_keys_create_writes_a_file_that_only_this_user_can_read(command: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    said = create(command, "--file", str(file), "--expires-days", "3")
    key = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.endswith("\n")
    assert key.split("_", 2)[2].strip() not in said
    assert str(file) in said
    in_three_days = datetime.now(UTC).date() + timedelta(days=3)
    assert in_three_days.isoformat() in command.invoke(churn, ["keys", "list"]).output


@pytest.mark.parametrize("place", ["a.key", "no folder/a.key"])
def test_keys_create_refuses_a_file_that_exists_or_has_no_folder(
    command: CliRunner, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], place: str,
) -> None:  # fmt: skip
    (tmp_path / "a.key").write_text("in use")
    monkeypatch.setattr(sys, "argv", ["churn", "keys", "create", "--name", "Ada", "--file", str(tmp_path / place)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith("churn: ")
    assert len(said.err.splitlines()) == 1
    assert str(tmp_path / place) in said.err
    assert (tmp_path / "a.key").read_text() == "in use"
    assert "Ada" not in command.invoke(churn, ["keys", "list"]).output


def test_a_key_that_could_not_be_stored_leaves_no_file(installation: Installation, tmp_path: Path) -> None:
    elsewhere = connect(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with pytest.raises(sa.exc.OperationalError):
        KeyStore(elsewhere, now_s=NOW_S).create(name="Ada", scopes=("read",), file=tmp_path / "a.key")
    assert not (tmp_path / "a.key").exists()


def test_keys_revoke_revokes_once(command: CliRunner, installation: Installation) -> None:
    key_id = create(command).split("_")[1]
    assert command.invoke(churn, ["keys", "revoke", key_id]).output == f"key {key_id} is revoked\n"
    (line,) = (one for one in command.invoke(churn, ["keys", "list"]).output.splitlines() if key_id in one)
    assert "revoked" in line
    for again in (key_id, "000000000000"):
        refused = command.invoke(churn, ["keys", "revoke", again])
        assert isinstance(refused.exception, InputError)
        assert again in str(refused.exception)


@pytest.mark.parametrize("name", ["", "\u200b", "a" * 201, "a\x1b[2J", "\udcff"])
def test_a_key_has_a_name_that_a_rollback_can_be_signed_with(
    command: CliRunner, installation: Installation, tmp_path: Path, name: str
) -> None:
    before = command.invoke(churn, ["keys", "list"]).output
    asked = ["keys", "create", "--name", name, "--scope", "release", "--file", str(tmp_path / "a.key")]
    refused = command.invoke(churn, asked)
    assert isinstance(refused.exception, InputError)
    assert "name" in str(refused.exception)
    assert not (tmp_path / "a.key").exists()
    assert command.invoke(churn, ["keys", "list"]).output == before


@pytest.mark.parametrize("options", [["--scope", "all"], ["--expires-days", "0"]])
def test_keys_create_refuses_what_it_does_not_know(command: CliRunner, options: list[str]) -> None:
    assert command.invoke(churn, ["keys", "create", "--name", "Ada", *options]).exit_code == 2
    assert "Ada" not in command.invoke(churn, ["keys", "list"]).output
