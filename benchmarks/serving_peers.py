"""The service beside others that serve the same model and the same row, in one run: ``python benchmarks/serving_peers.py``.

Each peer is installed into an environment of its own (``.venv/peers``), serves the scikit-learn pipeline that our release was exported
from, and has to give our probability before it is measured: one worker, on one core, driven by wrk from the other over 16 connections. Our
service has everything switched on (keys, metrics, access log, prediction log); the peers have what they have by default. A peer that can't
be installed or started is printed as not measured, with the reason. Compare the ratios; absolute figures follow the machine.

Exit status: 0, 1 if our service failed a request, 2 if wrk is missing.
"""

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import shutil
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

import joblib  # type: ignore[import-untyped]
import msgspec
import serving

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = serving.ROOT / ".venv" / "peers"
SAME = [f"{name}=={importlib.metadata.version(name)}" for name in ("scikit-learn", "pandas", "numpy", "joblib")]
"""What reads the pipeline must have the versions that wrote it."""

START_S = 120.0
ROWS = 1_000
IDS = 100
ROUNDING = 1e-5
USD_PER_CORE_HOUR = 0.0425
"""Half of the list price of AWS's c5.large in us-east-1 (2 vCPU, Linux, on demand: 0.085 USD an hour)."""

BY_ID, BY_ATTRIBUTES, MANY_IDS, RECORDS = "GET /predict/{id}", "POST /predict", f"{IDS} ids", f"{ROWS:,} records"
"""What is measured of our service."""


@dataclass
class Peer:
    """Another way to serve.

    Attributes:
        name: what the table calls it.
        environment: folder of its environment; `None` for ours.
        needs: what is installed into it.
        command: command line for a port, given its environment's folder of programs and a working folder.
        ready: address that answers 200 once it serves.
        path: address of a prediction.
        body: one row as it wants it.
        probability: the probability in its answer; `None` for a look-up alone.
        prepare: what is done once in the working folder before the start.
        like: what of ours does the same.
        batch: address, body and rows of a request with many.
        batch_like: what of ours does the same as that.
        why_not: why it was not measured.
        measured: what was.
    """

    name: str
    environment: str | None
    needs: list[str]
    command: Callable[[Path, Path, int], list[str]]
    ready: str
    path: str
    body: Any
    probability: Callable[[Any], float] | None
    prepare: Callable[[Path, Path], None] | None = None
    like: str = BY_ATTRIBUTES
    batch: tuple[str, Any, int] | None = None
    batch_like: str = RECORDS
    why_not: str = ""
    measured: list[serving.Target] = field(default_factory=list)


