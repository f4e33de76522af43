"""The spool under attack: segments that can't be shipped stop no other, and a disk that takes nothing is not filled with empty files."""

import errno
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from churn_store.clock import wall_s
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect, metadata, prediction_log
from tests.api.conftest import Installation
from tests.api.processes import serving
from tests.fault_table import Fault
from tests.release_factory import Candidate
from tests.store.servers import Postgres

LINE: dict[str, Any] = {
    "request_id": "r", "item": 0, "answered_s": 1.5, "customer_id": "c", "release": "d", "epoch": 1, "role": "champion",
    "probability": 0.5, "churn": True, "threshold": 0.4, "snapshot_s": None, "features": {"a": 1}, "latency_us": 1, "key_id": None,
}  # fmt: skip


def line(request_id: str, **changed: Any) -> bytes:
    return msgspec.json.encode({**LINE, "request_id": request_id, **changed})


BAD = {
    "of 2^63": line("big", epoch=2**63),
    "of 2^200": line("huge", snapshot_s=2**200),
    "with a NUL in its id": line("nul", customer_id="a\0b"),
    "with half a letter": line("half").replace(b'"c"', b'"\\ud800"'),
    "not UTF-8": line("latin").replace(b'"c"', b'"\xff"'),
    "of another schema": line("schema", more=1),
    "without a name": line("lacks").replace(b'"epoch":1,', b""),
    "no JSON": b"not json",
    "nested": b"[" * 100_000,
    "empty": b"",
}
"""Lines that no retry would help."""


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = (
        f"sqlite:///{tmp_path / 'serving.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres_server").new_database())
    )
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit_bytes=100_000_000)


def segment(spool: Spool, number: int, *lines: bytes, torn: bytes = b"") -> Path:
    """A segment of a worker that died."""
    file = spool.folder / f"{number:020d}-1-dead.jsonl"
    file.write_bytes(b"".join(one + b"\n" for one in lines) + torn)
    return file


def ids(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(prediction_log.c.request_id)).scalars())


@pytest.mark.parametrize("kind", BAD)
def test_a_line_that_no_database_takes_is_put_aside_and_the_others_go_on(
    engine: sa.Engine, spool: Spool, kind: str
) -> None:
    many = [line(f"m{number}") for number in range(250)]
    bad = segment(spool, 1, *many[:120], BAD[kind], *many[120:], torn=b'{"torn')
    segment(spool, 2, line("after"))
    shipper = Shipper(spool, engine, Metrics())
    shipper.ship()
    assert ids(engine) == {f"m{number}" for number in range(250)} | {"after"}
    aside = bad.with_suffix(".refused")
    assert sorted(aside.read_bytes().split(b"\n")[:-1]) == sorted([BAD[kind], b'{"torn'])
    assert aside.stat().st_mode & 0o777 == 0o600
    assert list(spool.segments()) == []
    assert shipper.words() == [f"lines that the database does not take lie in the spool: {aside.name}"]
    aside.unlink()
    shipper.ship()
    assert shipper.words() == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "link to a good one", "unreadable"])
