"""The source of a company that has files: CSV or Parquet, with a mapping from its columns to the canonical ones.

Belongs here: how a file is described in ``churn.yaml``, read and mapped, and what is said when the two do not fit. Does not
belong here: which values are allowed in a canonical table (``contracts``).
"""

import glob
import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field, StringConstraints, field_validator, model_validator

from churn_assets.raw.source import SCHEMAS, Table
from churn_store.errors import InputError
from churn_store.settings import Section
from churn_store.signature import Column

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

UNREADABLE_SHOWN = 3


class Attribute(Section):
    """A column that says something of a customer and becomes a feature."""

    column: str = Field(description="its name in the file")
    kind: Literal["number", "category"]
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    unit: str = ""
    description: str = ""


class LabelColumn(Section):
    """The column of data without time that says who churned."""

    column: str
    churned: str = Field("Yes", description="the word for a customer who left")
    stayed: str = Field("No", description="the word for a customer who stayed")


class FileTable(Section):
    """One raw table in files."""

    path: str = Field(description="a file or a pattern like data/orders-*.csv, beside churn.yaml")
    format: Literal["csv", "parquet"] = "csv"
    separator: str = ","
    columns: dict[str, str] = Field(description="canonical name: name in the file")
    constants: dict[str, str] = Field({}, description="canonical name: the one value that all rows have")
    time_format: str | None = Field(None, description="strftime pattern of times; default: ISO 8601")
    time_zone: str = Field("UTC", description="zone of times that name none")
    amount_unit: Literal["cents", "units"] = Field("units", description="`units`: 11.77 is 1177 cents")
    attributes: dict[Name, Attribute] = Field({}, description="feature name: column of the file")
    label: LabelColumn | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone; expected a name like Europe/Berlin") from error
        return name


class FilesSettings(Section):
    """Raw tables in files.

    ``shape: history`` has ``events`` or ``payments`` or both, and ``customers`` or none: then they are derived from those.
    ``shape: table`` has only ``customers``, with a label column and no time.
    """

    kind: Literal["files"]
    shape: Literal["history", "table"] = "history"
    start: date | None = Field(None, description="the first day with data; needed for a history")
    customers: FileTable | None = None
    events: FileTable | None = None
    payments: FileTable | None = None

    @model_validator(mode="after")
    def _tables_fit_the_shape(self) -> Self:
        if self.shape == "table":
            if self.customers is None or self.customers.label is None or self.events or self.payments:
                raise ValueError("shape `table` needs `customers` with a `label`, and neither `events` nor `payments`")
        else:
            if self.events is None and self.payments is None:
                raise ValueError("shape `history` needs `events` or `payments`; one table with a label is shape `table`")
            if self.start is None:
                raise ValueError("shape `history` needs `start`, the first day with data")
            if self.customers is not None and self.customers.label is not None:
                raise ValueError("a `label` column belongs to shape `table`; a history's label is defined in `label:`")
        required = {
            "customers": {"customer_id"} | ({"signed_up"} if self.shape == "history" else set()),
            "events": {"customer_id", "event_type", "occurred"},
            "payments": {"customer_id", "amount", "occurred"},
        }
        optional = {
            "customers": {"occurred", "known"} if self.shape == "history" else set(),
            "events": {"event_id", "known"},
            "payments": {"payment_id", "status", "known"},
        }
        for name in ("customers", "events", "payments"):
            table: FileTable | None = getattr(self, name)
            if table is None:
                continue
            given = set(table.columns) | set(table.constants)
            if missing := required[name] - given:
                raise ValueError(f"`{name}.columns` must map {', '.join(sorted(missing))}")
            if unknown := given - required[name] - optional[name]:
                raise ValueError(
                    f"`{name}.columns` maps unknown {', '.join(sorted(unknown))}; "
                    f"expected {', '.join(sorted(required[name] | optional[name]))}"
                )
        return self

    @property
    def tables(self) -> tuple[Table, ...]:
        """The raw tables that the graph has; customers are derived where no file has them."""
        found: list[Table] = ["customers"]
        if self.events is not None:
            found.append("events")
        if self.payments is not None:
            found.append("payments")
        return tuple(found)


