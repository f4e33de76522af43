"""A small company with files: the synthetic one, written to CSV files by the month in which its rows became known."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from churn_assets.periods import Calendar, text
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.mapping.tables import Table

START = dt.date(2024, 1, 1)
TABLES: tuple[Table, ...] = ("customers", "events", "payments")
TIMES = {
    "customers": ("occurred", "known", "signed_up"),
    "events": ("occurred", "known"),
    "payments": ("occurred", "known"),
}
CALENDAR = Calendar("monthly", START)

CONFIGURATION: dict[str, Any] = {
    "company": "shop",
    "source": {
        "kind": "files",
        "start": START,
        "customers": {
            "path": "data/customers-*.csv",
            "columns": {"customer_id": "customer_id", **{name: name for name in TIMES["customers"]}},
            "attributes": {"plan": {"column": "plan", "kind": "category"}},
        },
        "events": {
            "path": "data/events-*.csv",
            "columns": {name: name for name in ("event_id", "customer_id", "event_type", *TIMES["events"])},
        },
        "payments": {
            "path": "data/payments-*.csv",
            "columns": {name: name for name in ("payment_id", "customer_id", "amount", "status", *TIMES["payments"])},
        },
    },
    "features": {"first_snapshot": dt.date(2024, 3, 1), "use": "classic"},
    "training": {
        "families": ["logistic_regression"],
        "judging_snapshots": 1,
        "training_snapshots": 3,
        "minimum_rows": 50,
    },
    # Few customers and one judging snapshot: what is proven is proven less surely.
    "gate": {
        "auc_floor": 0.5,
        "confidence": 0.8,
        "calibration_slope": [0.0, 5.0],
        "calibration_intercept": [-3.0, 3.0],
        "minimum_rows": 50,
        "minimum_churners": 10,
    },
    # The first snapshots' long windows reach back before the first day and are filling: that is drift, and is let pass here.
    "monitoring": {"windows": 1, "agreeing": 1, "effect": 0.5, "report_rows": 200},
}
"""Its ``churn.yaml``: one family and few snapshots, so that it is quick."""


def file_of(folder: Path, table: Table, month: str) -> Path:
    """The file of a month's rows."""
    return folder / "data" / f"{table}-{month}.csv"


def write_company(folder: Path, *, customers: int, until: dt.date) -> None:
    """Write the files of all months before a day."""
    source = SyntheticSource(SyntheticSettings(customers=customers, start=START, months=12, monthly_churn=0.12))
    (folder / "data").mkdir()
    for month in CALENDAR.complete(until):
        for table in TABLES:
            write_month(folder, table, text(month), source.read(table, *CALENDAR.bounds_s(text(month))).rows)


def write_month(folder: Path, table: Table, month: str, rows: pl.DataFrame) -> None:
    """Write canonical rows as the company's own columns: times as text, money in units."""
    times = [
        pl.from_epoch(f"{name}_s", time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%S").alias(name) for name in TIMES[table]
    ]
    money = [(pl.col("amount_cents") / 100).alias("amount")] if table == "payments" else []
    rows.with_columns(*times, *money).select(pl.exclude("^.*_s|.*_cents$")).write_csv(file_of(folder, table, month))
