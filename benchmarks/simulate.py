"""Events a second of the synthetic company, and the memory it needs: ``python benchmarks/simulate.py``.

For each size a child process reads a company of 24 months, month by month, all three tables, writes each month to Parquet and
forgets it; so its peak memory is its own. Seconds include the writing, and the start of the simulator, not that of Python.

Exit status: 0 if 1.5 million events take at most 5 CPU seconds, which do not depend on what else the machine does, and no size
needs 2 GB; else 1.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from churn_assets.periods import Calendar, epoch_s
from churn_assets.simulator.months import months_of
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.mapping.tables import SCHEMAS

CUSTOMERS_PER_MILLION = 13_075
"""So many customers leave about a million events in 24 months."""
SECONDS, SECONDS_MILLIONS = 5.0, 1.5
MOST_BYTES = 2 * 10**9


def main() -> int:
    """Measure and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="Events a second of the synthetic company, and its memory.")
    options.add_argument(
        "--millions", type=float, nargs="+", default=[1.5, 10.0, 100.0], help="sizes in millions of events"
    )
    options.add_argument("--dirt", type=float, default=0.0, help="share of rows that are hit")
    options.add_argument("--child", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child is not None:
        print(json.dumps(measured(chosen.child, chosen.dirt)))
        return 0
    print(f"{'events':>12} {'rows':>12} {'customers':>10} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'events / CPU s':>15}")
    missed = False
    for millions in chosen.millions:
        customers = round(millions * CUSTOMERS_PER_MILLION)
        command = [sys.executable, __file__, "--child", str(customers), "--dirt", str(chosen.dirt)]
        found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        print(
            f"{found['events']:>12,} {found['rows']:>12,} {customers:>10,} {found['cpu_s']:>8.1f} {found['wall_s']:>8.1f} "
            f"{found['peak_bytes'] / 1e6:>8.0f} {found['events'] / found['cpu_s']:>15,.0f}",
            flush=True,
        )
        missed |= found["peak_bytes"] >= MOST_BYTES or (millions <= SECONDS_MILLIONS and found["cpu_s"] > SECONDS)
    return int(missed)


def measured(customers: int, dirt: float) -> dict[str, float]:
    """Events, rows, CPU and wall seconds, and peak memory in bytes of a company of so many customers."""
    wall, cpu = time.perf_counter(), time.process_time()
    settings = SyntheticSettings(customers=customers, start=date(2024, 1, 1), dirt=dirt)
    source, calendar = SyntheticSource(settings), Calendar("monthly", settings.start)
    rows = dict.fromkeys(SCHEMAS, 0)
    with tempfile.TemporaryDirectory() as folder:
        for month in months_of(settings):
            for table in SCHEMAS:
                frame = source.read(table, epoch_s(month), epoch_s(calendar.next(month))).rows
                frame.write_parquet(Path(folder) / f"{table}.parquet")
                rows[table] += frame.height
    return {
        "events": rows["events"],
        "rows": sum(rows.values()),
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    sys.exit(main())
