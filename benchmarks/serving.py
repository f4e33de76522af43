"""Requests per second of one worker beside a no-op Litestar echo, in one run: ``python benchmarks/serving.py``.

The service is the real one (``churn serve`` as a process, with keys, metrics, an access log line for every request, and the
prediction spool shipping into a database), serving a real release of 15 numeric and 3 categorical columns. The echo is a
Litestar handler that takes the same JSON body and gives it back, under the same uvicorn settings. For comparison there is a
second one that reads no body and gives back a path parameter. Servers are pinned to one core and wrk to another, in
interleaved rounds after a warm-up; compare the ratios, absolute figures follow the machine.

Then the start of a service, from its command to the first answer, and the memory of each of two workers (PSS: what it shares with others is
counted in parts) after requests to a champion and a challenger.

Exit status: 0 if both routes make at least half of the echo's requests per second, the start takes at most 3 s and each worker at most
200 MB; 1 if not, 2 if wrk is missing. With ``--at-least 0`` neither start nor memory decides.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 16
CUSTOMERS = 50_000
AT_LEAST = 0.5
WARM_UP_S = 0.7
START_AT_MOST_S = 3.0
MEMORY_AT_MOST_MB = 200.0
REQUESTS_BEFORE_MEMORY = 10_000
PACKAGES = {"wrk": "wrk", "taskset": "util-linux"}
"""Debian's packages of the programs that are needed."""
WORKERS = 2

WRK = f"""
local path, body, file = os.getenv("BENCH_PATH"), nil, os.getenv("BENCH_BODY")
if file then body = io.open(file, "rb"):read("*a") end
wrk.headers["X-API-Key"] = os.getenv("BENCH_KEY")
if body then
  wrk.method, wrk.body = "POST", body
  wrk.headers["Content-Type"] = "application/json"
end
request = function()
  if body then return wrk.format(nil, path) end
  return wrk.format(nil, path .. math.random(0, {CUSTOMERS - 1}))
end
done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), failed))
end
"""


@dataclass
class Target:
    """A route of a server, and what was measured of it, one entry a round."""

    name: str
    port: int
    pid: int
    path: str
    body: bytes | None
    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    failed: int = 0


