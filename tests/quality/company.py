"""A small company whose months are judged as they arrive, for the tests of quality."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.periods import Calendar, text
from churn_assets.quality.judge import Judgement, judge
from churn_assets.quality.profile import Profile, profile_of
from churn_assets.quality.table_quality import TableQuality
from churn_assets.settings.quality import Quality
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.mapping.tables import VALUE, Table

CALENDAR = Calendar("monthly", dt.date(2024, 1, 1))
MONTHS = [text(month) for month in CALENDAR.complete(dt.date(2024, 10, 1))]
LAST = MONTHS[-1]
Change = Callable[[pl.DataFrame], pl.DataFrame]


def unchanged(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as they are."""
    return rows


@cache
def rows_of(table: Table, month: str, customers: int = 1_500) -> pl.DataFrame:
    """The rows of a month; sessions take seconds."""
    source = SyntheticSource(SyntheticSettings(customers=customers, months=12))
    rows = source.read(table, *CALENDAR.bounds_s(month)).rows
    if table != "events":
        return rows
    seconds = (pl.col("event_id").hash(7) % 1_000 + 30).cast(pl.Int64)
    return rows.with_columns(pl.when(pl.col("event_type") == "session").then(seconds).alias(VALUE))


@cache
def profile(table: Table, month: str, customers: int = 1_500) -> Profile:
    """The profile of a clean month."""
    return profile_of(rows_of(table, month, customers), table, month, bounds_s=CALENDAR.bounds_s(month))


def judged(
    table: Table, change: Change = unchanged, *, month: str = LAST, customers: int = 1_500, rules: Quality | None = None
) -> Judgement:
    """The judgement of a month whose rows are changed, after clean ones."""
    now = profile_of(change(rows_of(table, month, customers)), table, month, bounds_s=CALENDAR.bounds_s(month))
    before = [profile(table, one, customers) for one in MONTHS[1:] if one < month]
    return judge(now, before, table=table, rules=rules or Quality(), cadence="monthly")


@dataclass
class Kept:
    """A table of a real lake whose months are judged, and written where they are not blocked."""

    lake: Lake
    table: Table = "events"

    def deliver(self, *months: str, change: Change = unchanged, upside_down: bool = False) -> dict[str, Judgement]:
        """Judge months in one run; ``upside_down`` has the rows in another order."""
        standing = set(self.lake.periods(self.table)) if self.lake.has(self.table) else set()
        versions = {month: digest(self.read(month), key=["event_id"]) for month in standing}
        quality = TableQuality(self.lake, self.table, CALENDAR, Quality(), versions=versions, rows=self.read)
        found = {}
        for month in months:
            rows = change(rows_of(self.table, month)).sort("event_id", descending=upside_down)
            found[month] = quality.judge(month, rows)
            if not found[month].blocks:
                self.lake.replace(self.table, {month: rows}, run_id="a test")
                quality.stands(month, digest(self.read(month), key=["event_id"]))
        quality.finish("a test")
        return found

    def read(self, month: str) -> pl.DataFrame:
        """The rows of a month in the lake."""
        return self.lake.read(self.table, month)
