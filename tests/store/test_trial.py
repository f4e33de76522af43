"""A child process tries a model first: whatever it does to the child, this process goes on and says what was found."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from churn_store.errors import ReleaseError
from churn_store.releases import trial
from churn_store.releases.child import Ended, NotWantedError, run_child
from churn_store.releases.trial import Trials
from churn_store.safe_read import MEBIBYTE
from tests.store.trees import SIGNATURE, chain, golden, model

pytestmark = pytest.mark.integration

RESTLESS = "tests.store.restless_child"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tried in this process."""
    monkeypatch.setattr(Trials, "_passed", set())


def restless(asked: bytes, *, cpu_s: int = 30, within_s: float = 60.0) -> Ended:
    return run_child(RESTLESS, [asked], memory=512 * MEBIBYTE, cpu_s=cpu_s, within_s=within_s)


def test_a_child_inherits_no_variable_no_handle_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_STORE__DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with socket.socket() as listening:
        listening.set_inheritable(True)
        ended = restless(b"tell")
    folder, *handles, variables = ended.said.decode().replace("[", "").replace("]", "").split(" ")
    assert (ended.status, folder, handles) == (0, "/", ["0,", "1,", "2", "4"])  # 3 is the folder of handles that it reads
    assert set(variables.strip().split(",")) <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "ORT_DISABLE_TELEMETRY", "POLARS_MAX_THREADS",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONPATH",
    }  # fmt: skip


def test_a_child_has_little_memory_time_and_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_store.releases.child.START_S", 0)
    assert restless(b"grow").status == 1
    assert restless(b"spin", cpu_s=1).status == -signal.SIGXCPU
    written = restless(b"write")
    assert (written.status, len(written.said)) == (1, 64 * 1024)
    begun = time.monotonic()
    assert restless(b"sleep", within_s=1.0).status is None
    assert time.monotonic() - begun < 10


def test_a_child_that_nobody_wants_any_more_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(NotWantedError):
        run_child(
            RESTLESS,
            [b"sleep"],
            memory=512 * MEBIBYTE,
            cpu_s=30,
            within_s=60.0,
            wanted=lambda: time.monotonic() < begun + 1,
        )
    assert time.monotonic() - begun < 10


def test_a_model_that_kills_the_process_that_loads_it_kills_the_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CHILD", "tests.store.unchecked_trial")
    with pytest.raises(ReleaseError, match=r"model\.onnx ended it by SIGSEGV: a process of its own"):
        Trials().require(model(chain(400_000)), golden(), SIGNATURE)


def test_a_model_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CHILD", "tests.store.unchecked_trial")
    monkeypatch.setattr(trial, "CPU_S", 1)
    monkeypatch.setattr("churn_store.releases.child.START_S", 1)
    circle = model(chain(3, nodes_truenodeids=[1, 2, 1, 0, 0, 0, 0]))
    with pytest.raises(ReleaseError, match="can't be loaded"):
        Trials().require(circle, golden(), SIGNATURE)


@pytest.mark.parametrize("weight", [3.5, float("nan")])
def test_golden_rows_that_get_no_probability_are_refused(weight: float) -> None:
    wrong = model(chain(1, target_weights=[weight, weight]), last="Add")
    with pytest.raises(
        ReleaseError, match=r"golden\.json: its rows can't be scored: .* no probability from 0 to 1 for 220 of 220"
    ):
        Trials().require(wrong, golden(1.0), SIGNATURE)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The children that were started."""
    started: list[str] = []

    def noted(module: str, *parts: object, **limits: object) -> Ended:
        started.append(module)
        return Ended(0, b"")

    monkeypatch.setattr(trial, "run_child", noted)
    return started


def require(folder: Path | None, *, branches: int = 1, probability: float = 0.5) -> None:
    Trials(folder).require(model(chain(branches)), golden(probability), SIGNATURE)


def forget() -> None:
    """As a new process begins."""
    Trials._passed.clear()


def test_a_model_is_tried_once_on_a_machine(tried: list[str], tmp_path: Path) -> None:
    require(tmp_path / "trials")
    require(None)
    forget()
    require(tmp_path / "trials")
    assert len(tried) == 1
    [mark] = (tmp_path / "trials").iterdir()
    assert mark.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "change",
    ["another model", "other golden rows", "another onnxruntime", "a mark that is none", "a pipe", "another folder"],
)
def test_another_model_or_runtime_or_a_mark_that_is_none_is_tried_anew(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "trials"
    require(folder)
    forget()
    [mark] = folder.iterdir()
    if change == "a mark that is none":
        mark.write_bytes(b"")
    elif change == "a pipe":
        mark.unlink()
        os.mkfifo(mark)
    elif change == "another onnxruntime":
        monkeypatch.setattr(trial, "_machine", lambda: ("onnxruntime 9.9",))
    require(
        tmp_path / "other" if change == "another folder" else folder,
        branches=2 if change == "another model" else 1,
        probability=0.25 if change == "other golden rows" else 0.5,
    )
    assert len(tried) == 2


def test_a_model_that_was_refused_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "run_child", lambda *_, **__: Ended(-signal.SIGKILL, b""))
    for _ in range(2):
        with pytest.raises(ReleaseError, match="ended it by SIGKILL"):
            require(tmp_path / "trials")
    assert not (tmp_path / "trials").exists()


def test_marks_are_few(tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "REMEMBERED", 3)
    for probability in range(6):
        require(tmp_path, probability=probability / 10)
    assert len(list(tmp_path.iterdir())) == 3
