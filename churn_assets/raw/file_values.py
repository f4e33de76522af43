"""Turns the text of a table's files into the canonical columns: times, amounts, numbers, labels, ids.

Belongs here: how a value is written, and what is said of one that can't be read. Does not belong here: which values are
allowed in a canonical table (``contracts``).
"""

import hashlib

import polars as pl

from churn_assets.raw.file_settings import Attribute, FileTable
from churn_assets.raw.file_text import FILE, LINE
from churn_assets.raw.source import OPTIONAL, SCHEMAS, Table
from churn_store.errors import InputError
from churn_store.signature import FLOAT32_MAX, Column

SHOWN = 3
"""So many unreadable values are shown."""

LARGEST_CENTS = 2.0**53
"""Above it, a 64-bit float no longer counts cents."""

ISO_8601 = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,]\d+)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$"
"""A day; or a day and a time, perhaps with seconds, with a fraction of one, and with an offset from UTC."""


def labelled(text: pl.DataFrame, description: FileTable, *, where: str) -> pl.DataFrame:
    """Data without time: ``customer_id``, the attributes, ``churned``.

    Raises:
        InputError: a number that can't be read, or a label that is neither of its two words.
    """
    label = description.label
    if label is None:
        raise InputError(f"{where}: no `label`; name the column that says who churned")
    known = pl.col(label.column).is_in([label.churned, label.stayed])
    _refuse(
        text, label.column, known, f"{label.churned!r} or {label.stayed!r}; change `label` in churn.yaml or the file", where
    )
    return text.select(
        pl.col(description.columns["customer_id"]).alias("customer_id"),
        *(_attribute(text, name, attribute, where) for name, attribute in description.attributes.items()),
        (pl.col(label.column) == label.churned).alias("churned"),
    )


def canonical(
    table: Table, text: pl.DataFrame, description: FileTable, attributes: tuple[Column, ...], *, where: str
) -> pl.DataFrame:
    """A table of a history in its canonical columns, sorted by its first two.

    A row counts as known when it had happened, if its source says an earlier time: until then it is a plan.

    Raises:
        InputError: a time, an amount or a number that is missing or can't be read.
    """
    mapped = description.columns

    def time(name: str) -> pl.Series:
        return _epoch_seconds(text, mapped[name], description, where)

    def plain(name: str) -> pl.Series:
        return text[mapped[name]] if name in mapped else _repeated(description.constants.get(name), text.height)  # type: ignore[call-overload]

    whole = {"customer_id": plain("customer_id")}
    if table == "customers":
        whole["signed_up_s"] = time("signed_up")
        whole["occurred_s"] = time("occurred") if "occurred" in mapped else whole["signed_up_s"]
        for name, attribute in description.attributes.items():
            whole[name] = text.select(_attribute(text, name, attribute, where)).to_series()
    else:
        whole["occurred_s"] = time("occurred")
        if table == "events":
            whole["event_type"] = plain("event_type")
        else:
            whole["amount_cents"] = _cents(text, description, where)
            has_status = "status" in mapped or "status" in description.constants
            whole["status"] = plain("status") if has_status else _repeated("settled", text.height)
        key = "event_id" if table == "events" else "payment_id"
        whole[key] = text[mapped[key]] if key in mapped else _row_ids(text)
    known = time("known") if "known" in mapped else whole["occurred_s"]
    whole["known_s"] = pl.select(pl.max_horizontal(known, whole["occurred_s"])).to_series()
    if table == "payments":
        whole |= {name: pl.repeat(None, text.height, dtype=pl.Int64, eager=True) for name in OPTIONAL[table]}
    order = [*SCHEMAS[table], *(attribute.name for attribute in attributes if table == "customers")]
    return pl.DataFrame({name: whole[name] for name in order}).sort(order[:2])


def _repeated(word: str | None, height: int) -> pl.Series:
    return pl.Series([word], dtype=pl.String).new_from_index(0, height)


def _attribute(text: pl.DataFrame, name: str, attribute: Attribute, where: str) -> pl.Expr:
    if attribute.kind == "category":
        return pl.col(attribute.column).alias(name)
    number = pl.col(attribute.column).str.strip_chars().cast(pl.Float64, strict=False)
    readable = pl.col(attribute.column).is_null() | (number.abs() <= FLOAT32_MAX)
    _refuse(text, attribute.column, readable, "a number like 11.77, or nothing", where)
    return number.alias(name)


