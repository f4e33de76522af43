"""Probes of everything that the platform talks to: the source, the feature engine, Dagster and its daemon, the service."""

import importlib.util
import shutil
from pathlib import Path

import httpx

from churn_assets.connectors.open_source import given_files
from churn_assets.connectors.postgres.connection import reading, server
from churn_assets.orchestration.instance import daemon_in_words, instance_in_words, instance_of
from churn_assets.orchestration.ownership import require_not_another
from churn_assets.resources.service_process import LOOPBACK, Client
from churn_assets.settings.engine import EngineName, Spark
from churn_assets.settings.postgres import PostgresSettings
from churn_assets.settings.source import SourceSettings
from churn_store.errors import AbsentError, InputError
from churn_store.mapping.file_settings import FilesSettings

OK = 200
PATIENCE_S = 3.0


def source(described: SourceSettings) -> str:
    """Check that the source can be reached; no rows are read.

    Raises:
        ChurnError: if a file does not exist, or the server does not answer.
    """
    if isinstance(described, FilesSettings):
        files = given_files(described)
        unreadable = [file for file in files if not _opens(file)]
        if unreadable:
            raise InputError(f"{unreadable[0]} can't be opened; let this user read it, or change `path` in churn.yaml")
        return f"{len(files)} files are there; `churn validate` says whether they fit"
    if isinstance(described, PostgresSettings):
        with reading(described, where="source") as connection:
            connection.execute("SELECT 1")
        return f"the PostgreSQL at {server(described)} answers; `churn validate` says whether its tables fit"
    return "the built-in synthetic company"


def spark(engine: EngineName, cluster: Spark) -> str:
    """Check that PySpark and Java are installed, if Spark computes the features.

    Raises:
        AbsentError: if Polars computes the features.
        InputError: if something is missing.
    """
    if engine != "spark":
        raise AbsentError(f"engine {engine} is configured")
    if importlib.util.find_spec("pyspark") is None:
        raise InputError(
            "engine spark is configured, but pyspark is not installed; install the extra `spark`, or set engine: polars"
        )
    if shutil.which("java") is None:
        raise InputError("engine spark is configured, but no `java` is found; install Java 17, or set engine: polars")
    return f"pyspark and java are there; the master is {cluster.master}"


def dagster(folder: Path, company: str, lake_url: str) -> str:
    """Check that the Dagster instance loads, that its storage answers, and that it is this company's.

    Raises:
        InputError: if there is none, or it is another company's.
    """
    with instance_of(folder) as instance:
        require_not_another(instance, company, lake_url)
        return f"{instance.get_runs_count()} runs so far in {instance_in_words(folder)}"


def daemon(folder: Path) -> str:
    """Check that Dagster's daemon ticks.

    Raises:
        AbsentError: if it was never started.
        InputError: if it was started, but has stopped sending heartbeats or has errors.
    """
    with instance_of(folder) as instance:
        return daemon_in_words(instance)


def service(port: int) -> str:
    """Check that the service on this machine answers, and say whether it tells strangers how many customers there are.

    Raises:
        AbsentError: if nothing listens there.
        InputError: if it is not ready, or another program listens there.
    """
    stranger = Client(port, "")
    try:
        status, answer = stranger.ask("/health", timeout_s=PATIENCE_S)
        is_open = stranger.ask("/health/detailed", timeout_s=PATIENCE_S)[0] == OK
    except httpx.ConnectError as error:
        raise AbsentError(f"nobody listens on {LOOPBACK}:{port}; `churn serve` or `churn dev` starts it") from error
    except (httpx.HTTPError, ValueError) as error:
        raise InputError(
            f"{LOOPBACK}:{port} does not answer as the service does ({type(error).__name__}); name its port with --port"
        ) from error
    if status != OK or not isinstance(answer, dict) or "status" not in answer:
        raise InputError(
            f"{LOOPBACK}:{port}/health answered {status}, which the service does not; name its port with --port"
        )
    if answer["status"] != "ready":
        reasons = "; ".join([*answer.get("not_ready", []), *answer.get("degraded", [])])
        raise InputError(f"the service on port {port} is {answer['status']}: {reasons}")
    if is_open:
        return f"{LOOPBACK}:{port} is ready; /metrics and /health/detailed answer everybody (service.open_metrics)"
    return f"{LOOPBACK}:{port} is ready; /metrics and /health/detailed need a key with the scope read"


def _opens(file: str) -> bool:
    try:
        with open(file, "rb"):
            return True
    except OSError:
        return False
