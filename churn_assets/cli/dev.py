"""`churn dev`: the Dagster UI with its daemon, and the service, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import click

import churn_store
from churn_assets.orchestration.instance import instance_in_words, instance_of
from churn_assets.orchestration.ownership import claim
from churn_assets.resources.service_process import LOOPBACK, churn_command, key_in_file, stop
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.errors import InputError


@click.command()
@click.option("--ui-port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--port", default=8000, show_default=True, help="Port of the service.")
def dev(ui_port: int, port: int) -> None:
    """Run the Dagster UI with its daemon, and the service, until Ctrl-C."""
    sys.exit(run_dev(Path.cwd(), ui_port=ui_port, port=port))


def run_dev(folder: Path, *, ui_port: int, port: int) -> int:
    """Run both in the foreground; the exit status is that of the one that ended first, 0 after Ctrl-C."""
    settings = Settings.load()
    if not (folder / "workspace.yaml").exists():
        raise InputError(f"{folder} has no workspace.yaml; run this where churn.yaml and workspace.yaml lie")
    migrate(settings.database_url)
    key_file = settings.home / "api-key"
    key_in_file(key_file)
    with instance_of(folder) as instance:
        claim(instance, settings.company, settings.lake_url)
    environment = {
        "DAGSTER_HOME": str(folder),
        **{name: value for name, value in os.environ.items() if value or name != "DAGSTER_HOME"},
        "CHURN_SERVICE__HOST": LOOPBACK,
        "CHURN_SERVICE__PORT": str(port),
    }
    ui = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-h", LOOPBACK, "-p", str(ui_port)]
    serve = [*churn_command(), "serve"]
    processes = [subprocess.Popen(command, env=environment) for command in (ui, serve)]  # noqa: S603
    click.echo(
        f"Dagster UI  http://{LOOPBACK}:{ui_port}, of {instance_in_words(folder)}\n"
        f"service     http://{LOOPBACK}:{port} (documentation at /docs)\n"
        f"API key     in {key_file.absolute()}\n"
        "Ctrl-C stops both. The service restarts when its code changes; the UI has `Reload definitions` for the graph."
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _newest_change()
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
            if (now := _newest_change()) != code:
                code = now
                click.echo("the service's code has changed; restarting it")
                stop(processes[1])
                processes[1] = subprocess.Popen(serve, env=environment)  # noqa: S603
        return next(process.returncode for process in processes if process.poll() is not None) or 1
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            stop(process)


def _newest_change() -> int:
    """When a module of the service was last changed, in nanoseconds."""
    packages = [Path(churn_store.__file__).parent, Path(churn_store.__file__).parents[1] / "churn_api"]
    return max(file.stat().st_mtime_ns for package in packages for file in package.rglob("*.py"))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