def test_a_segment_that_cant_be_read_stays_and_is_named_and_the_others_go_on(
    engine: sa.Engine, spool: Spool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "00000000000000000001-1-dead.jsonl"
    stuck = spool.folder / name
    if kind == "folder":
        stuck.mkdir()
    elif kind == "pipe":
        os.mkfifo(stuck)
    elif kind == "link":
        stuck.symlink_to(stuck)
    elif kind == "link to a good one":
        elsewhere = spool.folder.parent / "elsewhere"
        elsewhere.write_bytes(line("elsewhere") + b"\n")
        stuck.symlink_to(elsewhere)
    else:
        segment(spool, 1, line("unreadable"))
        opening = os.open

        def refusing(path: Any, *flags: Any, **more: Any) -> int:
            if str(path) == str(stuck):  # the tests may run as root, who may read all
                raise PermissionError(errno.EACCES, "Permission denied")
            return opening(path, *flags, **more)

        monkeypatch.setattr(os, "open", refusing)
    segment(spool, 2, line("after"))
    shipper = Shipper(spool, engine, Metrics())
    for _ in range(2):
        shipper.ship()
    assert ids(engine) == {"after"}
    assert os.path.lexists(stuck)
    [words] = shipper.words()
    assert words.startswith(f"1 in the spool can't be moved into the database: {name} (")
    monkeypatch.undo()
    (stuck.rmdir if kind == "folder" else stuck.unlink)()
    shipper.ship()
    assert shipper.words() == []


def test_an_id_that_the_databases_encoding_lacks_is_put_aside(postgres_server: Postgres, spool: Spool) -> None:
    engine = connect(postgres_server.new_database("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"))
    metadata.create_all(engine)
    bad = segment(spool, 1, line("x", customer_id="Ж"), line("y", customer_id="é"))
    segment(spool, 2, line("after"))
    Shipper(spool, engine, Metrics()).ship()
    assert ids(engine) == {"y", "after"}
    assert bad.with_suffix(".refused").read_bytes() == line("x", customer_id="Ж") + b"\n"
    engine.dispose()


def test_a_segment_that_the_database_fails_on_stops_no_other_and_loses_no_line(
    postgres_server: Postgres, spool: Spool
) -> None:
    url = postgres_server.new_database()
    migrate(url)
    engine = connect(url)
    with engine.begin() as connection:  # an administrator's rule, whose errors say nothing of the line's values
        connection.exec_driver_sql(
            "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN IF NEW.customer_id = 'never' THEN RAISE 'no'; END IF; RETURN NEW; END $$ "
            "LANGUAGE plpgsql; CREATE TRIGGER t BEFORE INSERT ON prediction_log FOR EACH ROW EXECUTE FUNCTION f()"
        )
    kept = segment(spool, 1, line("before"), line("never", customer_id="never"))
    segment(spool, 2, line("after"))
    shipper = Shipper(spool, engine, Metrics())
    shipper.ship()
    assert ids(engine) == {"after"}
    assert kept.exists()
    assert kept.name in shipper.words()[0]
    engine.dispose()


@contextmanager
def largest_file(size: int, pid: int = 0) -> Iterator[None]:
    """Let a process, by default this one, write no file beyond a size: the disk is full."""
    former = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, former)


def test_a_full_disk_is_tried_less_and_less_often_and_leaves_no_half_line(spool: Spool) -> None:
    text = line("whole") + b"\n"
    with largest_file(2 * len(text) + 10):
        taken = [spool.append(text) for _ in range(20_000)]
    assert taken[:3] == [True, True, False]
    assert not any(taken[3:])
    assert spool.drop == "disk"
    [file] = spool.folder.iterdir()
    assert file.read_bytes() == text * 2
    time.sleep(0.11)
    assert spool.append(text)
    assert (spool.drop, file.read_bytes()) == (None, text * 3)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_not_asked_at_every_prediction(
    spool: Spool, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*_: Any) -> int:
        asked.append(time.monotonic())
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        assert not spool.append(line("x") + b"\n")
    monkeypatch.undo()
    assert 2 <= len(asked) <= 5
    assert len(list(spool.folder.iterdir())) <= 1
    spool.complete()
    spool.sweep()
    assert all(file.stat().st_size == 0 for file in spool.segments())


def test_empty_segments_and_begun_ones_of_the_dead_are_removed_also_without_a_database(
    spool: Spool, tmp_path: Path
) -> None:
    for number in range(1_000):
        segment(spool, number)
    old, young = spool.folder / "x.new", spool.folder / "y.new"
    for file in (old, young):
        file.touch()
    os.utime(old, (wall_s() - 120, wall_s() - 120))
    assert spool.append(line("mine") + b"\n")
    shipper = Shipper(spool, connect(f"sqlite:///{tmp_path / 'not there.db'}"), Metrics())
    with pytest.raises(sa.exc.OperationalError):
        shipper.ship()
    [mine, young_one] = sorted(spool.folder.iterdir())
    assert (mine.read_bytes(), young_one) == (line("mine") + b"\n", young)


