"""Turns text into times: ISO 8601, a pattern, or a count from 1970, in a zone, to whole epoch seconds.

A day without a time is a day of the calendar, whatever the zone: it begins at midnight of UTC, as snapshots do. Midnight of a zone
east of it would lie in the day before, and so before a snapshot of its own day.

Belongs here: how a time is written, and columns whose times can't be what is meant. Does not belong here: which times a
period gets (``churn_assets.connectors.mapped_source``).
"""

import polars as pl

from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import DIRECTIVE, EPOCH, EXCEL_DAYS, MappedTable
from churn_store.mapping.tables import EARLIEST_S, LATEST_S
from churn_store.mapping.text import MappedText
from churn_store.mapping.time_formats import COUNTED_IN, advice

YEAR_2100_S = 4_102_444_800
"""Default for the current time: later than any clock."""

BEGINNING_S = 40 * DAY_S
"""Seconds of this century, taken for milliseconds, end in this time after 1970."""

TIME_OF_DAY = frozenset("HIklMSTRXPprcs+")
"""Fields of a pattern that tell more than a day; ``f`` and zones stand only beside them."""

ISO_8601 = (
    r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,]\d+)?\s?(Z|UTC|GMT|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$"
)
"""A day; or a day and a time, perhaps with seconds, with a fraction of one, and with an offset from UTC."""

UTC_NAMES = ["Z", "UTC", "GMT"]

SPREADSHEET_ZERO_S = -2_209_161_600
"""1899-12-30, from which spreadsheets count days."""

SPREADSHEETS_S = -631_152_000
"""1950-01-01: smaller numbers in a column of days are rather counts."""

YEAR_1980_S = 315_532_800
"""A column of counts of which most are earlier holds something else, such as days written as 20240131."""

MONTHS = 12

ISO_EXPECTED = "an ISO 8601 date or time like 2024-01-31 or 2024-01-31T09:30:00Z (or a `time_format` in churn.yaml)"


def epoch_seconds(
    text: MappedText,
    name: str,
    description: MappedTable,
    readability: Readability,
    *,
    where: str,
    now_s: int,
    optional: bool = False,
    may_be_ahead: bool = False,
) -> pl.Series:
    """A column's times in whole epoch seconds UTC; null where they can't be read.

    Args:
        text: texts of the table.
        name: name of the column.
        description: description of the table.
        readability: record of the rows that can't be read.
        where: name of the table or file, with which every error message begins.
        now_s: current time; later times have not happened yet.
        optional: whether a time may be missing.
        may_be_ahead: whether times may lie ahead, as those of bills do.

    Raises:
        InputError: if ``time_format`` is invalid, a column has times with and without an offset, or most times lie in the future
            or before 1900.
    """
    value = text.rows[name].str.strip_chars()
    by_type = name in text.times
    if by_type:
        value = value.replace("infinity", "9999-12-31")  # PostgreSQL's word for no end
    is_count = description.time_format in EPOCH and not by_type
    if description.time_format in EPOCH and not by_type:
        second = _counted(value, EPOCH[description.time_format])
        unit = COUNTED_IN[description.time_format]
        expected = f"a number of {unit} since 1970 (`time_format: {description.time_format}` in churn.yaml)"
    elif description.time_format == EXCEL_DAYS and not by_type:
        second = _spreadsheet_days(value, description.time_zone)
        expected = f"a number of days like 45292.5 (`time_format: {EXCEL_DAYS}` in churn.yaml)"
    elif description.time_format is not None and not by_type:
        second = _formatted(value, description, where)
        expected = f"a time like {description.time_format!r} (`time_format` in churn.yaml)"
        _note_swapped(name, second, description.time_format, readability)
    else:
        second = _iso_8601(value, description, where=f"{where}: column {name}")
        expected = ISO_EXPECTED
    latest_s = max(now_s, YEAR_2100_S) if may_be_ahead else now_s
    _refuse_implausible(
        name, value, second, readability, where=f"{where}: column {name}", latest_s=latest_s, is_count=is_count
    )
    second = second.clip(upper_bound=LATEST_S)
    readable = second.is_not_null()
    readability.require(
        name,
        readable | value.is_null() if optional else readable,
        expected,
        hint=lambda: _hint(value.filter(~readable)),
    )
    is_days = description.time_format == EXCEL_DAYS and not by_type
    zero = second < BEGINNING_S if is_count else second < SPREADSHEETS_S if is_days else second == 0
    readability.require(
        name,
        ~zero.fill_null(value=False),
        "a time after January 1970, as zeros and seconds among them are none"
        if is_count
        else "a day after 1950, as small numbers are none"
        if is_days
        else "another time than 1970-01-01, which stands for none",
    )
    return second


def at_end_of(span: str | None, second: pl.Series) -> pl.Series:
    """The last second of the day or month in which times lie, or of the week that begins then; the times themselves without a span.

    What sums up a month is known when the month is over, not on the first day that it is written under.
    """
    if span is None:
        return second
    begun = pl.from_epoch(second, time_unit="s").dt.truncate("1mo" if span == "month" else "1d")
    return begun.dt.offset_by({"day": "1d", "week": "7d", "month": "1mo"}[span]).dt.epoch("s") - 1


def _hint(unreadable: pl.Series) -> str:
    advised = advice(unreadable)
    return f"; {advised}" if advised else ""