def main() -> int:
    """Install, start, compare, print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="Requests per second beside other ways to serve the same model.")
    options.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    options.add_argument("--only", help="names of peers, with commas")
    chosen = options.parse_args()
    if not serving.has_programs():
        return 2
    with tempfile.TemporaryDirectory(prefix="churn-peers-") as folder:
        return measure(Path(folder), chosen.seconds, None if chosen.only is None else chosen.only.split(","))


def measure(folder: Path, seconds: float, only: list[str] | None) -> int:
    """Set up ours and each peer in turn, drive them, print."""
    body = serving.prepare(folder)
    row = msgspec.json.decode(body)["attributes"]
    columns = save_model(folder / "model.joblib")
    (folder / "drive.lua").write_text(serving.WRK)
    key = (folder / "key").read_text().strip()
    churn = str(Path(sys.executable).with_name("churn"))
    port = serving.free_port()
    ours: dict[str, serving.Target] = {}
    with serving.running(folder, [churn, "serve"], port, "/health/ready") as service:
        expected = asked(port, "/predict", body, key)["probability"]
        many = msgspec.json.encode({"records": [{"customer_id": f"c{i}", "attributes": row} for i in range(ROWS)]})
        ids = msgspec.json.encode({"customer_ids": [f"c{i}" for i in range(IDS)]})
        for name, path, sent in (
            (BY_ATTRIBUTES, "/predict", body),
            (BY_ID, "/predict/c", None),
            (MANY_IDS, "/predict/batch", ids),
            (RECORDS, "/predict/batch", many),
        ):
            ours[name] = drive(serving.Target(f"ours, {name}", port, service, path, sent), folder, key, seconds)
            serving.wait_until_shipped(port, key)
    print(
        f"{'':38}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>11}{'h/million':>11}{'USD':>10}{'ours is':>10}"
    )
    for target in ours.values():
        line(target)
    for peer in peers(columns, row):
        if only is None or peer.name in only:
            beside(peer, folder, expected, seconds)
            show(ours, peer)
    return 1 if any(target.failed for target in ours.values()) else 0


def save_model(file: Path) -> list[str]:
    """The pipeline that our release was exported from, with its columns in their order, which are returned."""
    from tests.release_factory import train  # noqa: PLC0415

    candidate = train()
    signature = candidate.manifest.signature
    columns = [*signature.numbers, *signature.categories]
    joblib.dump({"columns": columns, "pipeline": candidate.pipeline}, file)
    return columns


def peers(columns: list[str], row: dict[str, Any]) -> list[Peer]:
    """All that is compared."""
    one = {"customer_id": "c1", "attributes": row}
    values = [row[name] for name in columns]
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in zip(columns, values, strict=True)
    ]
    services = HERE / "peer_services"
    return [
        Peer(
            "FastAPI, scikit-learn, pandas",
            "fastapi",
            ["fastapi==0.165.0", "uvicorn[standard]==0.54.0", *SAME],
            lambda programs, _, port: [
                str(programs / "uvicorn"), "--app-dir", str(services), "fastapi_app:app", "--port", str(port), "--no-access-log"
            ],
            "/health", "/predict", one, lambda told: told["probability"],
            batch=("/predict/batch", {"instances": [one] * ROWS}, ROWS),
        ),
        Peer(
            "mlflow models serve",
            None,
            [],
            lambda programs, folder, port: [
                str(programs / "mlflow"), "models", "serve", "-m", str(folder / "mlflow-model"), "-p", str(port),
                "--env-manager", "local", "--workers", "1",
            ],
            "/ping", "/invocations", {"dataframe_split": {"columns": columns, "data": [values]}},
            lambda told: told["predictions"][0][1],
            prepare=save_for_mlflow,
        ),
        Peer(
            "BentoML",
            "bentoml",
            ["bentoml==1.4.40", *SAME],
            lambda programs, _, port: [
                str(programs / "bentoml"), "serve", "bentoml_service:Churn", "--working-dir", str(services), "--port", str(port)
            ],
            "/readyz", "/predict", one, lambda told: told["probability"],
        ),
        Peer(
            "MLServer",
            "mlserver",
            ["mlserver==1.7.1", *SAME],
            lambda programs, folder, port: [str(programs / "mlserver"), "start", str(mlserver_folder(folder, services, port))],
            "/v2/health/ready", "/v2/models/churn/infer",
            {"parameters": {"content_type": "pd"}, "inputs": tensors}, lambda told: told["outputs"][0]["data"][0],
        ),
        Peer(
            "Feast (look-up)",
            "feast",
            ["feast==0.67.0"],
            lambda programs, folder, port: [
                str(programs / "feast"), "-c", str(folder / "feast"), "serve", "-p", str(port), "--no-access-log"
            ],
            "/health", "/get-online-features",
            {"features": [f"customers:{name}" for name in columns], "entities": {"customer_id": ["c1"]}}, None,
            prepare=prepare_feast,
            like=BY_ID,
            batch_like=MANY_IDS,
            batch=(
                "/get-online-features",
                {
                    "features": [f"customers:{name}" for name in columns],
                    "entities": {"customer_id": [f"c{i}" for i in range(IDS)]},
                },
                IDS,
            ),
        ),
    ]  # fmt: skip


def beside(peer: Peer, folder: Path, expected: float, seconds: float) -> None:
    """Install, start, check and drive a peer; what goes wrong is kept as the reason why it was not measured."""
    try:
        programs = installed(peer)
        if peer.prepare is not None:
            peer.prepare(programs, folder)
        port = serving.free_port()
        with started(peer, programs, folder, port) as pid:
            if peer.probability is not None:
                found = peer.probability(asked(port, peer.path, json.dumps(peer.body).encode(), ""))
                if abs(found - expected) > ROUNDING:
                    raise NotMeasured(f"it answers {found}, and our service {expected}")
            requests = [(peer.name, peer.path, peer.body)]
            if peer.batch is not None:
                requests.append((f"{peer.name}, {peer.batch[2]:,} at once", peer.batch[0], peer.batch[1]))
            for name, path, body in requests:
                target = serving.Target(name, port, pid, path, json.dumps(body).encode())
                peer.measured.append(drive(target, folder, "", seconds))
    except (NotMeasured, OSError, subprocess.CalledProcessError, http.client.HTTPException, KeyError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        peer.why_not = " ".join(str(said).split())[-300:] or type(error).__name__


class NotMeasured(Exception):  # noqa: N818 - a reason, no error of ours
    """Why there is no figure of a peer."""


def drive(target: serving.Target, folder: Path, key: str, seconds: float) -> serving.Target:
    """Warm a server up, then measure it once."""
    for long in (serving.WARM_UP_S, seconds):
        before = tree_cpu_s(target.pid)
        result, _ = serving.drive(target, folder / "drive.lua", key, long)
    serving.note(target, result, tree_cpu_s(target.pid) - before)
    return target


def tree_cpu_s(pid: int) -> float:
    """User and system time of a process and of all that it has started and that still runs."""
    return serving.cpu_s(pid) + sum(tree_cpu_s(child) for child in serving.children_of(pid))


def installed(peer: Peer) -> Path:
    """The folder of programs of a peer's environment, which is made where it isn't there."""
    if peer.environment is None:
        return Path(sys.executable).parent
    folder = ENVIRONMENTS / peer.environment
    done = folder / "installed"
    if not done.exists() or done.read_text() != " ".join(peer.needs):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *peer.needs]
        subprocess.run(pip, check=True, capture_output=True, text=True)
        done.write_text(" ".join(peer.needs))
    return folder / "bin"


def save_for_mlflow(_: Path, folder: Path) -> None:
    """The pipeline as MLflow keeps models."""
    import mlflow.sklearn  # noqa: PLC0415

    pipeline = joblib.load(folder / "model.joblib")["pipeline"]
    mlflow.sklearn.save_model(
        pipeline, folder / "mlflow-model", pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )


def mlserver_folder(folder: Path, services: Path, port: int) -> Path:
    """The settings that MLServer reads."""
    made = folder / "mlserver"
    made.mkdir(exist_ok=True)
    settings = {
        "http_port": port, "grpc_port": serving.free_port(), "metrics_port": serving.free_port(), "host": "127.0.0.1",
        "parallel_workers": 0, "debug": False,
    }  # fmt: skip
    (made / "settings.json").write_text(json.dumps(settings))
    (made / "model-settings.json").write_text(json.dumps({"name": "churn", "implementation": "mlserver_runtime.Churn"}))
    shutil.copy(services / "mlserver_runtime.py", made)
    return made


def prepare_feast(programs: Path, folder: Path) -> None:
    """The customers of our online features in Feast's own store of the default kind, a SQLite file."""
    repository = folder / "feast"
    repository.mkdir()
    script = HERE / "peer_services" / "feast_repository.py"
    rows = folder / "customers.json"
    from tests.release_factory import rows_of, small_columns  # noqa: PLC0415

    drawn = rows_of(small_columns(), serving.CUSTOMERS, 7)
    rows.write_text(json.dumps([{"customer_id": f"c{i}", **row} for i, row in enumerate(drawn)]))
    subprocess.run(
        [str(programs / "python"), str(script), str(rows), str(repository)], check=True, capture_output=True, text=True
    )


