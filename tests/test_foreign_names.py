"""Nothing leaves the machine: the demo, a training and the service, a minute each, look up no name that isn't configured."""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import system_calls
from tests.api.processes import CHURN, serving
from tests.fault_table import Fault
from tests.test_telemetry import SESSION, clean

ROOT = Path(__file__).parent.parent
MINUTE_S = 60.0
COMPANY = "company: synthetic\nsource: {kind: synthetic, customers: 2500}\n"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def watched(commands: Iterable[list[str]], folder: Path, log: Path) -> tuple[system_calls.Watched, float]:
    """What commands, one after another until a minute is over, asked of the network, and the seconds that they ran."""
    begun = time.monotonic()
    seen = system_calls.NOTHING
    for command in commands:
        with open(folder / f"{log.name}.said", "wb") as said:
            ended = subprocess.Popen(
                [*system_calls.watching(log), *command],
                cwd=folder,
                env=clean(folder),
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            status = ended.wait(600)
        assert status == 0, (folder / f"{log.name}.said").read_text()[-3000:]
        seen |= system_calls.read(log, pid=ended.pid)
        if (seconds := time.monotonic() - begun) >= MINUTE_S:
            break
    return seen, seconds


def test_a_library_that_reports_would_be_seen(tmp_path: Path, fault: Fault) -> None:
    """The proof that the next test can fail: onnxruntime as it comes looks up its vendor, seconds after the import."""
    fault.names("onnxruntime with its telemetry on", done="watched by strace until it looks up its vendor")
    session = SESSION.format(package="time").strip() + "\ntime.sleep(90)"
    log = tmp_path / "calls"
    process = subprocess.Popen(
        [*system_calls.watching(log), sys.executable, "-c", session], cwd=tmp_path, env=clean(tmp_path)
    )
    while process.poll() is None and b"htons(53)" not in (log.read_bytes() if log.exists() else b""):
        time.sleep(0.5)
    process.kill()
    process.wait(20)
    seen = system_calls.read(log, pid=process.pid).foreign()
    assert [words for words in seen if words.startswith("looked up")]
    fault.held(f"seen: {', '.join(seen)[:100]}")


def test_the_demo_a_training_and_the_service_look_up_no_foreign_name(tmp_path: Path, fault: Fault) -> None:
    fault.names("telemetry of any dependency", done="demo, training and service watched by strace, 60 s each and more")
    (tmp_path / "churn.yaml").write_text(COMPANY)
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    churn = str(CHURN)
    months = ([churn, "demo", "--as-of", f"2026-{month:02}-01"] for month in range(1, 13))
    demo, demo_s = watched(months, tmp_path, tmp_path / "demo")
    made = subprocess.run(
        [churn, "keys", "create", "--name", "watch", "--scope", "predict"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean(tmp_path),
    )
    key = made.stdout.split()[-1]
    log = tmp_path / "service"
    with serving(tmp_path, before=system_calls.watching(log), **clean(tmp_path)) as process:
        begun = time.monotonic()
        process.until("/health/ready", 200)
        seeds = ([churn, "train", "--family", "gradient_boosting", "--judge", "--seed", str(seed)] for seed in range(1, 99))
        training, training_s = watched(seeds, tmp_path, tmp_path / "training")
        while time.monotonic() < begun + MINUTE_S:
            assert process.ask("/predict/c0", key=key)[0] in {200, 404}
            time.sleep(0.5)
        assert process.stop() == -15
    service = system_calls.read(log, pid=process.pid)
    service_s = time.monotonic() - begun
    assert min(demo_s, training_s, service_s) >= MINUTE_S
    assert {name: seen.foreign() for name, seen in (("demo", demo), ("training", training), ("service", service))} == {
        "demo": [], "training": [], "service": [],
    }  # fmt: skip
    assert all(any("onnxruntime" in path for path in seen.paths) for seen in (demo, training, service))
    fault.held(f"no look-up but the machine's own ({demo_s:.0f}, {training_s:.0f} and {service_s:.0f} s)")