def _note_swapped(name: str, second: pl.Series, pattern: str, readability: Readability) -> None:
    """Note a column in which days and months could be confused without anybody noticing."""
    if not {"d", "m"} <= set(DIRECTIVE.findall(pattern)):
        return
    days = pl.from_epoch(second.drop_nulls(), time_unit="s").dt.day()
    if days.n_unique() > 1 and days.max() <= MONTHS:  # type: ignore[operator]
        readability.note(
            f"no day in column {name} is above 12, so nothing would show it if days and months were confused; they are read as "
            f"{pattern!r}"
        )


def _counted(value: pl.Series, in_a_second: int) -> pl.Series:
    whole = value.cast(pl.Int64, strict=False)
    if whole.null_count() > value.null_count():
        number = value.cast(pl.Float64, strict=False)
        whole = whole.zip_with(whole.is_not_null(), number.floor().cast(pl.Int64, strict=False))
    return whole // in_a_second


def _spreadsheet_days(value: pl.Series, time_zone: str) -> pl.Series:
    days = value.cast(pl.Float64, strict=False)
    days = days.zip_with(
        days.is_finite() & (days.abs() < LATEST_S / DAY_S),
        pl.Series([None], dtype=pl.Float64).new_from_index(0, days.len()),
    )
    local = SPREADSHEET_ZERO_S + (days * DAY_S).round().cast(pl.Int64)
    return local.zip_with(
        (days == days.floor()).fill_null(value=True),
        _in_zone(pl.from_epoch(local, time_unit="s").cast(pl.Datetime("us")).alias("local"), time_zone),
    )


def _formatted(value: pl.Series, description: MappedTable, where: str) -> pl.Series:
    try:
        parsed = value.str.to_datetime(description.time_format, time_unit="us", strict=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{where}: `time_format` {description.time_format!r} is no pattern of a time ({str(error).splitlines()[0]}); "
            "expected one like %d.%m.%Y, or epoch_s, or epoch_ms"
        ) from error
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone is not None:
        return parsed.dt.epoch("s")
    has_time = bool(TIME_OF_DAY & set(DIRECTIVE.findall(description.time_format or "")))
    return _in_zone(parsed, description.time_zone) if has_time else parsed.dt.epoch("s")


def _iso_8601(value: pl.Series, description: MappedTable, *, where: str) -> pl.Series:
    parts = value.to_frame("value").select(pl.col("value").str.extract_groups(ISO_8601).alias("parts")).unnest("parts")
    day, minute, second, offset = (pl.col(part) for part in ("1", "2", "3", "4"))
    naive = pl.concat_str(day, pl.lit("T"), minute.fill_null("00:00"), second.fill_null(":00")).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False
    )
    digits = offset.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    ahead_s = digits.str.head(2).cast(pl.Int64, strict=False) * 3600 + digits.str.tail(2).cast(pl.Int64, strict=False) * 60
    read = parts.select(
        naive=naive,
        is_day=minute.is_null(),
        offset=offset,
        ahead_s=pl.when(offset.is_in(UTC_NAMES))
        .then(0)
        .when(offset.str.starts_with("-"))
        .then(-ahead_s)
        .otherwise(ahead_s),
    )
    without = read["naive"].is_not_null() & read["offset"].is_null() & ~read["is_day"]
    if not description.zone_is_named and without.any() and read["offset"].is_not_null().any():
        raise InputError(
            f"{where} holds times that name an offset from UTC, and {int(without.sum())} that name none, like "
            f"{value.filter(without)[0]!r}; expected all or none. Write the `time_zone` of those in "
            "churn.yaml, or change the table"
        )
    return read.select(
        pl.when("is_day")
        .then(pl.col("naive").dt.epoch("s"))
        .when(pl.col("offset").is_null())
        .then(_in_zone(read["naive"], description.time_zone))
        .otherwise(pl.col("naive").dt.epoch("s") - pl.col("ahead_s"))
    ).to_series()


def _in_zone(naive: pl.Series, time_zone: str) -> pl.Series:
    """Epoch seconds of local times: a repeated one is the first, a skipped one is moved on by what was skipped (PEP 495)."""
    a_day = pl.duration(hours=25)

    def zoned(local: pl.Expr) -> pl.Expr:
        return local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null").dt.epoch("s")

    local = pl.col(naive.name)
    return (
        naive.to_frame()
        .select(pl.coalesce(zoned(local), zoned(local - a_day) + 25 * 3600).cast(pl.Int64).alias(naive.name))
        .to_series()
    )


def _refuse_implausible(
    name: str,
    written: pl.Series,
    second: pl.Series,
    readability: Readability,
    *,
    where: str,
    latest_s: int,
    is_count: bool,
) -> None:
    """Refuse a column of which most can't be what is meant. Some may: they wait until their period has ended."""
    told = {
        "in the future": second > latest_s,
        "before 1900": second < EARLIEST_S,
        **(
            {"in the first days of 1970": second.is_between(0, BEGINNING_S), "before 1980": second < YEAR_1980_S}
            if is_count
            else {}
        ),
    }
    for lies, wrong in told.items():
        many = int(wrong.sum() or 0)
        if 2 * many > second.len() - second.null_count():
            found = written.filter(wrong.fill_null(value=False))
            raise InputError(
                f"{where}: {many} of {second.len()} times lie {lies}, like {readability.told(name, found[0])}; expected times that have "
                f"been. The format or the unit is wrong: {advice(found) or 'change `time_format` in churn.yaml'}"
            )