class FilesSource:
    """Reads the files once, maps them, and cuts them by arrival.

    Args:
        settings: their description.
        folder: that paths are relative to.
    """

    def __init__(self, settings: FilesSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._mapped: dict[str, pl.DataFrame] = {}
        self.attributes = _attributes(settings)

    def read(self, table: Table, start_s: int, end_s: int) -> pl.DataFrame:
        """Rows that became known in ``[start_s, end_s)``; the rows of data without time have no time and all come."""
        if table not in self._mapped:
            self._mapped[table] = self._map(table)
        frame = self._mapped[table]
        if self._settings.shape == "table":
            return frame
        return frame.filter(pl.col("known_s") >= start_s, pl.col("known_s") < end_s)

    def fingerprint(self) -> str:
        """A digest of the description and of every byte of the files."""
        digest = hashlib.sha256(self._settings.model_dump_json().encode())
        for description in (self._settings.customers, self._settings.events, self._settings.payments):
            for file in [] if description is None else self._files(description):
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def _files(self, table: FileTable) -> list[str]:
        pattern = str(self._folder / table.path)
        found = sorted(glob.glob(pattern))
        if not found:
            raise InputError(f"source: no file matches {pattern}; put the file there or change `path` in churn.yaml")
        return found

    def _map(self, table: Table) -> pl.DataFrame:
        description: FileTable | None = getattr(self._settings, table)
        if description is None:
            return self._derived_customers()
        text = self._read_text(table, description)
        if self._settings.shape == "table":
            return _labelled(text, description, where=f"{table} ({description.path})")
        return _canonical(table, text, description, self.attributes, where=f"{table} ({description.path})")

    def _read_text(self, table: Table, description: FileTable) -> pl.DataFrame:
        """The mapped columns, as the text that the file holds."""
        where = f"source.{table} ({description.path})"
        wanted = list(
            dict.fromkeys(
                [
                    *description.columns.values(),
                    *(attribute.column for attribute in description.attributes.values()),
                    *([description.label.column] if description.label else []),
                ]
            )
        )
        frames = []
        for file in self._files(description):
            try:
                lazy = (
                    pl.scan_parquet(file)
                    if description.format == "parquet"
                    else pl.scan_csv(file, separator=description.separator, infer_schema=False, null_values=["", "NA"])
                )
                has = lazy.collect_schema().names()
                missing = [name for name in wanted if name not in has]
                if missing:
                    raise InputError(
                        f"{where}: {Path(file).name} has no column {', '.join(missing)}; it has {', '.join(has)}. "
                        "Change the mapping in churn.yaml or the file"
                    )
                frames.append(lazy.select(pl.col(wanted).cast(pl.String)).collect())
            except pl.exceptions.NoDataError as error:
                raise InputError(f"{where}: {Path(file).name} is empty; expected a header and rows") from error
            except pl.exceptions.ComputeError as error:
                raise InputError(f"{where}: {Path(file).name} can't be read: {str(error).splitlines()[0]}") from error
        whole = pl.concat(frames)
        if whole.height == 0:
            raise InputError(f"{where}: no rows; expected at least one")
        return whole

    def _derived_customers(self) -> pl.DataFrame:
        """Customers who are known only by what they did: signed up when they were first seen."""
        rows = [
            self.read(table, -(2**62), 2**62).select("customer_id", "occurred_s", "known_s")
            for table in self._settings.tables
            if table != "customers"
        ]
        return (
            pl.concat(rows)
            .group_by("customer_id")
            .agg(pl.col("occurred_s").min(), pl.col("known_s").min())
            .with_columns(signed_up_s=pl.col("occurred_s"))
            .select(list(SCHEMAS["customers"]))
            .sort("customer_id")
        )


def _attributes(settings: FilesSettings) -> tuple[Column, ...]:
    if settings.customers is None:
        return ()
    return tuple(
        Column(
            name=name,
            kind=attribute.kind,
            nullable=attribute.nullable,
            low=attribute.low,
            high=attribute.high,
            unit=attribute.unit,
            description=attribute.description or f"{attribute.column} as the source says",
        )
        for name, attribute in settings.customers.attributes.items()
    )


def _labelled(text: pl.DataFrame, description: FileTable, *, where: str) -> pl.DataFrame:
    label = description.label
    if label is None:
        raise InputError(f"{where}: no `label`; name the column that says who churned")
    words = text[label.column].unique().to_list()
    other = sorted(repr(word) for word in words if word not in (label.churned, label.stayed))
    if other:
        raise InputError(
            f"{where}: column {label.column} holds {', '.join(other[:UNREADABLE_SHOWN])}; expected {label.churned!r} or "
            f"{label.stayed!r}. Change `label` in churn.yaml or those rows"
        )
    return text.select(
        pl.col(description.columns["customer_id"]).alias("customer_id"),
        *(_attribute(text, name, attribute, where) for name, attribute in description.attributes.items()),
        (pl.col(label.column) == label.churned).alias("churned"),
    )


def _canonical(
    table: Table, text: pl.DataFrame, description: FileTable, attributes: tuple[Column, ...], *, where: str
) -> pl.DataFrame:
    def column(name: str) -> pl.Expr | None:
        if name in description.columns:
            return pl.col(description.columns[name])
        return pl.lit(description.constants[name]) if name in description.constants else None

    def time(name: str, otherwise: str | None = None) -> pl.Series:
        source = name if column(name) is not None or otherwise is None else otherwise
        return _epoch_seconds(text, description.columns[source], description, where)

    whole = {"customer_id": text.select(column("customer_id")).to_series()}
    if table == "customers":
        signed_up = time("signed_up")
        whole |= {"occurred_s": time("occurred", "signed_up"), "signed_up_s": signed_up}
        whole["known_s"] = time("known") if column("known") is not None else whole["occurred_s"]
        for name, attribute in description.attributes.items():
            whole[name] = text.select(_attribute(text, name, attribute, where)).to_series()
    else:
        whole |= {"occurred_s": time("occurred"), "known_s": time("known", "occurred")}
        if table == "events":
            whole["event_type"] = _repeated(text, column("event_type"))
        else:
            whole["amount_cents"] = _cents(text, description, where)
            whole["status"] = _repeated(text, column("status") if column("status") is not None else pl.lit("settled"))
        key = "event_id" if table == "events" else "payment_id"
        named = column(key)
        whole[key] = _row_ids(text) if named is None else text.select(named).to_series()
    order = [*SCHEMAS[table], *(attribute.name for attribute in attributes if table == "customers")]
    return pl.DataFrame({name: whole[name] for name in order}).sort(order[:2])


def _repeated(text: pl.DataFrame, value: pl.Expr | None) -> pl.Series:
    return text.with_columns(value.alias("_value"))["_value"] if value is not None else pl.Series([None] * text.height)


def _attribute(text: pl.DataFrame, name: str, attribute: Attribute, where: str) -> pl.Expr:
    if attribute.kind == "category":
        return pl.col(attribute.column).alias(name)
    trimmed = pl.col(attribute.column).str.strip_chars()
    _refuse_unreadable(text, attribute.column, trimmed.cast(pl.Float64, strict=False), "a number", where)
    return trimmed.cast(pl.Float64, strict=False).alias(name)


def _cents(text: pl.DataFrame, description: FileTable, where: str) -> pl.Series:
    name = description.columns["amount"]
    amount = pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)
    _refuse_unreadable(text, name, amount, "an amount like 11.77", where)
    factor = 100 if description.amount_unit == "units" else 1
    return text.select((amount * factor).round().cast(pl.Int64)).to_series()