def _cents(text: pl.DataFrame, description: FileTable, where: str) -> pl.Series:
    name = description.columns["amount"]
    amount = pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)
    in_units = description.amount_unit == "units"
    cents = amount * 100 if in_units else amount
    readable = cents.abs() <= LARGEST_CENTS
    if not in_units:
        readable &= cents == cents.round()
    expected = "an amount like 11.77" if in_units else "whole cents like 1177 (or `amount_unit: units` in churn.yaml)"
    _refuse(text, name, pl.col(name).is_null() | readable, expected, where)
    return text.select(cents.round().cast(pl.Int64)).to_series()


def _epoch_seconds(text: pl.DataFrame, name: str, description: FileTable, where: str) -> pl.Series:
    value = pl.col(name).str.strip_chars()
    if description.time_format is not None:
        second = _formatted(text, value, description, where)
        expected = f"a time like {description.time_format!r} (`time_format` in churn.yaml)"
    else:
        second = _iso_8601(text, value, description.time_zone)
        expected = "an ISO 8601 date or time like 2024-01-31 or 2024-01-31T09:30:00Z (or a `time_format` in churn.yaml)"
    _refuse(text, name, second.is_not_null(), expected, where)
    return second


def _formatted(text: pl.DataFrame, value: pl.Expr, description: FileTable, where: str) -> pl.Series:
    try:
        parsed = text.select(value.str.to_datetime(description.time_format, time_unit="us", strict=False)).to_series()
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{where}: `time_format` {description.time_format!r} is no pattern of a time ({str(error).splitlines()[0]}); "
            "expected one like %d.%m.%Y"
        ) from error
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone is not None:
        return parsed.dt.epoch("s")
    return _in_zone(parsed, description.time_zone)


def _iso_8601(text: pl.DataFrame, value: pl.Expr, time_zone: str) -> pl.Series:
    parts = text.select(value.str.extract_groups(ISO_8601).alias("_parts")).unnest("_parts")
    day, minute, second, offset = (pl.col(part) for part in ("1", "2", "3", "4"))
    naive = pl.concat_str(day, pl.lit("T"), minute.fill_null("00:00"), second.fill_null(":00")).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False
    )
    digits = offset.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    ahead_s = digits.str.head(2).cast(pl.Int64, strict=False) * 3600 + digits.str.tail(2).cast(pl.Int64, strict=False) * 60
    read = parts.select(
        naive=naive,
        offset=offset,
        ahead_s=pl.when(offset == "Z").then(0).when(offset.str.starts_with("-")).then(-ahead_s).otherwise(ahead_s),
    )
    return read.select(
        pl.when(pl.col("offset").is_null())
        .then(_in_zone(read["naive"], time_zone))
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


def _refuse(text: pl.DataFrame, name: str, readable: pl.Expr | pl.Series, expected: str, where: str) -> None:
    """Refuse values, naming some of them with their place."""
    bad = text.with_columns(readable.alias("\0readable")).filter(~pl.col("\0readable").fill_null(value=False))
    if bad.height:
        several = text[FILE].n_unique() > 1
        found = ", ".join(
            f"{'nothing' if value is None else repr(value)} ({f'{file}, ' if several else ''}line {line})"
            for value, file, line in bad.select(name, FILE, LINE).head(SHOWN).iter_rows()
        )
        raise InputError(
            f"{where}: column {name} holds {found}; expected {expected}; "
            f"{bad.height} {'row is' if bad.height == 1 else 'rows are'} like that"
        )


def _row_ids(text: pl.DataFrame) -> pl.Series:
    """The whole row as its id, with a count among equal rows: reading the file twice gives the same ids."""
    joined = text.select(pl.concat_str(pl.exclude(FILE, LINE).fill_null("\0"), separator="\x1f").alias("row"))
    counted = joined.with_columns(pl.int_range(pl.len()).over("row").cast(pl.String).alias("count"))
    digests = [
        hashlib.blake2b(f"{row}\x1f{count}".encode(), digest_size=12).hexdigest() for row, count in counted.iter_rows()
    ]
    return pl.Series(digests, dtype=pl.String)