def main() -> int:
    """Measure and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="Requests per second beside a no-op Litestar echo.")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options.add_argument("--at-least", type=float, default=AT_LEAST, help="share of the echo that is asked for")
    options.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.echo is not None:
        return serve_echo(chosen.echo)
    if not has_programs():
        return 2
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
        return measure(Path(folder), chosen.rounds, chosen.seconds, chosen.at_least)


def has_programs() -> bool:
    """Whether what drives and pins the servers is installed; what is missing is said."""
    missing = {program: package for program, package in PACKAGES.items() if shutil.which(program) is None}
    for program, package in missing.items():
        print(f"{program} is missing; install the Debian package `{package}`", file=sys.stderr)
    return not missing


def measure(folder: Path, rounds: int, seconds: float, at_least: float) -> int:
    """Set up, drive, print."""
    body = prepare(folder)
    key = (folder / "key").read_text().strip()
    script = folder / "drive.lua"
    script.write_text(WRK)
    churn = str(Path(sys.executable).with_name("churn"))
    service_port, echo_port = free_port(), free_port()
    with (
        running(folder, [churn, "serve"], service_port, "/health/ready") as service,
        running(folder, [sys.executable, __file__, "--echo", str(echo_port)], echo_port, "/echo/c1") as echo,
    ):
        echo_body = Target("echo of a JSON body", echo_port, echo, "/echo", body)
        echo_path = Target("echo of a path parameter", echo_port, echo, "/echo/c", None)
        by_id = Target("GET /predict/{customer_id}", service_port, service, "/predict/c", None)
        by_attributes = Target("POST /predict", service_port, service, "/predict", body)
        for _ in range(rounds):
            for target in (echo_path, by_id, echo_body, by_attributes):
                drive(target, script, key, WARM_UP_S)
                note(target, *drive(target, script, key, seconds))
                if target.pid == service:
                    wait_until_shipped(service_port, key)
    started = [start(folder, churn) for _ in range(rounds)]
    memory_mb = memory_of_workers(folder, churn, key, script, body)
    is_fast = report(echo_body, echo_path, by_id, by_attributes, folder, at_least)
    is_small = report_process(started, memory_mb)
    return max(is_fast, is_small if at_least else 0)


def start(folder: Path, churn: str) -> tuple[float, float]:
    """Seconds from the command to the first time that every prediction can be answered, and CPU seconds of the process until then."""
    began = time.monotonic()
    with running(folder, [churn, "serve"], free_port(), "/health/ready") as service:
        return time.monotonic() - began, cpu_s(service)


def memory_of_workers(folder: Path, churn: str, key: str, script: Path, body: bytes) -> list[float]:
    """Megabytes of each worker, with a champion and a challenger, after ``REQUESTS_BEFORE_MEMORY`` requests of each."""
    challenge(folder)
    port = free_port()
    with running(folder, [churn, "serve", "--workers", str(WORKERS)], port, "/health/ready", core=None) as supervisor:
        conditions: list[Callable[[], bool]] = [
            lambda: len(children_of(supervisor)) == WORKERS,
            lambda: len({asked(port, key, "/status")["worker"] for _ in range(4 * WORKERS)}) == WORKERS,
            lambda: asked(port, key, "/health/detailed")["release"]["challenger"] is not None,
        ]
        for is_there in conditions:
            until = time.monotonic() + 120
            while not is_there():
                assert time.monotonic() < until, "the workers do not serve within 120 s"
                time.sleep(0.5)
        workers = children_of(supervisor)
        answered = 0
        target = Target("", port, supervisor, "/predict/c", None)
        while answered < 2 * WORKERS * REQUESTS_BEFORE_MEMORY:
            for target.path, target.body in (("/predict/c", None), ("/predict", body)):
                answered += drive(target, script, key, 2.0)[0][0]
        return [pss_mb(worker) for worker in workers]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def challenge(folder: Path) -> None:
    """Let another release answer a share beside the one that serves."""
    from churn_store.database.schema import connect  # noqa: PLC0415
    from churn_store.releases.blessings import record_blessing  # noqa: PLC0415
    from churn_store.releases.bundles import stage  # noqa: PLC0415
    from churn_store.releases.challenge import challenge as let_answer  # noqa: PLC0415
    from churn_store.releases.log import newest  # noqa: PLC0415
    from churn_store.settings import ConfigFile  # noqa: PLC0415
    from churn_store.storage.digest_store import DigestStore  # noqa: PLC0415
    from tests.release_factory import NOW_S, bless, train  # noqa: PLC0415

    settings = ConfigFile(home=folder / "home")
    engine, files = connect(settings.database_url), DigestStore(settings.releases_url)
    serving = newest(engine)
    assert serving is not None
    candidate = train(seed=5)
    staged = stage(files, candidate.contents, candidate.manifest)
    record_blessing(engine, msgspec.structs.replace(bless(engine, staged), epoch=serving.epoch))
    let_answer(engine, files, staged.candidate, share=0.5, by="bench", reason="memory", now_s=NOW_S)


def pss_mb(pid: int) -> float:
    """Proportional set size of a process."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def report_process(started: list[tuple[float, float]], memory_mb: list[float]) -> int:
    """Start and memory beside their limits."""
    started_s, cpu = (statistics.median(values) for values in zip(*started, strict=True))
    print(f"start to the first answer: {started_s:.1f} s (at most {START_AT_MOST_S:.0f}), {cpu:.1f} CPU s")
    each = ", ".join(f"{one:.0f}" for one in memory_mb)
    print(f"PSS of each of {WORKERS} workers, champion and challenger: {each} MB (at most {MEMORY_AT_MOST_MB:.0f})")
    is_good = started_s <= START_AT_MOST_S and max(memory_mb) <= MEMORY_AT_MOST_MB
    return 0 if is_good else 1


def prepare(folder: Path) -> bytes:
    """A migrated database, a release, online features, a key; returns a body for ``POST /predict``."""
    sys.path.insert(0, str(ROOT))
    from churn_store.database.migrate import migrate  # noqa: PLC0415
    from churn_store.database.schema import connect  # noqa: PLC0415
    from churn_store.settings import ConfigFile  # noqa: PLC0415
    from churn_store.storage.digest_store import DigestStore  # noqa: PLC0415
    from tests.release_factory import make_online, make_release, rows_of, small_columns  # noqa: PLC0415

    settings = ConfigFile(home=folder / "home")
    migrate(settings.database_url)
    released = make_release(connect(settings.database_url), DigestStore(settings.releases_url))
    make_online(settings.online_url, customers=CUSTOMERS)
    churn = str(Path(sys.executable).with_name("churn"))
    subprocess.run(
        [churn, "keys", "create", "--name", "bench", "--file", "key"], cwd=folder, env=environment(folder), check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    columns = small_columns()
    print(f"release {released.champion[:12]}: {len(columns)} columns, {CUSTOMERS} customers, {CONNECTIONS} connections")
    return msgspec.json.encode({"customer_id": "c1", "attributes": rows_of(columns, 1)[0]})


def environment(folder: Path, port: int = 0) -> dict[str, str]:
    """Everything on: a line in the access log for every request, not for a share of them."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHURN_")},
        "CHURN_HOME": str(folder / "home"),
        "CHURN_SERVICE__PORT": str(port),
        "CHURN_SERVICE__ACCESS_LOG_SHARE": "1",
        "OMP_NUM_THREADS": "1",
    }


def serve_echo(port: int) -> int:
    """The no-op: Litestar, a path parameter, a JSON body, and nothing else."""
    import uvicorn  # noqa: PLC0415
    from litestar import Litestar, get, post  # noqa: PLC0415

    from churn_api.server import uvicorn_config  # noqa: PLC0415
    from churn_api.settings import ServiceSettings  # noqa: PLC0415

    @get("/echo/{customer_id:str}")
    async def echo_path(customer_id: str) -> dict[str, str]:
        return {"customer_id": customer_id}

    @post("/echo")
    async def echo_body(data: dict[str, Any]) -> dict[str, Any]:
        return data

    config = uvicorn_config(Litestar([echo_path, echo_body], openapi_config=None, logging_config=None), ServiceSettings())
    config.port = port
    uvicorn.Server(config).run()
    return 0


@contextlib.contextmanager
def running(folder: Path, command: list[str], port: int, ready: str, core: int | None = 0) -> Iterator[int]:
    """A server on one core of this process, or on all, until the block ends."""
    with open(folder / f"server-{port}.log", "wb") as log:
        server = subprocess.Popen(
            command if core is None else pinned(core, command),
            cwd=folder,
            env=environment(folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            for _ in range(900):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=1).close()
                    break
                if server.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                server.kill()
                server.wait()
            if server.poll() is not None:
                sys.exit(f"{' '.join(command)} did not start:\n{(folder / log.name).read_text()}")
            yield server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)


def pinned(which: int, command: list[str]) -> list[str]:
    """A command on the first or the last of the cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[0] if which == 0 else cores[-1]), *command]


