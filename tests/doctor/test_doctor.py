"""`churn doctor`: each part that does not work is named with what to do, and no password is ever shown."""

import contextlib
import datetime as dt
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from churn_assets.cli.data.verify import verify
from churn_assets.cli.doctor import doctor
from churn_assets.doctor import machine, stores
from churn_assets.doctor.probe import ProbeResult, probed
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.instance import instance_of
from churn_assets.resources.service_process import key_in_file
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.errors import AbsentError, InputError, LostError
from churn_store.mapping.tables import SCHEMAS
from churn_store.redaction import without_password
from churn_store.storage.digest_store import DigestStore
from tests.champion.world import make_world
from tests.store.servers import Postgres, postgres

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "s3cr3t-word"
SYNTHETIC = {"company": "small", "source": {"kind": "synthetic", "customers": 100}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A company in a folder, in which nothing has run yet."""
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(SYNTHETIC))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(folder: Path, **sections: Any) -> None:
    (folder / "churn.yaml").write_text(yaml.safe_dump({**SYNTHETIC, **sections}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def examined(*arguments: str) -> tuple[int, dict[str, ProbeResult]]:
    """The exit status, and what was found by part."""
    result = CliRunner().invoke(doctor, ["--json", *(arguments or ("--port", str(free_port())))], catch_exceptions=False)
    assert PASSWORD not in result.output
    found = [ProbeResult(**json.loads(line)) for line in result.stdout.splitlines()]
    return result.exit_code, {one.part: one for one in found}


def failed(found: dict[str, ProbeResult]) -> list[str]:
    return [part for part, one in found.items() if one.state == "failed"]


def test_a_fresh_company_works_and_what_is_not_there_yet_is_no_failure(folder: Path) -> None:
    status, found = examined()
    assert (status, failed(found)) == (0, [])
    assert {part for part, one in found.items() if one.state == "absent"} >= {
        "serving database", "release", "online features", "MLflow", "Dagster's daemon", "service", "spark", "lake's columns",
    }  # fmt: skip
    assert found["lake"].state == "ok"
    assert not (folder / ".churn").exists()


def test_the_screen_is_one_line_a_part(folder: Path) -> None:
    result = CliRunner().invoke(doctor, ["--port", str(free_port())])
    assert all(line.split()[0] in ("ok", "failed", "absent", "follows") for line in result.output.splitlines())
    assert len(result.output.splitlines()) == 20


def test_a_configuration_that_does_not_load_is_the_finding(folder: Path) -> None:
    (folder / "churn.yaml").write_text("compny: x\n")
    status, found = examined()
    assert (status, failed(found)) == (1, ["churn.yaml"])
    assert "unknown compny" in found["churn.yaml"].said


def test_without_a_file_the_defaults_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "churn.yaml").unlink()
    monkeypatch.delenv("CHURN_CONFIG")
    _, found = examined()
    assert found["churn.yaml"].state == "absent"
    assert "defaults are in force" in found["churn.yaml"].said


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("polars==0.0.1 \\\n    --hash=sha256:00\n", r"1 of 1 libraries differ.*polars \d.*locked 0\.0\.1.*make setup"),
        ("no-such-library==1.0\n", "no-such-library is not installed, locked 1.0"),
    ],
)
def test_a_library_that_is_not_as_locked_is_named(tmp_path: Path, lock: str, said: str) -> None:
    (tmp_path / "requirements.lock").write_text(lock)
    with pytest.raises(InputError, match=said):
        machine.libraries(tmp_path / "requirements.lock")


def test_a_library_for_other_machines_need_not_be_there_and_of_several_versions_one_is_enough(tmp_path: Path) -> None:
    lock = (
        f"pywin32==1.0 ; sys_platform == 'win32' \\\npolars==0.0.1 ; python_version < '3'\npolars=={pl.__version__} ; x\n"
    )
    (tmp_path / "requirements.lock").write_text(lock)
    assert machine.libraries(tmp_path / "requirements.lock") == "2 libraries as locked"
    with pytest.raises(AbsentError):
        machine.libraries(tmp_path / "absent.lock")


def test_another_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "OLDEST", (3, 99))
    with pytest.raises(InputError, match=r"expected 3\.11 to 3\.13"):
        machine.python()


def test_a_full_disk_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FREE_BYTES", 2**60)
    _, found = examined()
    assert failed(found) == ["disk"]
    assert "of free disk; expected at least" in found["disk"].said


def test_a_home_that_is_no_folder_cannot_be_written(folder: Path) -> None:
    (folder / "file").write_text("")
    configured(folder, home="file/home")
    status, found = examined()
    assert status == 1
    assert failed(found) == ["home"], "what lies in it follows"
    assert "can't be written" in found["home"].said
    below = {part for part, result in found.items() if result.state == "follows"}
    assert {"disk", "lake", "lake's columns", "lake's contents", "serving database", "release", "MLflow"} <= below
    assert found["lake's contents"].said == "not looked at, as lake fails"


def test_a_database_that_is_none_is_named_and_migrating_is_not_advised_as_a_cure(folder: Path) -> None:
    settings = Settings.load()
    migrate(settings.database_url)
    file = settings.home / "serving.db"
    file.write_text("no database at all, whatever it is called")
    status, found = examined()
    assert (status, failed(found)) == (1, ["serving database"])
    assert found["release"].state == "follows"
    said = found["serving database"].said
    assert f"{file.absolute()} is no database that can be read" in said
    assert "bring it back from a backup" in said
    assert said.index("backup") < said.index("churn migrate")
    with pytest.raises(LostError, match="the serving database is lost"):
        migrate(settings.database_url)


@pytest.mark.parametrize("lose", [Path.unlink, lambda file: file.write_bytes(b"")], ids=["gone", "empty"])
def test_a_database_that_was_lost_is_not_called_new(folder: Path, lose: Callable[[Path], object]) -> None:
    settings = Settings.load()
    migrate(settings.database_url)
    DigestStore(settings.releases_url).put(b"a release")
    lose(settings.home / "serving.db")
    status, found = examined()
    assert (status, failed(found)) == (1, ["serving database"])
    assert "the serving database is lost" in found["serving database"].said
    assert found["release"].state == "follows"


def test_the_port_of_the_settings_is_asked(folder: Path) -> None:
    port = free_port()
    configured(folder, service={"port": port})
    result = CliRunner().invoke(doctor, ["--json"], catch_exceptions=False)
    assert f"nobody listens on 127.0.0.1:{port}" in result.stdout


def test_periods_that_dagster_knows_nothing_of_are_told(folder: Path) -> None:
    settings = Settings.load()
    rows = {period: pl.DataFrame({"customer_id": ["a"]}) for period in ("2024-01-01", "2024-02-01")}
    Lake(settings.lake_url).replace("customers", rows, run_id="before")
    status, found = examined()
    assert (status, failed(found)) == (1, ["lake's contents"])
    assert "Dagster has no record of periods that the lake holds (2 of customers)" in found["lake's contents"].said
    verified = CliRunner().invoke(verify, [], catch_exceptions=False)
    assert verified.exit_code == 1
    assert "no record of periods that the lake holds (2 of customers)" in verified.output


def test_one_of_dagsters_databases_that_is_none_is_named(folder: Path) -> None:
    with instance_of(folder) as instance:
        instance.get_runs_count()
    [file] = (folder / ".dagster").rglob("runs.db")
    file.write_text("no database at all, whatever it is called")
    status, found = examined()
    assert (status, failed(found)) == (1, ["Dagster"])
    assert f"{file} is no database that can be read" in found["Dagster"].said
    assert found["lake's contents"].state == found["Dagster's daemon"].state == "follows"


def test_periods_that_were_never_recorded_are_told(folder: Path) -> None:
    settings = Settings.load()
    Lake(settings.lake_url).replace("customers", {"2024-01-01": pl.DataFrame({"customer_id": ["a"]})}, run_id="before")
    with instance_of(folder) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("customers", partition="2024-01-01"))
    _, found = examined()
    assert "the files of 1 periods were never recorded (1 of customers)" in found["lake's contents"].said
    assert "run `churn data migrate`" in found["lake's contents"].said


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """As somebody whom folders can refuse: root may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_home_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        (folder / ".churn").mkdir(mode=0o555)
        monkeypatch.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
        configured(folder)
        settings = Settings.load()
        with as_nobody():
            with pytest.raises(InputError, match="can't be written"):
                machine.home(settings.home)
            with pytest.raises(InputError, match="can't be written and read"):
                stores.writable(Lake(settings.lake_url))


def test_an_address_of_an_object_store_is_written_and_cleaned(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    said = stores.writable(Lake(f"file://{tmp_path / 'lake'}"))
    assert "can be written and read" in said
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    with pytest.raises(InputError, match="can't be written and read"):
        stores.writable(Lake(f"s3://{PASSWORD}@no-such-bucket-here.invalid/x?endpoint=http://127.0.0.1:1"))


def test_an_older_lake_is_told_to_migrate(folder: Path) -> None:
    rows = pl.DataFrame(schema=SCHEMAS["payments"]).drop("due_s", "list_cents")
    Lake(str(folder / ".churn" / "lake")).replace("payments", {"2024-01-01": rows}, run_id="r")
    status, found = examined()
    assert (status, failed(found)) == (1, ["lake's columns"])
    assert "payments lacks due_s, list_cents. Run `churn data migrate`" in found["lake's columns"].said


def with_password(url: str) -> str:
    return sa.make_url(url).set(username="postgres", password=PASSWORD).render_as_string(hide_password=False)


def test_a_postgresql_that_is_stopped_or_not_migrated_is_named_without_its_password(folder: Path) -> None:
    with postgres() as server:
        url = with_password(server.new_database())
        configured(folder, store={"database_url": url})
        _, found = examined()
        assert "has no tables" in found["serving database"].said
        assert "run `churn migrate`" in found["serving database"].said
        migrate(url)
        status, found = examined()
        assert (status, found["serving database"].state, found["release"].state) == (0, "ok", "absent")
        server.stop()
        status, found = examined()
        assert (status, failed(found), found["release"].state) == (1, ["serving database"], "follows")
        assert "does not answer" in found["serving database"].said
        server.start()


def test_a_source_in_postgresql_is_asked_whether_it_answers(folder: Path, postgres_server: Postgres) -> None:
    url = with_password(postgres_server.new_database())
    payments = {"table": "shop.payments", "columns": {"customer_id": "who", "occurred": "at", "amount": "paid"}}
    source = {"kind": "postgres", "url": url, "start": "2024-01-01", "payments": payments}
    configured(folder, source=source, label={"kind": "inactivity"}, at_risk={"cancelled_event": None})
    _, found = examined()
    assert (found["source"].state, "answers" in found["source"].said) == ("ok", True), found["source"]
    away = f"postgresql://reader:{PASSWORD}@127.0.0.1:{free_port()}/shop"
    configured(folder, source={**source, "url": away}, label={"kind": "inactivity"}, at_risk={"cancelled_event": None})
    status, found = examined()
    assert (status, failed(found)) == (1, ["source"])
    assert "does not answer" in found["source"].said


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    customers = {"path": "data/c.csv", "columns": {"customer_id": "id"}, "label": {"column": "left"}}
    attributes = {"visits": {"column": "v", "kind": "number"}}
    source = {"kind": "files", "shape": "table", "customers": {**customers, "attributes": attributes}}
    configured(folder, source=source)
    _, found = examined()
    assert failed(found) == ["source"]
    assert "no file matches" in found["source"].said
    (folder / "data").mkdir()
    (folder / "data" / "c.csv").write_text("id,left,v\n1,Yes,2\n")
    assert examined()[0] == 0


def test_a_redis_that_is_away_is_named_and_one_that_answers_is_not(folder: Path, redis_url: str) -> None:
    configured(folder, store={"online_url": redis_url})
    assert examined()[1]["online features"].state == "ok"
    configured(folder, store={"online_url": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"})
    _, found = examined()
    assert failed(found) == ["online features"]
    assert "does not answer" in found["online features"].said


def test_a_corrupted_file_of_the_serving_release_is_named(folder: Path) -> None:
    home = folder / ".churn"
    home.mkdir()
    world = make_world(home)
    status, found = examined()
    assert (status, found["release"].state) == (0, "ok"), found["release"]
    sha = world.champion.manifest.files["model.onnx"].sha256
    file = home / "releases" / "sha256" / sha[:2] / sha
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    status, found = examined()
    assert (status, failed(found)) == (1, ["release"])
    assert "was changed" in found["release"].said
    file.unlink()
    assert "is missing" in examined()[1]["release"].said


class Answering(BaseHTTPRequestHandler):
    """Answers every request the same."""

    body: ClassVar[bytes] = b"OK"
    detailed: ClassVar[int] = 200

    def do_GET(self) -> None:
        """The name that http.server asks for."""
        self.send_response(self.detailed if self.path == "/health/detailed" else 200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def answering(body: bytes, *, detailed: int = 200) -> Iterator[int]:
    """A server that answers so, and with another status where the detailed health is asked for; its port."""
    handler = type("Handler", (Answering,), {"body": body, "detailed": detailed})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_an_mlflow_server_that_is_away_is_named(folder: Path) -> None:
    with answering(b'{"experiment": {"tags": []}}') as port:
        configured(folder, tracking={"uri": f"http://127.0.0.1:{port}"})
        assert examined()[1]["MLflow"].state == "ok"
    with answering(b"OK") as port:
        configured(folder, tracking={"uri": f"http://127.0.0.1:{port}"})
        _, found = examined()
        assert failed(found) == ["MLflow"]
        assert "does not say whether it has the experiment" in found["MLflow"].said
    configured(folder, tracking={"uri": f"http://user:{PASSWORD}@127.0.0.1:{free_port()}"})
    _, found = examined()
    assert failed(found) == ["MLflow"]


@pytest.mark.parametrize(
    ("body", "state", "said"),
    [
        (b'{"status": "ready"}', "ok", "is ready"),
        (b'{"status": "not ready", "not_ready": ["no release"], "degraded": []}', "failed", "is not ready: no release"),
        (b"<html>", "failed", "name its port with --port"),
        (b"[]", "failed", "name its port with --port"),
    ],
)
def test_whoever_answers_on_the_services_port_is_asked_for_its_health(
    folder: Path, body: bytes, state: str, said: str
) -> None:
    with answering(body) as port:
        _, found = examined("--port", str(port))
    assert (found["service"].state, said in found["service"].said) == (state, True), found["service"]


@pytest.mark.parametrize(
    ("status", "said"), [(401, "need a key with the scope read"), (200, "answer everybody (service.open_metrics)")]
)
def test_whether_the_service_tells_strangers_its_metrics_is_said(folder: Path, status: int, said: str) -> None:
    with answering(b'{"status": "ready"}', detailed=status) as port:
        _, found = examined("--port", str(port))
    assert found["service"].state == "ok"
    assert found["service"].said.endswith(said)


def test_the_service_itself_is_not_ready_without_a_release(folder: Path) -> None:
    migrate(f"sqlite:///{folder / '.churn' / 'serving.db'}")
    key_in_file(folder / ".churn" / "api-key", Settings.load().database_url)
    port = free_port()
    environment = {**os.environ, "CHURN_SERVICE__PORT": str(port)}
    serve = [str(Path(sys.executable).with_name("churn")), "serve"]
    with subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while examined("--port", str(port))[1]["service"].state == "absent" and time.monotonic() < until:
                pass
            _, found = examined("--port", str(port))
        finally:
            process.terminate()
    assert failed(found) == ["service"]
    assert "not ready" in found["service"].said


def beat(instance: dg.DagsterInstance, seconds_ago: float, *, errors: Sequence[SerializableErrorInfo] = ()) -> None:
    for daemon in instance.get_required_daemon_types():
        when = dt.datetime.now(dt.UTC).timestamp() - seconds_ago
        instance.add_daemon_heartbeat(DaemonHeartbeat(when, daemon, None, list(errors)))


def test_a_daemon_that_ticks_is_well_and_one_that_does_not_run_is_absent_on_a_laptop_and_failed_in_production(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance_of(folder) as instance:
        beat(instance, 0)
    well = examined()[1]["Dagster's daemon"]
    assert well.state == "ok"
    assert re.search(r"parts tick, last heard of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", well.said)
    with instance_of(folder) as instance:
        beat(instance, 300)
    assert examined()[1]["Dagster's daemon"].state == "absent"
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    status, found = examined()
    assert (status, failed(found)) == (1, ["Dagster's daemon"])
    assert "does not tick, last heard of" in found["Dagster's daemon"].said


def test_a_daemon_that_met_an_error_ticks_all_the_same_and_says_the_cause(folder: Path) -> None:
    cause = SerializableErrorInfo("OSError: the disk is full\n", [], "OSError")
    error = SerializableErrorInfo(
        "SensorExecutionError: in the sensor monitor_when_due\n", [], "SensorExecutionError", cause
    )
    with instance_of(folder) as instance:
        beat(instance, 0, errors=[error])
    found = examined()[1]["Dagster's daemon"]
    assert found.state == "ok"
    assert "met an error lately (OSError: the disk is full): look at the ticks in the Dagster UI" in found.said
    with instance_of(folder) as instance:
        beat(instance, 300, errors=[error])
    assert examined()[1]["Dagster's daemon"].state == "absent"


def test_an_instance_that_does_not_load_is_named(folder: Path) -> None:
    (folder / "dagster.yaml").write_text(f"storage: {{nowhere: {{url: 'postgresql://x:{PASSWORD}@db/x'}}}}")
    status, found = examined()
    assert status == 1
    assert "Dagster" in failed(found)
    assert found["Dagster's daemon"].state == "follows"


def test_spark_without_pyspark_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(folder, engine="spark")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    _, found = examined()
    assert "pyspark is not installed" in found["spark"].said


def test_an_error_that_nobody_foresaw_is_shown_by_its_type_alone() -> None:
    def breaks() -> str:
        raise RuntimeError(f"postgresql://x:{PASSWORD}@host/db")

    found = probed("part", breaks)
    assert (found.state, PASSWORD in found.said) == ("failed", False)
    assert "RuntimeError" in found.said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql+psycopg://user:{PASSWORD}@db:5432/churn?sslmode=x", "postgresql+psycopg://db:5432/churn"),
        (f"redis://:{PASSWORD}@cache:6379/0", "redis://cache:6379/0"),
        (f"postgresql://user@db/churn?password={PASSWORD}", "postgresql://db/churn"),
        ("sqlite:////home/churn.db", "sqlite:////home/churn.db"),
        ("/srv/lake", "/srv/lake"),
    ],
)
def test_an_address_is_shown_without_user_password_and_query(url: str, shown: str) -> None:
    assert without_password(url) == shown
