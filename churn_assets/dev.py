"""`churn dev`: the Dagster UI with its daemon, and the service, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import click

from churn_assets.service_process import LOOPBACK, churn_command, key_in_file, stop
from churn_assets.settings import Settings
from churn_store.errors import InputError
from churn_store.migrate import migrate


def run_dev(folder: Path, *, ui_port: int, port: int) -> int:
    """Run both in the foreground; the exit status is that of the one that ended first, 0 after Ctrl-C."""
    settings = Settings.load()
    if not (folder / "workspace.yaml").exists():
        raise InputError(f"{folder} has no workspace.yaml; run this where churn.yaml and workspace.yaml lie")
    migrate(settings.database_url)
    key_file = settings.home / "api-key"
    key_in_file(key_file)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder),
        "CHURN_SERVICE__HOST": LOOPBACK,
        "CHURN_SERVICE__PORT": str(port),
    }
    ui = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-h", LOOPBACK, "-p", str(ui_port)]
    processes = [
        subprocess.Popen(ui, env=environment),  # noqa: S603
        subprocess.Popen([*churn_command(), "serve"], env=environment),  # noqa: S603
    ]
    click.echo(
        f"Dagster UI  http://{LOOPBACK}:{ui_port}\n"
        f"service     http://{LOOPBACK}:{port} (documentation at /docs)\n"
        f"API key     in {key_file.absolute()}\n"
        "Ctrl-C stops both."
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        return next(process.returncode for process in processes if process.poll() is not None) or 1
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            stop(process)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
