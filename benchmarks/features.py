"""CPU seconds and peak memory of twelve snapshots of features, in one run beside one scan: ``python benchmarks/features.py``.

Each figure is taken in a process of its own, of which the operating system tells CPU seconds (of all threads, once everything is
imported) and peak memory (with what is imported). Beside each other, for lakes of 1.5, 10 and 100 million events:

- one scan: the greatest value of every column that features are made of, of the three raw tables, once;
- Polars: all features of the catalogue at twelve monthly snapshots, as the asset computes them;
- one new period: the last of those snapshots alone;
- pandas: what public churn systems do, a loop over the groups of ``groupby``; only for some customers of one snapshot, and
  extrapolated to all of them and to twelve.

Compare the ratios; absolute figures follow the machine. The lakes are written once by the synthetic company, in the way that the
raw assets write them, and reused. Nothing here is a test, and no figure fails it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import LIE_BY
from churn_assets.periods import Calendar, epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S
from churn_store.mapping.tables import KEYS, Table

SNAPSHOTS = 12
CALENDAR = Calendar("monthly", date(2024, 1, 1))
DAYS = CALENDAR.keys(date(2026, 1, 1))[-SNAPSHOTS:]
CUSTOMERS = {"0.15": 2_000, "1.5": 20_000, "10": 133_000, "100": 1_320_000}
"""Of the synthetic company, by how many million events they leave in two years."""

LOOP_CUSTOMERS = 1_000
SCANNED: dict[Table, tuple[str, ...]] = {
    "customers": ("customer_id", "occurred_s", "known_s", "signed_up_s", "plan", "country"),
    "events": ("customer_id", "event_type", "occurred_s", "known_s"),
    "payments": ("customer_id", "amount_cents", "status", "due_s", "list_cents", "occurred_s", "known_s"),
}


def write_lake(folder: Path, customers: int) -> None:
    """The raw tables of a synthetic company, a period at a time."""
    source = SyntheticSource(SyntheticSettings(customers=customers))
    lake = Lake(str(folder))
    for key in CALENDAR.complete(DAYS[-1]):
        for table, keys in KEYS.items():
            rows = source.read(table, *CALENDAR.bounds_s(key.isoformat())).rows
            order = [*LIE_BY.get(table, ()), *keys]
            lake.replace(table, {key.isoformat(): rows.sort(order)}, run_id="benchmark")
    (folder / "complete").touch()


def scan(folder: Path) -> dict[str, Any]:
    """Decode every column once and look at every value."""
    history = _history(folder)
    rows = 0
    for table, columns in SCANNED.items():
        found = history.lake.scan(table).select(pl.len(), pl.col(columns).max()).collect(engine="streaming")
        rows += found["len"].item() if table == "events" else 0
    return {"events": rows}


def polars(folder: Path, snapshots: int = SNAPSHOTS) -> dict[str, Any]:
    """All features at the newest snapshots."""
    history = _history(folder)
    # One snapshot at a time: none is kept while the next one is made.
    found = list(map(_rows, PolarsEngine().snapshots(history, DAYS[-snapshots:])))
    return {"rows": sum(found), "at risk": found[-1], "features": len(history.features)}


def new_period(folder: Path) -> dict[str, Any]:
    """The newest snapshot alone."""
    return polars(folder, 1)


def pandas(folder: Path) -> dict[str, Any]:
    """Ten classic features of some customers at one snapshot, customer by customer."""
    history = _history(folder)
    at = epoch_s(DAYS[-1])
    frames = {table: history.lake.scan(table).select(columns).collect() for table, columns in SCANNED.items()}
    customers, events, payments = (frames[table].to_pandas() for table in SCANNED)
    before = _cpu_s()
    acts, paying = (dict(list(rows[rows.known_s < at].groupby("customer_id"))) for rows in (events, payments))
    records = dict(list(customers[customers.known_s < at].sort_values("occurred_s").groupby("customer_id")))
    grouped, looped = _cpu_s() - before, list(records)[:: max(1, len(records) // LOOP_CUSTOMERS)]
    for customer in looped:
        mine, paid = acts.get(customer, events.head(0)), paying.get(customer, payments.head(0))
        record = records[customer]
        sessions, age = mine[mine.event_type == "session"], at - mine.occurred_s
        {
            "avg_sessions_7d": (at - sessions.occurred_s <= 7 * DAY_S).sum() / 7,
            "sessions_30d": (at - sessions.occurred_s <= 30 * DAY_S).sum(),
            "days_since_last_login": (at - sessions.occurred_s).min() / DAY_S,
            "events_30d": (age <= 30 * DAY_S).sum(),
            "failed_payments_30d": ((paid.status == "failed") & (at - paid.occurred_s <= 30 * DAY_S)).sum(),
            "total_spend_90d": paid[(paid.status == "settled") & (at - paid.occurred_s <= 90 * DAY_S)].amount_cents.sum(),
            "refunds_30d": ((paid.status == "refunded") & (at - paid.occurred_s <= 30 * DAY_S)).sum(),
            "is_pro_plan": (record.plan.tail(1) == "pro").any(),
            "is_paid_plan": (record.plan.tail(1) != "free").any(),
            "days_since_signup": (at - record.signed_up_s).max() / DAY_S,
        }  # fmt: skip
    looping = _cpu_s() - before - grouped
    return {"loop_cpu_s": grouped + looping / len(looped) * len(records)}


MEASURED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "one scan": scan,
    "Polars": polars,
    "one new period": new_period,
    "pandas": pandas,
}


def measure(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """The cheapest of some processes: CPU seconds and peak memory, and what the process says of its work."""
    found = []
    for _ in range(rounds):
        program = [sys.executable, __file__, "--child", name, "--folder", str(folder)]
        ended = subprocess.run(program, check=True, capture_output=True, text=True)
        found.append(json.loads(ended.stdout.splitlines()[-1]))
    return min(found, key=lambda figures: float(figures["cpu_s"]))


def show(events: str, folder: Path, rounds: int, *, with_pandas: bool) -> None:
    """One size as a table."""
    lake = folder / f"{events}-million"
    if not (lake / "complete").exists():
        began = time.monotonic()
        subprocess.run(
            [sys.executable, __file__, "--child", "write", "--folder", str(lake), "--events", events], check=True
        )
        print(f"wrote the lake of {events} million events in {time.monotonic() - began:.0f} s")
    names = [name for name in MEASURED if name != "pandas" or with_pandas]
    figures = {name: measure(name, lake, 1 if name == "pandas" else rounds) for name in names}
    cpu = {name: found["cpu_s"] for name, found in figures.items()}
    made = figures["Polars"]
    print(
        f"\n{figures['one scan']['events']:,} events, {made['features']} features, {made['at risk']:,} at risk at the last of "
        f"{SNAPSHOTS} snapshots, {made['rows']:,} rows in all"
    )
    print(f"  {'':34}{'CPU s':>10}{'peak MB':>10}{'of a scan':>11}")
    labels = {"Polars": f"{SNAPSHOTS} snapshots, Polars", "one new period": "one new period, Polars"}
    for name, seconds in cpu.items():
        if name != "pandas":
            print(
                f"  {labels.get(name, name):34}{seconds:10.2f}{figures[name]['peak_mb']:10,.0f}{seconds / cpu['one scan']:10.1f}x"
            )
    if with_pandas:
        loop = figures["pandas"]["loop_cpu_s"] * SNAPSHOTS
        print(
            f"  {'pandas loop, 10 features *':34}{loop:10,.0f}{figures['pandas']['peak_mb']:10,.0f}{loop / cpu['one scan']:10,.0f}x"
        )
        print(
            f"  * extrapolated from {LOOP_CUSTOMERS:,} customers of one snapshot to all of them and {SNAPSHOTS} snapshots"
        )
    print(f"  a new period costs {cpu['one new period'] / cpu['Polars']:.3f} of {SNAPSHOTS} (a twelfth: {1 / 12:.3f})")


def main() -> None:
    """Write what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", default="1.5,10,100", help=f"millions, with commas: some of {', '.join(CUSTOMERS)}")
    parser.add_argument(
        "--folder", type=Path, help="where the lakes are kept; default: a temporary folder, removed after it"
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure; the cheapest counts")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := sorted(set(given.events.split(",")) - set(CUSTOMERS)):
        parser.error(f"--events has {', '.join(unknown)}; expected some of {', '.join(CUSTOMERS)}")
    if given.child == "write":
        write_lake(given.folder, CUSTOMERS[given.events])
    elif given.child:
        before = _cpu_s()
        found = MEASURED[given.child](given.folder)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "cpu_s": _cpu_s() - before, "peak_mb": peak_mb}))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.folder or Path(temporary)
            for events in given.events.split(","):
                show(events, folder, given.rounds, with_pandas=events in {"0.15", "1.5"})


def _rows(snapshot: tuple[date, pl.DataFrame]) -> int:
    return snapshot[1].height


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _history(folder: Path) -> History:
    lake, source = Lake(str(folder)), SyntheticSource(SyntheticSettings())
    features = features_of(
        tuple(SCANNED), source.attributes, has_time=True, given={table: source.given(table) for table in SCANNED}
    )
    versions = lake.versions(SCANNED)
    return History(
        lake,
        {table: versions[table] for table in SCANNED},
        CALENDAR,
        features,
        AtRisk(),
        EventRoles(),
    )


if __name__ == "__main__":
    main()
