"""`churn dev`: the Dagster UI with its daemon, the service, and on demand MLflow's UI, until Ctrl-C."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click

import churn_store
from churn_assets.orchestration.instance import instance_in_words, instance_of
from churn_assets.orchestration.instance_file import advice
from churn_assets.orchestration.ownership import claim
from churn_assets.resources.child_processes import Child, require_free
from churn_assets.resources.service_process import LOOPBACK, churn_command, free_port, key_in_file
from churn_assets.resources.tracking import QUIET
from churn_assets.resources.tracking_server import is_server
from churn_assets.settings.company import Settings
from churn_store.errors import InputError
from churn_store.private_files import keep_private
from churn_store.redaction import without_password
from churn_store.releases.installation import migrate_installation

POLL_S = 0.5
UI, SERVICE, MLFLOW = "dagster", "service", "mlflow"
"""The names of the programs, before each of their lines."""


@click.command()
@click.option("--ui-port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--port", type=int, help="Port of the service; default: service.port.")
@click.option("--mlflow", is_flag=True, help="Run MLflow's UI as well.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Port of MLflow's UI.")
def dev(ui_port: int, port: int | None, mlflow: bool, mlflow_port: int) -> None:
    """Run the Dagster UI with its daemon, and the service, until Ctrl-C. Each line begins with the name of who said it."""
    sys.exit(run_dev(Path.cwd(), ui_port=ui_port, port=port, mlflow_port=mlflow_port if mlflow else None))


def run_dev(folder: Path, *, ui_port: int, port: int | None = None, mlflow_port: int | None = None) -> int:
    """Run all in the foreground.

    Args:
        folder: folder of churn.yaml, dagster.yaml and workspace.yaml.
        ui_port: port of the Dagster UI.
        port: port of the service; default: that of the settings.
        mlflow_port: port of MLflow's UI; `None` if it shall not run.

    Returns:
        The exit status: that of the program that ended first, 0 after Ctrl-C.

    Raises:
        InputError: if a port is taken, or a file is missing.
    """
    settings = Settings.load()
    port = port or settings.service.port or free_port()
    keep_private(settings.home)
    if not (folder / "workspace.yaml").exists():
        raise InputError(f"{folder} has no workspace.yaml; run this where churn.yaml and workspace.yaml lie")
    own_mlflow = None if is_server(settings.tracking_uri) else mlflow_port
    _require_ports(ui_port, port, own_mlflow)
    migrate_installation(settings.database_url, settings.releases_url)
    key_file = settings.home / "api-key"
    key_in_file(key_file, settings.database_url)
    with instance_of(folder) as instance:
        claim(instance, settings.company, settings.lake_url)
    if lines := advice(folder):
        click.echo(lines)
    children = _children(folder, settings.tracking_uri, ui_port, port, own_mlflow)
    addresses = {
        "Dagster UI": f"http://{LOOPBACK}:{ui_port}, of {instance_in_words(folder)}",
        "service": f"http://{LOOPBACK}:{port} (documentation at /docs)",
        "MLflow": _mlflow_in_words(settings.tracking_uri, own_mlflow),
        "API key": f"in {key_file.absolute()}",
    }
    click.echo("\n".join(f"{name:<12}{said}" for name, said in addresses.items()))
    click.echo(
        "Ctrl-C stops all. The service restarts when its code changes; the UI has `Reload definitions` for the graph."
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(children)
    except KeyboardInterrupt:
        click.echo("stopping")
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C shall leave nobody behind
        for child in children:
            child.end()


def _run(children: list[Child]) -> int:
    """Start all and wait until one ends; its status."""
    width = max(len(child.name) for child in children)
    code = _newest_change()
    for child in children:
        child.start(click.echo, width=width)
    [service] = [child for child in children if child.name == SERVICE]
    while not (ended := [child for child in children if child.status is not None]):
        time.sleep(POLL_S)
        if (now := _newest_change()) != code:
            code = now
            click.echo("the service's code has changed; restarting it")
            service.end()
            service.start(click.echo, width=width)
    time.sleep(POLL_S)  # its last lines may still be on their way
    click.echo(f"churn dev: {ended[0].why()}; ending the others", err=True)
    return ended[0].status or 1


def _require_ports(ui_port: int, port: int, mlflow_port: int | None) -> None:
    wanted = {"--ui-port": (ui_port, "the Dagster UI"), "--port": (port, "the service")}
    if mlflow_port is not None:
        wanted["--mlflow-port"] = (mlflow_port, "MLflow's UI")
    for option, (number, what) in wanted.items():
        require_free(number, what=what, option=option)
        if same := [other for other, (taken, _) in wanted.items() if other < option and taken == number]:
            raise InputError(f"{same[0]} and {option} are both {number}; expected a port for each")


def _children(folder: Path, tracking_uri: str, ui_port: int, port: int, mlflow_port: int | None) -> list[Child]:
    environment = {
        "DAGSTER_HOME": str(folder),
        **{name: value for name, value in os.environ.items() if value or name != "DAGSTER_HOME"},
        "PYTHONUNBUFFERED": "1",
        "CHURN_SERVICE__HOST": LOOPBACK,
        "CHURN_SERVICE__PORT": str(port),
    }
    programs = Path(sys.executable).parent
    children = [
        Child(
            UI, [str(programs / "dagster"), "dev", "-w", "workspace.yaml", "-h", LOOPBACK, "-p", str(ui_port)], environment
        ),
        Child(SERVICE, [*churn_command(), "serve"], environment),
    ]
    if mlflow_port is not None:
        where = ["--backend-store-uri", tracking_uri, "--host", LOOPBACK, "--port", str(mlflow_port), "--workers", "1"]
        children.append(Child(MLFLOW, [str(programs / "mlflow"), "server", *where], {**environment, **QUIET}))
    return children


def _mlflow_in_words(tracking_uri: str, port: int | None) -> str:
    if is_server(tracking_uri):
        return without_password(tracking_uri)
    return "not started; `churn dev --mlflow` starts its UI" if port is None else f"http://{LOOPBACK}:{port}"


def _newest_change() -> int:
    """When a module of the service was last changed, in nanoseconds."""
    packages = [Path(churn_store.__file__).parent, Path(churn_store.__file__).parents[1] / "churn_api"]
    return max(file.stat().st_mtime_ns for package in packages for file in package.rglob("*.py"))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
