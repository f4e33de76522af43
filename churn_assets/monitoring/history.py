"""The history of drift: the table ``drift_history`` of the lake, a row per window, segment and feature, and its windows as they are published.

Belongs here: rows and windows of the table. Does not belong here: judging a window, the columns (``contracts``), and the
published file (``churn_store.monitoring.facts``).
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

import msgspec
import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.contracts import EVERYONE, KEY, MOVE_COLUMNS, WINDOW_COLUMNS
from churn_store.monitoring.facts import DriftWindow, FeatureMove

TABLE: Final = "drift_history"


def drift_windows(lake: Lake, newest: int) -> list[DriftWindow]:
    """The windows of the table's newest periods, the oldest first; of each period all segments, of snapshots and of served requests.

    Args:
        lake: the lake to read.
        newest: greatest number of periods.

    Returns:
        The windows; none where the table was never written, as in an installation of before.
    """
    return [] if not lake.has(TABLE) else windows_of_periods(lake, lake.periods(TABLE)[-newest:])


def windows_of_periods(lake: Lake, periods: Iterable[str]) -> list[DriftWindow]:
    """The windows of some periods of the table, in the order of the periods."""
    return [window for period in periods for window in windows_of(period, lake.read(TABLE, period))]


def windows_of(period: str, rows: pl.DataFrame) -> list[DriftWindow]:
    """A period's rows as windows, all customers before segments."""
    ordered = rows.sort(KEY).iter_rows(named=True)
    return [_window(period, list(group)) for _, group in groupby(ordered, key=lambda row: (row["of"], row["segment"]))]


def rows_of(windows: Iterable[DriftWindow]) -> pl.DataFrame:
    """The windows of one period as rows of the table."""
    told = []
    for window in windows:
        shared = {name: getattr(window, name) for name in WINDOW_COLUMNS if name not in ("segment", "window_rows")}
        shared |= {"segment": window.segment or EVERYONE, "window_rows": window.rows}
        moves = [msgspec.structs.asdict(move) for move in window.features] or [{"feature": EVERYONE}]
        told += [{**dict.fromkeys(MOVE_COLUMNS), **shared, **move} for move in moves]
    return pl.DataFrame(told, schema={**WINDOW_COLUMNS, **MOVE_COLUMNS})


def _window(period: str, rows: list[dict[str, Any]]) -> DriftWindow:
    first = rows[0]
    shared = {name: first[name] for name in WINDOW_COLUMNS if name not in ("segment", "window_rows")}
    moves = [FeatureMove(**{name: row[name] for name in MOVE_COLUMNS}) for row in rows if row["feature"] != EVERYONE]
    return DriftWindow(window=period, segment=first["segment"] or None, rows=first["window_rows"], features=moves, **shared)