def _epoch_seconds(text: pl.DataFrame, name: str, description: FileTable, where: str) -> pl.Series:
    value = pl.col(name).str.strip_chars()
    if description.time_format is not None:
        parsed = value.str.to_datetime(description.time_format, time_unit="us", strict=False)
        expected = f"a time like {description.time_format!r}"
    else:
        parsed = pl.coalesce(
            value.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False),
            value.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False),
            value.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
        )
        expected = "an ISO 8601 date or time (or a `time_format` in churn.yaml)"
    _refuse_unreadable(text, name, parsed, expected, where)
    zoned = parsed.dt.replace_time_zone(description.time_zone, ambiguous="earliest", non_existent="null")
    return text.select(zoned.dt.epoch("s").cast(pl.Int64)).to_series()


def _refuse_unreadable(text: pl.DataFrame, name: str, parsed: pl.Expr, expected: str, where: str) -> None:
    bad = text.with_row_index("_row", offset=2).filter(pl.col(name).is_not_null() & parsed.is_null())
    if bad.height:
        found = ", ".join(
            f"{value!r} (line {row})" for row, value in bad.select("_row", name).head(UNREADABLE_SHOWN).rows()
        )
        raise InputError(f"{where}: column {name} holds {found}; expected {expected}; {bad.height} rows are like that")


def _row_ids(text: pl.DataFrame) -> pl.Series:
    """The whole row as its id, with a count among equal rows: reading the file twice gives the same ids."""
    joined = text.select(pl.concat_str(pl.all().fill_null("\0"), separator="\x1f").alias("row"))
    counted = joined.with_columns(pl.int_range(pl.len()).over("row").cast(pl.String).alias("count"))
    digests = [
        hashlib.blake2b(f"{row}\x1f{count}".encode(), digest_size=12).hexdigest() for row, count in counted.iter_rows()
    ]
    return pl.Series(digests, dtype=pl.String)
