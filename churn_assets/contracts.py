"""Contracts: what must hold of every table before it is written, in pandera, and what a broken one looks like.

A contract is checked on the frame in memory, whole (``lazy``), and its failures are sorted into the four kinds that a
person can act on: schema, nulls, ranges, unique keys. Each kind is an asset check of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from churn_store.signature import FLOAT32_MAX, Column

KINDS = ("schema", "nulls", "ranges", "unique_keys")
"""What can be wrong with a table; each is an asset check."""

SHOWN = 5
"""So many offending values are shown of each broken rule."""

PERSON = "customer_id"
"""The column that names people; its values are never shown."""


@dataclass(frozen=True)
class Violation:
    """One broken rule of a contract.

    Attributes:
        kind: one of ``KINDS``.
        rule: the column and what it must satisfy.
        rows: how many rows break it; none where the rule is about the table.
        values: some of the offending values.
    """

    kind: str
    rule: str
    rows: int | None
    values: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a person."""
        found = f"; found {', '.join(self.values)}" if self.values else ""
        return f"{self.rule}{'' if self.rows is None else f' broken by {self.rows} rows'}{found}"


def contract(
    types: Mapping[str, type[pl.DataType]],
    *,
    key: Sequence[str],
    checks: Mapping[str, Sequence[pa.Check]] | None = None,
    nullable: Sequence[str] = (),
) -> pa.DataFrameSchema:
    """A table's contract: exactly these columns, of these types, no missing values but in ``nullable``, one row a key."""
    return pa.DataFrameSchema(
        {
            name: pa.Column(kind, checks=list((checks or {}).get(name, ())), nullable=name in nullable)
            for name, kind in types.items()
        },
        strict=True,
        unique=list(key),
    )


def column_types(columns: Sequence[Column]) -> dict[str, type[pl.DataType]]:
    """The lake's types of described columns."""
    return {column.name: pl.Float64 if column.kind == "number" else pl.String for column in columns}


def column_checks(columns: Sequence[Column]) -> dict[str, list[pa.Check]]:
    """The allowed ranges of described columns."""
    found: dict[str, list[pa.Check]] = {}
    for column in columns:
        bounds = []
        if column.low is not None:
            bounds.append(pa.Check.ge(column.low))
        if column.high is not None:
            bounds.append(pa.Check.le(column.high))
        found[column.name] = bounds
    return found


def violations(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> list[Violation]:
    """Everything that is wrong with a frame; an empty list if it keeps the contract."""
    wrong_types = _schema_violations(schema, frame)
    if wrong_types:
        return wrong_types
    key = list(schema.unique or ())
    found = []
    repeated = frame.filter(pl.struct(key).is_duplicated())
    if repeated.height:
        # A customer's id may be a name or an address, and what is found here goes into logs.
        shown_key = [] if PERSON in key else key
        values = repeated.select(shown_key).unique(maintain_order=True).head(SHOWN).rows() if shown_key else []
        found.append(
            Violation(
                "unique_keys", f"one row a {', '.join(key)}", repeated.height, tuple("/".join(map(str, v)) for v in values)
            )
        )
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    for name in floats:
        # To polars NaN is neither missing nor out of any range, and to pandera it is both; here it is out of range.
        endless = frame.filter(~(pl.col(name).abs() <= FLOAT32_MAX))[name]
        if len(endless):
            shown = tuple(str(value) for value in endless.head(SHOWN))
            found.append(Violation("ranges", f"{name}: a finite 32-bit number", len(endless), shown))
    try:
        # Uniqueness is answered above: pandera reports it without the values.
        pa.DataFrameSchema(schema.columns).validate(frame.with_columns(pl.col(floats).fill_nan(None)), lazy=True)
    except SchemaErrors as error:
        cases = pl.DataFrame(error.failure_cases).filter(pl.col("schema_context") == "Column")
        for (column, check), rows in cases.group_by("column", "check", maintain_order=True):
            missing = str(check) == "not_nullable"
            nulls = frame[str(column)].null_count() if missing else 0
            if missing and not nulls:
                continue
            found.append(
                Violation(
                    "nulls" if missing else "ranges",
                    f"{column}: {'no missing values' if missing else check}",
                    nulls if missing else rows.height,
                    () if missing or column == PERSON else tuple(str(value) for value in rows["failure_case"].head(SHOWN)),
                )
            )
    return found


def _schema_violations(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> list[Violation]:
    expected = {name: column.dtype.type for name, column in schema.columns.items()}
    found = [
        Violation("schema", f"column {name} of type {kind}", None, (str(frame.schema.get(name, "no such column")),))
        for name, kind in expected.items()
        if frame.schema.get(name) != kind
    ]
    unknown = [name for name in frame.columns if name not in expected]
    if unknown:
        found.append(Violation("schema", f"no columns but {', '.join(expected)}", None, tuple(unknown)))
    return found
