"""Finds out how the times of a column are written, or that it holds none.

Belongs here: findings from the values, by the code that reads them at ingest. Does not belong here: which time is which (``times``).
"""

import re
from dataclasses import dataclass

import polars as pl

from churn_assets.inspection.names import WHEN, plain
from churn_assets.inspection.series import share
from churn_store.clock import DAY_S
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import DIRECTIVE, EPOCH, EXCEL_DAYS, MappedTable
from churn_store.mapping.text import MappedText
from churn_store.mapping.time_formats import days_and_months_swapped, formats
from churn_store.mapping.times import ISO_8601, TIME_OF_DAY, epoch_seconds

ENOUGH = 0.98
"""Share of a column's values that must be of one kind: the rest is dirt, which ingest sets aside."""

SAMPLE = 20_000

SOON_S, LATE_S = -631_152_000, 4_102_444_800
"""1950 and 2100: a column of times lies between."""

COUNT_EARLIEST_S = 946_684_800
"""2000-01-01: counts from 1970 that are earlier are rather ids or telephone numbers."""


@dataclass(frozen=True)
class TimeForm:
    """How a column's times are written.

    Attributes:
        time_format: as in ``churn.yaml``; ``None`` for ISO 8601 and for times by their type.
        swapped: the other format that fits as well, with days and months confused; empty where a day is above 12.
        has_time: whether they tell more than a day.
        has_zone: whether they name an offset from UTC.
        by_type: whether they are times to their writer.
    """

    time_format: str | None
    swapped: str = ""
    has_time: bool = False
    has_zone: bool = False
    by_type: bool = False


def is_iso(values: pl.Series) -> bool:
    """Whether texts are times of ISO 8601."""
    return values.len() > 0 and share(values.str.contains(ISO_8601)) >= ENOUGH


def time_form(name: str, values: pl.Series, text: MappedText, *, is_number: bool) -> TimeForm | None:
    """How a column's times are written; ``None`` if it holds none.

    Args:
        name: its name.
        values: its text.
        text: the table, which knows what is a time to its writer.
        is_number: whether its values are numbers.
    """
    there = values.drop_nulls()
    if name in text.times:
        first = there[0]
        has_time = bool((~there.str.contains(r"(T| )00:00:00(\.0+)?(Z|[+-]\d\d)?$|^[\d-]+$")).any())
        return TimeForm(None, "", has_time, first.endswith("Z") or bool(re.search(r"[+-]\d\d$", first[10:])), by_type=True)
    sample = there.unique().head(SAMPLE)
    if is_iso(sample):
        with_time = sample.str.contains(r"[T ]\d\d:\d\d")
        has_zone = bool(sample.filter(with_time).str.contains(r"(Z|UTC|GMT|[+-]\d{2}:?\d{0,2})$").any())
        return TimeForm(None, "", bool(with_time.any()), has_zone)
    fitting = formats(sample, share=ENOUGH)
    if not fitting:
        return None
    best = _later_days_decide(sample, fitting)
    if (is_number or best == "%Y%m%d") and not _are_times(name, sample, best):
        return None
    directives = set(DIRECTIVE.findall(best)) if "%" in best else set()
    swapped = days_and_months_swapped(best) if "%" in best else ""
    return TimeForm(
        best,
        swapped if swapped != best and swapped in fitting else "",
        best in EPOCH
        or bool(directives & TIME_OF_DAY)
        or (best == EXCEL_DAYS and bool(sample.str.contains(r"[.]\d").any())),
        best in EPOCH or "z" in directives,
    )


def _later_days_decide(sample: pl.Series, fitting: list[str]) -> str:
    """The format that fits the most values: of 31.01. and 01.31. only one can be meant."""
    counted = [name for name in fitting if "%" in name]
    if len(counted) < len(fitting) or len(fitting) == 1:
        return fitting[0]
    return max(
        counted,
        key=lambda pattern: sample.len() - sample.str.to_datetime(pattern, time_unit="us", strict=False).null_count(),
    )


def _are_times(name: str, sample: pl.Series, time_format: str) -> bool:
    """Whether numbers are times: all in a plausible stretch, and by their name or by nothing else than their values."""
    second = seconds(MappedText(sample.to_frame(name)), name, time_format)
    there = second.drop_nulls()
    if there.len() < ENOUGH * sample.len():
        return False
    is_named = WHEN.search(plain(name)) is not None
    earliest = SOON_S if is_named else COUNT_EARLIEST_S
    plausible = there.is_between(earliest, LATE_S).mean() >= ENOUGH  # type: ignore[operator]
    if is_named:
        return bool(plausible)
    if time_format == EXCEL_DAYS:
        return False  # five digits are too often something else
    spread = int(there.max() or 0) - int(there.min() or 0)  # type: ignore[arg-type]
    return (
        bool(plausible)
        and spread > DAY_S
        and not re.search(r"_id_|_nr_|_no_|_number_|phone|tele|msisdn|account", plain(name))
    )


def seconds(text: MappedText, name: str, time_format: str | None) -> pl.Series:
    """A column's times as ingest reads them, in epoch seconds; null for what is none."""
    return epoch_seconds(
        text,
        name,
        MappedTable.model_validate({"columns": {}, "time_format": time_format}),
        Readability(text, where="", limit=1.0, person=""),
        where="",
        now_s=1 << 60,
        optional=True,
    )