@contextlib.contextmanager
def started(peer: Peer, programs: Path, folder: Path, port: int) -> Iterator[int]:
    """A peer on the first core, until the block ends."""
    log = folder / "peer.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "BENCH_"))},
        "PEER_MODEL": str(folder / "model.joblib"),
        "PYTHONPATH": str(folder / "mlserver"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "FEAST_USAGE": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with open(log, "wb") as said:
        server = subprocess.Popen(
            serving.pinned(0, peer.command(programs, folder, port)), cwd=folder, env=environment, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while not is_ready(port, peer.ready):
            if server.poll() is not None or time.monotonic() > until:
                raise NotMeasured(f"it did not start: {log.read_text(errors='replace')}")
            time.sleep(0.2)
        yield server.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 9)
        server.wait()


def is_ready(port: int, path: str) -> bool:
    """Whether an address answers 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def asked(port: int, path: str, body: bytes, key: str) -> Any:
    """The answer to one request."""
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return msgspec.json.decode(answer.read())


def show(ours: dict[str, serving.Target], peer: Peer) -> None:
    """A peer's lines, each with how many times as many requests ours answered."""
    if peer.why_not:
        print(f"{peer.name:38}not measured: {peer.why_not}")
    for target in peer.measured:
        same = ours[peer.like if target is peer.measured[0] else peer.batch_like]
        line(target, statistics.median(same.per_second) / statistics.median(target.per_second))


def line(target: serving.Target, times: float | None = None) -> None:
    """One measurement, and how many times as many requests ours answered."""
    per_second, p50, p99, cpu = (
        statistics.median(values) for values in (target.per_second, target.p50_ms, target.p99_ms, target.cpu_us)
    )
    hours = cpu / 3600
    print(
        f"{target.name:38}{per_second:11,.0f}{p50:9.2f}{p99:9.2f}{cpu:11,.0f}{hours:11.2f}{hours * USD_PER_CORE_HOUR:10.4f}"
        + (f"{times:10.1f}" if times is not None else "")
        + (f"  {target.failed} failed" if target.failed else "")
    )


if __name__ == "__main__":
    sys.exit(main())
