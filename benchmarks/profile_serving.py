"""Where the time of a prediction goes: ``python benchmarks/profile_serving.py``.

One worker (``churn serve`` with all that ``benchmarks/serving.py`` has switched on) answers each route without a pause under Python's own
profiler. That adds a cost to each call, so the shares are what to read, not the microseconds. The time is that of the event loop's thread on
its processor, whatever else the machine does; threads (shipping, writing the log) are not in it. A built-in function counts for the module
that calls it.
"""

import argparse
import cProfile
import os
import pstats
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import serving

STAGES = (
    ("HTTP and event loop", ("uvicorn", "httptools", "asyncio", "selectors", "churn_api/http/protocol", "churn_api/server")),
    ("Litestar", ("litestar",)),
    ("lanes, headers, body", ("churn_api/http/",)),
    ("keys, limits, audit", ("churn_api/security/",)),
    ("look-up of features", ("churn_api/predictions/online_features", "churn_store/storage/online", "churn_api/predictions/address")),
    ("reading and checking the request", ("churn_api/schemas/requests", "churn_api/predictions/options", "churn_store/model/words")),
    ("scoring", ("churn_store/model/", "onnxruntime", "numpy")),
    ("decision and answer", ("churn_api/predictions/", "churn_api/releases/", "churn_store/releases/", "churn_store/experiments/", "churn_api/schemas/")),
    ("prediction log, access log, metrics", ("churn_api/telemetry/", "prometheus_client", "churn_api/monitoring/")),
)  # fmt: skip
"""The stages in the order in which they are tried; a module belongs to the first of which it has a part in its path."""

OTHER = "everything else"


def main() -> int:
    """Drive each route and print its stages; 2 if wrk is missing."""
    options = argparse.ArgumentParser(description="Shares of a prediction's time, by stage.")
    options.add_argument("--seconds", type=float, default=5.0, help="of each route")
    options.add_argument("--functions", type=int, default=0, help="so many functions of each route besides")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve is not None:
        return serve(chosen.serve)
    if not serving.has_programs():
        return 2
    with tempfile.TemporaryDirectory(prefix="churn-profile-") as folder:
        profile(Path(folder), chosen.seconds, chosen.functions)
    return 0


def serve(into: str) -> int:
    """Be the service, under the profiler from the first SIGUSR1 to the next."""
    from churn_api.server import run  # noqa: PLC0415
    from churn_api.settings import ServiceConfig  # noqa: PLC0415

    profiler = cProfile.Profile(time.thread_time)
    begun: list[bool] = []

    def turn(*_: object) -> None:
        if not begun:
            begun.append(True)
            profiler.enable()
        else:
            profiler.disable()
            beside = Path(f"{into}.beside")
            profiler.dump_stats(beside)
            beside.replace(into)

    signal.signal(signal.SIGUSR1, turn)
    run(ServiceConfig.load())
    return 0


def profile(folder: Path, seconds: float, functions: int) -> None:
    """Start the service for each route, drive it, and print where its time went."""
    body = serving.prepare(folder)
    key = (folder / "key").read_text().strip()
    script = folder / "drive.lua"
    script.write_text(serving.WRK)
    for name, path, sent in (("GET /predict/{customer_id}", "/predict/c", None), ("POST /predict", "/predict", body)):
        stats, port = folder / "stats", serving.free_port()
        command = [sys.executable, __file__, "--serve", str(stats)]
        with serving.running(folder, command, port, "/health/ready") as server:
            target = serving.Target(name, port, server, path, sent)
            serving.drive(target, script, key, serving.WARM_UP_S)
            os.kill(server, signal.SIGUSR1)
            (requests, *_, failed), _ = serving.drive(target, script, key, seconds)
            os.kill(server, signal.SIGUSR1)
            while not stats.exists():
                time.sleep(0.1)
        assert failed == 0, f"{failed} requests of {name} failed"
        show(name, pstats.Stats(str(stats)), requests, functions)
        stats.unlink()


def show(name: str, stats: pstats.Stats, requests: int, functions: int) -> None:
    """Print the stages of one route, and its most expensive functions."""
    spent: Counter[str] = Counter()
    by_function: Counter[str] = Counter()
    for (file, line, function), (_, _, own_s, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if not file.startswith(("~", "<")):
            spent[stage_of(file)] += own_s
            by_function[f"{Path(file).stem}.{function}:{line}"] += own_s
            continue
        for (caller, its_line, its_name), (_, _, for_it_s, _) in callers.items():
            spent[stage_of(caller)] += for_it_s
            by_function[f"{Path(caller).stem}.{its_name}:{its_line}"] += for_it_s
    total = sum(spent.values())
    print(f"\n{name}: {requests:,} requests, {total / requests * 1e6:.0f} us each under the profiler")
    for stage, seconds in spent.most_common():
        print(f"  {stage:38}{seconds / total:7.1%}{seconds / requests * 1e6:9.1f} us")
    for function, seconds in by_function.most_common(functions):
        print(f"    {function:50}{seconds / requests * 1e6:9.1f} us")


def stage_of(file: str) -> str:
    """The stage that a module belongs to."""
    return next((stage for stage, parts in STAGES if any(part in file for part in parts)), OTHER)


if __name__ == "__main__":
    sys.exit(main())