def drive(target: Target, script: Path, key: str, seconds: float) -> tuple[list[int], float]:
    """Requests without a pause; what wrk says, and the server's CPU seconds meanwhile."""
    env = {**os.environ, "BENCH_PATH": target.path, "BENCH_KEY": key}
    if target.body is not None:
        body = script.with_suffix(".body")  # a variable of the environment holds 128 KiB at most
        body.write_bytes(target.body)
        env["BENCH_BODY"] = str(body)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s" if seconds >= 1 else "-d1s", "-s", str(script)]
    before = cpu_s(target.pid)
    done = subprocess.run(
        pinned(1, [*command, f"http://127.0.0.1:{target.port}/"]), env=env, check=True, capture_output=True, text=True
    )
    found = re.search(r"RESULT (.*)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return [int(word) for word in found[1].split()], cpu_s(target.pid) - before


def note(target: Target, result: list[int], cpu: float) -> None:
    """Keep a round's figures."""
    requests, duration_us, p50_us, p99_us, failed = result
    target.per_second.append(requests / duration_us * 1e6)
    target.p50_ms.append(p50_us / 1000)
    target.p99_ms.append(p99_us / 1000)
    target.cpu_us.append(cpu / requests * 1e6)
    target.failed += failed


def report(echo: Target, bare: Target, by_id: Target, by_attributes: Target, folder: Path, at_least: float) -> int:
    """The table, the ratios, and whether they are good enough."""
    print(f"{'':28}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>12}{'of the echo':>13}")
    is_good = True
    for target in (echo, bare, by_id, by_attributes):
        ratio = beside(target, echo)
        is_ours = target.port == by_id.port
        is_good &= target.failed == 0 and (not is_ours or ratio >= at_least)
        median = [statistics.median(v) for v in (target.per_second, target.p50_ms, target.p99_ms, target.cpu_us)]
        of_the_echo = f"{ratio:13.2f}" if is_ours else ""
        print(f"{target.name:28}{median[0]:12,.0f}{median[1]:9.2f}{median[2]:9.2f}{median[3]:12.0f}{of_the_echo}")
        if target.failed:
            print(f"  {target.failed} requests failed")
    with contextlib.closing(sqlite3.connect(folder / "home" / "serving.db")) as database:
        logged = database.execute("SELECT count(*) FROM prediction_log").fetchone()[0]
    print(f"GET beside the echo that reads no body: {beside(by_id, bare):.2f}; {logged:,} predictions in the database")
    print(f"at least {at_least} of the echo: {'yes' if is_good else 'NO'}")
    return 0 if is_good else 1


def beside(ours: Target, echo: Target) -> float:
    """Requests per second as a share of the echo's, the median of the rounds."""
    return statistics.median(one / other for one, other in zip(ours.per_second, echo.per_second, strict=True))


def wait_until_shipped(port: int, key: str) -> None:
    """Let the service empty its spool, so that no work of one measurement falls into the next."""
    for _ in range(50):
        if asked(port, key, "/health/detailed")["spool"]["waiting_bytes"] == 0:
            return
        time.sleep(0.1)


def asked(port: int, key: str, path: str) -> Any:
    """What a service answers, on a connection of its own."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-API-Key": key})
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return msgspec.json.decode(answer.read())


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
