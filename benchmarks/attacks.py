"""Memory and health of the service under three attacks without a key, beside a bare Litestar application: ``python benchmarks/attacks.py``.

The attacks: pipelined requests whose answers nobody reads; a chunked body whose trailers never end; a reader of standard output
that stops reading. Each is done to a fresh process of ``churn serve`` and to a fresh one of a Litestar application under uvicorn as
it comes. An attack on the bare one is stopped when it has grown beyond ``--stop-at-mb``. The curve is resident memory in megabytes of
10^6 bytes, once a second.

Exit status: 0 if the service grew by at most ``--limit-mb`` in each attack and its health answered, 1 if not.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serving import environment, free_port, prepare

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.api.attacks import SAMPLE_S, Watched, flood_unread, read_nothing, seconds_to_answer, send_trailers, watching  # noqa: E402

HEALTH = "/health/live"
READY = "/health/ready"
ANSWERED = 0.5
"""Share of the questions for health that must be answered in time during an attack."""


def main() -> int:
    """Attack both, print, judge; see the module for the exit status."""
    options = argparse.ArgumentParser(description="Memory under attacks, beside a bare Litestar application.")
    options.add_argument("--seconds", type=float, default=10.0, help="of each attack")
    options.add_argument("--limit-mb", type=float, default=128.0, help="most that the service may grow")
    options.add_argument("--stop-at-mb", type=float, default=1_100.0, help="memory at which an attack is stopped")
    options.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.bare is not None:
        return serve_bare(chosen.bare)
    attacks: dict[str, Callable[[int, Watched], None]] = {
        "slow reading": lambda port, seen: read_nothing(port, seen, path=HEALTH, for_s=chosen.seconds),
        "endless trailers": lambda port, seen: send_trailers(port, seen, path="/predict", for_s=chosen.seconds),
        "stalled standard output": lambda port, seen: flood_unread(port, seen, path=HEALTH, for_s=chosen.seconds),
    }
    is_good = True
    with tempfile.TemporaryDirectory(prefix="churn-attacks-") as folder:
        prepare(Path(folder))
        churn = str(Path(sys.executable).with_name("churn"))
        print(f"{'':34}{'before':>8}{'most':>8}{'health':>12}   MB, once a second")
        for name, attack in attacks.items():
            for who in ("churn serve", "bare Litestar"):
                port = free_port()
                is_ours = who == "churn serve"
                command = [churn, "serve"] if is_ours else [sys.executable, __file__, "--bare", str(port)]
                with (
                    # Ours has loaded its release by then, so that what it takes does not count for the attack.
                    started(Path(folder), command, port, READY if is_ours else HEALTH) as pid,
                    watching(pid, port, HEALTH, stop_at_mb=chosen.stop_at_mb) as seen,
                ):
                    attack(port, seen)
                show(name, who, seen)
                if is_ours:
                    is_good &= seen.grown_mb <= chosen.limit_mb and answered(seen) >= ANSWERED
    print(f"the service grew by at most {chosen.limit_mb:g} MB and answered: {'yes' if is_good else 'NO'}")
    return 0 if is_good else 1


def serve_bare(port: int) -> int:
    """A Litestar application with two routes, under uvicorn with its defaults."""
    import uvicorn  # noqa: PLC0415
    from litestar import Litestar, get, post  # noqa: PLC0415

    @get(HEALTH)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @post("/predict")
    async def predict(data: dict[str, Any]) -> dict[str, Any]:
        return data

    uvicorn.run(Litestar([live, predict]), port=port)
    return 0


@contextlib.contextmanager
def started(folder: Path, command: list[str], port: int, awaited: str) -> Iterator[int]:
    """A server whose standard output is a pipe that nobody reads, from its first good answer at a path until the block ends."""
    server = subprocess.Popen(
        command, cwd=folder, env=environment(folder, port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(server, port, awaited)
        yield server.pid
    finally:
        server.send_signal(signal.SIGKILL)  # what it holds is not wanted any more
        server.wait(20)


def wait_until(server: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    """Wait for the first good answer at a path."""
    until = time.monotonic() + 60
    while seconds_to_answer(port, path) == float("inf"):
        if server.poll() is not None or time.monotonic() > until:
            sys.exit(f"the server on port {port} did not start: exit status {server.poll()}")
        time.sleep(0.1)


def answered(seen: Watched) -> float:
    """Share of the questions for health that were answered in time."""
    return sum(one != float("inf") for one in seen.health_s) / max(len(seen.health_s), 1)


def show(attack: str, who: str, seen: Watched) -> None:
    """One line of the table."""
    curve = " ".join(f"{one:.0f}" for one in seen.memory_mb[:: round(1 / SAMPLE_S)])
    most = max(seen.memory_mb, default=seen.before_mb)
    asked = f"{sum(one != float('inf') for one in seen.health_s)} of {len(seen.health_s)}"
    end = "  (stopped)" if seen.stopped else ""
    print(f"{attack + ', ' + who:38}{seen.before_mb:5.0f}{most:8.0f}{asked:>12}   {curve}{end}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