def test_while_the_database_is_away_one_segment_grows(spool: Spool, tmp_path: Path) -> None:
    shipper = Shipper(spool, connect(f"sqlite:///{tmp_path / 'not there.db'}"), Metrics())
    for number in range(50):
        assert spool.append(line(str(number)) + b"\n")
        with pytest.raises(sa.exc.OperationalError):
            shipper.ship()
    assert len(list(spool.segments())) == 1


@pytest.mark.faults
def test_a_service_with_bad_segments_ships_the_good_ones_and_names_the_bad(
    installation: Installation, candidate: Candidate, fault: Fault
) -> None:
    fault.names(
        "segments of the spool that can't be shipped",
        done="a folder, a pipe, an integer of 2^63, a torn line, before 50 good ones",
    )
    installation.release(candidate)
    installation.put_online()
    folder, key = installation.config.spool_folder, installation.keys["both"].key
    folder.mkdir(exist_ok=True)
    spool = Spool(folder, limit_bytes=10**9)
    (folder / "00000000000000000001-1-dead.jsonl").mkdir()
    os.mkfifo(folder / "00000000000000000002-1-dead.jsonl")
    bad = segment(spool, 3, BAD["of 2^63"], line("good"), torn=b'{"torn')
    with serving(installation.home, CHURN_SERVICE__SHIP_S="0.1") as process:
        process.until("/health/ready", 200)
        begun = time.monotonic()
        answered = {process.ask("/predict/c1", key=key)[1]["prediction_id"] for _ in range(50)}
        while not answered | {"good"} <= {row["request_id"] for row in installation.logged()}:
            assert time.monotonic() - begun < 20
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        words = " ".join(process.ask("/health")[1]["degraded"])
        assert all(
            name in words
            for name in ("00000000000000000001-1-dead.jsonl", "00000000000000000002-1-dead.jsonl", "dead.refused")
        )
        process.stop()
    assert bad.with_suffix(".refused").read_bytes() == b'{"torn\n' + BAD["of 2^63"] + b"\n"
    fault.degraded(
        "all good lines are in the log, the bad ones lie aside, health names the files", recovered_after_s=seconds
    )


@pytest.mark.faults
def test_with_disk_full_and_database_away_answers_go_on_and_what_is_not_logged_is_counted(
    tmp_path: Path, candidate: Candidate, postgres_server: Postgres, fault: Fault
) -> None:
    fault.names(
        "disk full and PostgreSQL away",
        done="no byte can be written for 5 s of predictions (RLIMIT_FSIZE), then both come back",
    )
    with Installation.make(tmp_path, store={"database_url": postgres_server.new_database()}) as installation:
        installation.release(candidate)
        installation.put_online()
        key, folder = installation.keys["both"].key, installation.config.spool_folder
        with serving(tmp_path, CHURN_SERVICE__SHIP_S="0.1") as process:
            process.until("/health/ready", 200)
            first = process.ask("/predict/c1", key=key)[1]["prediction_id"]
            while first not in {row["request_id"] for row in installation.logged()}:
                time.sleep(0.05)
            installation.engine.dispose()
            postgres_server.stop()
            try:
                with largest_file(0, process.pid):
                    begun, lost = time.monotonic(), 0
                    while time.monotonic() - begun < 5:
                        assert process.ask("/predict/c1", key=key)[0] == 200
                        lost += 1
                    files = list(folder.iterdir())
                    words = " ".join(process.ask("/health")[1]["degraded"])
            finally:
                postgres_server.start()
            assert len(files) <= 2
            assert "predictions are answered but not logged: disk" in words
            assert "the serving database does not answer" in words
            back = time.monotonic()
            while "not logged" in " ".join(process.ask("/health")[1]["degraded"]):
                lost += process.ask("/predict/c1", key=key)[0] == 200
                assert time.monotonic() - back < 20
            seconds = time.monotonic() - back
            last = process.ask("/predict/c1", key=key)[1]["prediction_id"]
            process.stop()
        logged = {row["request_id"] for row in installation.logged()}
        assert {first, last} <= logged
        assert len(logged) in (3, 2)  # the one that ended the drop, if it was asked for by the loop
    fault.degraded(
        f"{lost} answered, none logged, {len(files)} files; health said disk and database; logging again by itself",
        recovered_after_s=seconds,
    )
