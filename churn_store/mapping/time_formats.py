"""Recognizes how times are written, for the advice in a message and for `churn init`; nothing is read by a guess.

Belongs here: which ``time_format`` fits some values. Does not belong here: reading times (``times``).
"""

import polars as pl

from churn_store.mapping.settings import EXCEL_DAYS

DIGITS = {
    "epoch_s": r"^\d{9,10}(?:\.\d+)?$",
    "epoch_ms": r"^\d{12,13}(?:\.\d+)?$",
    "epoch_us": r"^\d{15,16}$",
    "epoch_ns": r"^\d{18,19}$",
    EXCEL_DAYS: r"^[2-7]\d{4}(?:\.\d+)?$",
}
"""Counts by their number of digits, of times from 1973 to 2286 and days from 1954 to 2119."""

COUNTED_IN = {
    "epoch_s": "seconds",
    "epoch_ms": "milliseconds",
    "epoch_us": "microseconds",
    "epoch_ns": "nanoseconds",
    EXCEL_DAYS: "days of a spreadsheet",
}

_DAYS = (
    "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")

PATTERNS = (
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    *(day + time for day in _DAYS for time in _TIMES),
    "%a, %d %b %Y %H:%M:%S %z",
    "%Y-%m",
    "%m/%Y",
    "%m.%Y",
    "%m-%Y",
    "%b %Y",
    "%b-%Y",
    "%B %Y",
)

SAMPLE = 1000
"""Most values that are examined."""


def advice(values: pl.Series) -> str:
    """What to write into churn.yaml so that values are read as times; empty if no format fits all of them.

    Args:
        values: texts of a column.
    """
    fitting = formats(values)
    if not fitting:
        return ""
    if fitting[0] in DIGITS:
        return f"by the number of their digits they are {COUNTED_IN[fitting[0]]}: write `time_format: {fitting[0]}` in churn.yaml"
    swapped = days_and_months_swapped(fitting[0])
    other = f' (or "{swapped}", if the month comes first: no day is above 12)' if swapped in fitting[1:] else ""
    return f'write `time_format: "{fitting[0]}"`{other} in churn.yaml'


def formats(values: pl.Series, *, share: float = 1.0) -> list[str]:
    """The values of ``time_format`` that fit a column, the likeliest first; none for ISO 8601, which needs no format.

    Args:
        values: texts of a column.
        share: least share of the values that a format must fit.
    """
    sample = values.drop_nulls().str.strip_chars().unique(maintain_order=True).head(SAMPLE)
    if sample.len() == 0:
        return []
    for name, digits in DIGITS.items():
        if sample.str.contains(digits).mean() >= share:  # type: ignore[operator]
            return [name]
    return [pattern for pattern in PATTERNS if _fits(sample, pattern, share)]


def days_and_months_swapped(pattern: str) -> str:
    """The pattern that takes days for months and months for days."""
    return pattern.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")


def _fits(sample: pl.Series, pattern: str, share: float) -> bool:
    try:
        parsed = sample.str.to_datetime(pattern, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:
        return False
    plausible = parsed.dt.year().is_between(1900, 2200).fill_null(value=False)
    return bool(plausible.mean() >= share)  # type: ignore[operator]
