"""Contracts: what must hold of every table before it is written, in pandera, and what a broken one looks like.

A contract is checked on the frame in memory, whole (``lazy``), and its failures are sorted into the four kinds that a
person can act on: schema, nulls, ranges, unique keys. Each kind is an asset check of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from churn_store.mapping.tables import PERSON
from churn_store.model.signature import FLOAT32_MAX, Column

KINDS = ("schema", "nulls", "ranges", "unique_keys")
"""What can be wrong with a table; each is an asset check."""

SHOWN = 5
"""So many offending values are shown of each broken rule."""

ROW = "\0row"
"""A row's place in its frame, while it is sifted."""

FINITE = "a finite 32-bit number"
"""The rule of every number that is no whole one."""


@dataclass(frozen=True)
class Violation:
    """One broken rule of a contract.

    Attributes:
        kind: one of ``KINDS``.
        rule: the column and what it must satisfy.
        rows: how many rows break it; None where the rule is about the table.
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
    described: Mapping[str, str] | None = None,
) -> pa.DataFrameSchema:
    """A table's contract: exactly these columns, of these types, no missing values but in ``nullable``, one row a key.

    What is ``described`` of a column is shown with it.
    """
    return pa.DataFrameSchema(
        {
            name: pa.Column(
                kind,
                checks=list((checks or {}).get(name, ())),
                nullable=name in nullable,
                description=(described or {}).get(name),
            )
            for name, kind in types.items()
        },
        strict=True,
        unique=list(key),
    )


def column_types(columns: Sequence[Column]) -> dict[str, type[pl.DataType]]:
    """The lake's types of described columns."""
    return {column.name: pl.Float64 if column.kind == "number" else pl.String for column in columns}


def column_types_of(schema: pa.DataFrameSchema) -> dict[str, type[pl.DataType]]:
    """The columns of a contract with their types."""
    return {str(name): column.dtype.type for name, column in schema.columns.items()}


def column_checks(columns: Sequence[Column]) -> dict[str, list[pa.Check]]:
    """The allowed ranges of described columns."""
    found: dict[str, list[pa.Check]] = {}
    for column in columns:
        bounds = []
        if column.low is not None:
            bounds.append(pa.Check.ge(column.low, error=f"at least {column.low:g}"))
        if column.high is not None:
            bounds.append(pa.Check.le(column.high, error=f"at most {column.high:g}"))
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
    for name in _floats(frame):
        endless = frame.filter(_is_endless(name))[name]
        if len(endless):
            shown = tuple(str(value) for value in endless.head(SHOWN))
            found.append(Violation("ranges", f"{name}: {FINITE}", len(endless), shown))
    cases = _failures(schema, frame)
    if cases is not None:
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


@dataclass(frozen=True)
class Sifted:
    """A frame, parted by its contract.

    Attributes:
        kept: rows that keep every rule.
        set_aside: the others, one line for each, ``rule``, ``column``, ``value``, ``row``, ``known_s``: the first rule that it broke.
    """

    kept: pl.DataFrame
    set_aside: pl.DataFrame


def sift(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> Sifted:
    """Part the rows that keep a contract from those that break it; of rows with the same key the first one is kept.

    Args:
        schema: the contract; the columns and types of ``frame`` must be its own.
        frame: the rows, in an order of their own: of repeated keys the first stays.

    Raises:
        ValueError: if the columns or types differ.
    """
    if others := _schema_violations(schema, frame):
        raise ValueError("; ".join(map(str, others)))
    numbered = frame.with_row_index(ROW)
    broken = [
        numbered.filter(_is_endless(name)).select(
            pl.col(ROW).cast(pl.Int64),
            pl.lit(FINITE).alias("rule"),
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("value"),
        )
        for name in _floats(frame)
    ]
    cases = _failures(schema, frame)
    if cases is not None:
        for column in schema.columns.values():
            if not column.nullable:
                broken.append(_missing(numbered, str(column.name)))
        broken.append(
            cases.filter(pl.col("check") != "not_nullable").select(
                pl.col("index").cast(pl.Int64).alias(ROW),
                pl.col("check").cast(pl.String).alias("rule"),
                pl.col("column").cast(pl.String),
                pl.col("failure_case").cast(pl.String).alias("value"),
            )
        )
    key = list(schema.unique or ())
    wrong = pl.concat([_nothing_broken(), *broken])
    good = numbered.filter(~pl.col(ROW).is_in(wrong[ROW].implode()))
    again = good.filter(~pl.struct(key).is_first_distinct()).select(
        pl.col(ROW).cast(pl.Int64),
        pl.lit(f"one row a {', '.join(key)}").alias("rule"),
        pl.lit(", ".join(key)).alias("column"),
        pl.concat_str([pl.col(name).cast(pl.String) for name in key], separator="/").alias("value"),
    )
    first = pl.concat([wrong, again]).unique(ROW, keep="first", maintain_order=True)
    rows = numbered.with_columns(pl.col(ROW).cast(pl.Int64)).join(first, on=ROW, how="inner").sort(ROW)
    known = pl.col("known_s") if "known_s" in frame.columns else pl.lit(None).alias("known_s")
    return Sifted(
        numbered.filter(~pl.col(ROW).is_in(first[ROW].implode())).drop(ROW),
        rows.select("rule", "column", "value", rows_as_json(frame.columns).alias("row"), known.cast(pl.Int64)),
    )


def _floats(frame: pl.DataFrame) -> list[str]:
    return [name for name, kind in frame.schema.items() if kind.is_float()]


def _is_endless(name: str) -> pl.Expr:
    # To polars NaN is neither missing nor out of any range, and to pandera it is both; here it is out of range.
    return ~(pl.col(name).abs() <= FLOAT32_MAX)


def _failures(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame | None:
    """What pandera finds wrong with columns, a row a value; None where it finds nothing.

    Uniqueness is looked at apart, as pandera reports it without the values.
    """
    try:
        pa.DataFrameSchema(schema.columns).validate(frame.with_columns(pl.col(_floats(frame)).fill_nan(None)), lazy=True)
    except SchemaErrors as error:
        return pl.DataFrame(error.failure_cases).filter(pl.col("schema_context") == "Column")
    return None


def rows_as_json(columns: Sequence[str]) -> pl.Expr:
    """Each row as a JSON object, but for when it became known: equal for a row that comes again."""
    return pl.struct(name for name in columns if name != "known_s").struct.json_encode()


def _missing(numbered: pl.DataFrame, column: str) -> pl.DataFrame:
    return numbered.filter(pl.col(column).is_null()).select(
        pl.col(ROW).cast(pl.Int64),
        pl.lit("no missing values").alias("rule"),
        pl.lit(column).alias("column"),
        pl.lit(None, dtype=pl.String).alias("value"),
    )


def _nothing_broken() -> pl.DataFrame:
    return pl.DataFrame(schema={ROW: pl.Int64, "rule": pl.String, "column": pl.String, "value": pl.String})


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
