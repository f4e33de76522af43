"""A service as a process, and somebody with write access beside it: hostile releases, files and rows. It goes on answering and says why."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn_store.database.migrate import migrate
from churn_store.releases.bundles import stage
from churn_store.releases.log import history
from churn_store.releases.manifest import Blessing, Rule, encode
from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import Process, run, serving
from tests.fault_table import Fault
from tests.release_factory import NOW_S, Candidate, train
from tests.store.servers import Postgres
from tests.store.trees import SIGNATURE, chain, golden, model

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

BODY = {"customer_id": "c0", "attributes": ONLINE_ROWS[0]}

WITHOUT_CHECKS = (
    sys.executable,
    "-c",
    "import sys; from churn_store.releases import trial; trial.CHILD = 'tests.store.unchecked_trial'; "
    "from churn_store.cli.main import main; sys.argv = ['churn', 'serve']; main()",
)
"""`churn serve` whose trials do not check trees, as if a file were hostile in a way that no check foresees."""


@pytest.fixture
def second(tmp_path: Path, candidate: Candidate, other_candidate: Candidate) -> Iterator[Installation]:
    """Two releases, and keys."""
    with Installation.make(tmp_path) as installation:
        installation.make_key("on call", "release")
        installation.release(candidate)
        installation.release(other_candidate)
        installation.put_online()
        yield installation


def hostile(installation: Installation, **contents: bytes) -> str:
    """The digest of a release of three numbers that nobody checked."""
    made = train()
    named = {"model.onnx": contents["model"], "golden.json": contents.get("golden", golden())}
    manifest = msgspec.structs.replace(made.manifest, signature=SIGNATURE)
    staged = stage(installation.files, {**made.contents, **named}, manifest)
    blessing = Blessing(staged.candidate, "accepted", (Rule("auc", True, "0.8", "0.6"),), "gate", NOW_S)
    return installation.files.put(encode(msgspec.structs.replace(staged, blessing=blessing)))


class Asked:
    """Predictions without a pause while something happens; each is answered with 200 by one of the releases that may serve."""

    def __init__(self, process: Process, key: str, releases: set[str]) -> None:
        self._stop = threading.Event()
        self._asked = (process, key, releases)
        self.answered = 0
        self.wrong: list[Any] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Asked":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _ask(self) -> None:
        process, key, releases = self._asked
        while not self._stop.is_set():
            try:
                status, told = process.ask("/predict", key=key, body=BODY)
            except OSError as error:
                status, told = 0, error
            if status == 200 and told["model"]["release"] in releases:
                self.answered += 1
            else:
                self.wrong.append((status, told))


def health(process: Process) -> Any:
    return process.ask("/health")[1]


def until(reached: Callable[[], Any], *, within_s: float = 60.0) -> float:
    """The seconds until something holds."""
    begun = time.monotonic()
    while not reached():
        assert time.monotonic() - begun < within_s, f"not within {within_s} s"
        time.sleep(0.05)
    return time.monotonic() - begun


MODELS: dict[str, Callable[[], dict[str, bytes]]] = {
    "400,000 nested branches": lambda: {"model": model(chain(400_000))},
    "a circle of branches": lambda: {"model": model(chain(3, nodes_truenodeids=[1, 2, 1, 0, 0, 0, 0]))},
    "a column far beside the tensor": lambda: {"model": model(chain(1, nodes_featureids=[2**40, 0, 0]))},
    "a probability of 7.0": lambda: {
        "model": model(chain(1, target_weights=[3.5, 3.5]), last="Add"), "golden": golden(1.0),
    },
    "a probability that is no number": lambda: {
        "model": model(chain(1, target_weights=[float("nan")] * 2), last="Add"), "golden": golden(0.5),
    },
    "130 MiB of empty nodes": lambda: {"model": b"\x08\x08\x3a\xfe\xff\xff\x3f" + b"\x0a\x00" * (2**26 - 1)},
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_a_hostile_release_stops_neither_the_service_nor_its_next_start(
    fault: Fault, second: Installation, case: str
) -> None:
    fault.names(f"a release with {case}", done="named as newest, then asked for by rollback, then the service restarted")
    good, key = second.bundle().digest, second.keys["both"].key
    bad = hostile(second, **MODELS[case]())
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        until((second.config.cache_folder / "release.json").exists)
        with Asked(process, key, {good}) as asked:
            second.name(bad)
            until(lambda: process.ask("/health/detailed", key=key)[1]["release"]["refused"] == bad)
        assert (asked.wrong, asked.answered > 0) == ([], True)
        told = process.ask("/model/version", key=key)[1]
        assert (told["not_taken"]["reason"], told["release"]) == ("release", good)
        assert "model.onnx" in told["not_taken"]["detail"]
        status, said = process.ask(
            "/releases/rollback", key=second.keys["on call"].key, body={"reason": "x", "to_epoch": 3}
        )
        assert status == 409, said
    with serving(second.home) as process:
        seconds = until(lambda: process.ask("/predict", key=key, body=BODY)[0] == 200)
        assert process.ask("/predict", key=key, body=BODY)[1]["model"]["release"] == good
        until(lambda: health(process)["status"] == "degraded")
    fault.held(f"{asked.answered} answers by the last good release, the reason in health", recovered_after_s=seconds)


def test_a_file_that_really_kills_what_loads_it_kills_a_child_alone(fault: Fault, second: Installation) -> None:
    fault.names("a file that ends its loader by SIGSEGV", done="the checks of trees left out; named as newest, restarted")
    good, key = second.bundle().digest, second.keys["both"].key
    bad = hostile(second, model=model(chain(400_000)))
    for _ in range(2):
        with serving(second.home, command=WITHOUT_CHECKS, PYTHONPATH=str(Path(__file__).parents[2])) as process:
            process.until("/health/live", 200)
            if second.newest_epoch() == 2:
                process.until("/health/ready", 200)
                until((second.config.cache_folder / "release.json").exists)
                second.name(bad)
            until(lambda: process.ask("/health/detailed", key=key)[1]["release"]["refused"] == bad)
            seconds = until(lambda: process.ask("/predict", key=key, body=BODY)[0] == 200)
            told = process.ask("/model/version", key=key)[1]
            assert (told["release"], told["not_taken"]["reason"]) == (good, "release")
            assert "SIGSEGV" in told["not_taken"]["detail"]
    fault.held("the last good release answers, also after a restart", recovered_after_s=seconds)


def test_while_a_release_is_tried_without_end_the_last_good_one_answers_and_a_newer_row_is_followed(
    fault: Fault, second: Installation
) -> None:
    fault.names("a release whose trial never ends", done="named as newest, the service restarted, then another row added")
    good, key = second.bundle().digest, second.keys["both"].key
    bad = hostile(second, model=model(chain(3, nodes_truenodeids=[1, 2, 1, 0, 0, 0, 0])))
    endless = (*WITHOUT_CHECKS[:2], WITHOUT_CHECKS[2].replace("unchecked_trial", "endless_trial"))
    path = str(Path(__file__).parents[2])
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        until((second.config.cache_folder / "release.json").exists)
    second.name(bad)
    with serving(second.home, command=endless, PYTHONPATH=path) as process:
        seconds = until(lambda: process.ask("/predict", key=key, body=BODY)[0] == 200, within_s=20)
        assert process.ask("/predict", key=key, body=BODY)[1]["model"]["release"] == good
        second.name(good)
        followed = until(lambda: process.ask("/model/version", key=key)[1]["epoch"] == 4, within_s=10)
    fault.degraded(
        f"the last good release answers after {seconds:.1f} s, and the next row after {followed:.1f} s",
        recovered_after_s=followed,
    )


def pipe(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.mkdir()


def unix_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(file.parent)  # a socket's name is short
        try:
            one.bind(file.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("put", [pipe, device, folder, unix_socket], ids=lambda put: put.__name__)
@pytest.mark.parametrize("place", ["as_of", "current.json", "online features"])
def test_what_is_no_file_in_place_of_one_is_refused_and_the_service_goes_on(
    fault: Fault, second: Installation, place: str, put: Callable[[Path], None]
) -> None:
    fault.names(f"a {put.__name__} in place of {place}", done="put there while the service answers")
    good, key = second.bundle().digest, second.keys["both"].key
    online = Path(second.config.online_url)
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        with Asked(process, key, {good}) as asked:
            file = second.home / "as_of" if place == "as_of" else online / "current.json"
            if place == "online features":
                former = msgspec.json.decode((online / "current.json").read_bytes())
                file = online / f"features-{'e' * 24}.sqlite"
                put(file)
                (online / "current.json").write_bytes(msgspec.json.encode({**former, "digest": "e" * 64}))
            else:
                file.unlink()
                put(file)
            what = "clock" if place == "as_of" else "online"
            until(lambda: failures(process, key, what) > 1)
            if place == "as_of":
                assert "the clock goes on as it was" in " ".join(health(process)["degraded"])
            assert process.ask("/predict/c1", key=key)[0] == 200
            if put is not folder and place != "as_of":  # the next snapshot takes the place of what is no file
                written = second.put_online(seed=8, snapshot_s=NOW_S)
                until(lambda: process.ask("/health/detailed", key=key)[1]["online_features"]["snapshot"] == written.name)
        assert asked.answered > 0
        assert [one for one in asked.wrong if one[0] != 200] == []
    fault.degraded("every prediction is answered; health and metrics say what is not read")


def failures(process: Process, key: str, what: str) -> float:
    connection = process.connect()
    connection.request("GET", "/metrics", headers={"X-API-Key": key})
    text = connection.getresponse().read().decode()
    connection.close()
    lines = [line for line in text.splitlines() if line.startswith(f'churn_refresh_failures_total{{what="{what}"}}')]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0


def test_online_features_that_are_shortened_under_the_service_are_answered_on(fault: Fault, second: Installation) -> None:
    fault.names("the online file cut to a page", done="under a running service, each customer asked for, restarted")
    key = second.keys["both"].key
    second.put_online(customers=20_000)
    [file] = [one for one in Path(second.config.online_url).glob("features-*.sqlite") if one.stat().st_size > 10**6]
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        assert process.ask("/predict/c19999", key=key)[0] == 200
        os.truncate(file, 4096)
        assert {process.ask(f"/predict/c{i}", key=key)[0] for i in range(0, 20_000, 400)} == {200}
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        assert process.ask("/predict/c19999", key=key)[0] == 200
    fault.held("every customer is answered from the service's own copy, also after a restart")


def test_rows_that_no_code_here_writes_are_put_aside_and_the_others_go_on(fault: Fault, second: Installation) -> None:
    fault.names("a gain that is a text, keys with bad scopes, hash and expiry", done="written beside a running service")
    key = second.keys["both"].key
    good = second.bundle().digest
    for name in ("scopes", "hash", "expiry"):
        second.make_key(name, "read")
    with serving(second.home) as process:
        process.until("/health/ready", 200)
        with Asked(process, key, {good, history(second.engine)[1].champion}) as asked, second.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE api_keys SET scopes = '5' WHERE name = 'scopes'")
            connection.exec_driver_sql("UPDATE api_keys SET secret_sha256 = CAST(x'ff' AS TEXT) WHERE name = 'hash'")
            connection.exec_driver_sql("UPDATE api_keys SET expires_s = 'soon' WHERE name = 'expiry'")
            connection.exec_driver_sql(
                "INSERT INTO releases (epoch, champion, actor, reason, published_s, gain) VALUES (3, ?, 'x', 'y', 1, 'a lot')",
                (good,),
            )
            connection.exec_driver_sql("COMMIT")
            seconds = until(lambda: "4 rows of the database can't be read and are put aside" in health(process)["degraded"])
            assert process.ask("/model/version", key=second.keys["expiry"].key)[0] == 401
        told = " ".join(process.ask("/health/detailed", key=key)[1]["aside"])
        assert "row epoch 3 of releases is put aside" in told
        assert all(second.keys[name].key_id in told for name in ("scopes", "hash", "expiry"))
        assert not any(second.keys[name].key_id in str(health(process)) for name in ("scopes", "hash", "expiry"))
        status, row = process.ask("/releases/rollback", key=second.keys["on call"].key, body={"reason": "behind it"})
        assert (status, row.get("epoch")) == (200, 4), row
        until(lambda: process.ask("/model/version", key=key)[1]["epoch"] == 4)
        assert asked.wrong == []
    fault.held("all others are answered, and a rollback goes on behind the row", recovered_after_s=seconds)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_of_twenty_rollbacks_at_once_exactly_one_writes_and_the_others_are_told_the_row(
    fault: Fault,
    tmp_path: Path,
    candidate: Candidate,
    other_candidate: Candidate,
    request: pytest.FixtureRequest,
    database: str,
) -> None:
    fault.names("twenty rollbacks at once", done=f"over HTTP to two services, then by five commands, on {database}")
    store = {}
    if database == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        store["database_url"] = str(server.new_database())
        migrate(store["database_url"])
    with Installation.make(tmp_path, store=store) as installation:
        installation.make_key("on call", "release")
        installation.release(candidate)
        installation.release(other_candidate)
        installation.put_online()
        key = installation.keys["on call"].key
        with serving(installation.home) as one, serving(installation.home, CHURN_SERVICE__CACHE=str(tmp_path / "b")) as two:
            for process in (one, two):
                process.until("/health/ready", 200)
            together = threading.Barrier(20)

            def ask(i: int) -> tuple[int, Any]:
                together.wait()
                return (one, two)[i % 2].ask("/releases/rollback", key=key, body={"reason": "complaints", "read_epoch": 2})

            with ThreadPoolExecutor(20) as threads:
                answers = list(threads.map(ask, range(20)))
            won = [told for status, told in answers if status == 200]
            lost = [told for status, told in answers if status == 409]
            assert (len(won), len(lost)) == (1, 19), answers
            assert {told["newest"]["epoch"] for told in lost} == {won[0]["epoch"]} == {3}
            assert {told["newest"]["actor"] for told in lost} == {"on call"}
        with ThreadPoolExecutor(5) as threads:
            asked = ("rollback", "--by", "ada", "--reason", "at once", "--to", "2")
            ended = list(threads.map(lambda _: run(installation.home, *asked), range(5)))
        assert sorted(one.returncode for one in ended) == [0, 2, 2, 2, 2], [one.stderr for one in ended]
        assert all("epoch 4 (rolled_back by ada: at once)" in one.stderr for one in ended if one.returncode)
        assert [row.epoch for row in history(installation.engine)] == [4, 3, 2, 1]
    fault.held("one row each time; the nineteen and the four others are told it")
