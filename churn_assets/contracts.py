"""Contracts: the pandera schemas that a table must satisfy before it is written, and the violations that are reported.

A contract is checked on the whole frame in memory (pandera's ``lazy``), so that all failures are found at once. They are sorted into
four kinds that a person can act on: schema, nulls, ranges, unique keys. Each kind is an asset check of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from churn_store.mapping.tables import PERSON
from churn_store.model.signature import FLOAT32_MAX, Column

KINDS = ("schema", "nulls", "ranges", "unique_keys")
"""The kinds of violations; each is an asset check."""

SHOWN = 5
"""The number of offending values shown for each broken rule."""

ROW = "\0row"
"""The column with a row's position in its frame, while the frame is sifted."""

SHA256_LENGTH = 64
"""The number of letters of a digest."""

FINITE = "a finite 32-bit number"
"""The rule for every floating-point column."""


@dataclass(frozen=True)
class Violation:
    """One broken rule of a contract.

    Attributes:
        kind: one of ``KINDS``.
        rule: column, and the condition that it must satisfy.
        rows: number of rows that break it; `None` for a rule about the whole table.
        values: some of the offending values.
    """

    kind: str
    rule: str
    rows: int | None
    values: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a person."""
        examples = f"; found {', '.join(self.values)}" if self.values else ""
        return f"{self.rule}{'' if self.rows is None else f' broken by {self.rows} rows'}{examples}"


def contract(
    types: Mapping[str, type[pl.DataType]],
    *,
    key: Sequence[str],
    checks: Mapping[str, Sequence[pa.Check]] | None = None,
    nullable: Sequence[str] = (),
    described: Mapping[str, str] | None = None,
) -> pa.DataFrameSchema:
    """A table's contract: exactly these columns and types, one row a key, and missing values only in ``nullable``.

    The texts in ``described`` are shown beside the columns.
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
    """The types that described columns have in the lake."""
    return {column.name: pl.Float64 if column.kind == "number" else pl.String for column in columns}


def column_types_of(schema: pa.DataFrameSchema) -> dict[str, type[pl.DataType]]:
    """The columns of a contract with their types."""
    return {str(name): column.dtype.type for name, column in schema.columns.items()}


def column_checks(columns: Sequence[Column]) -> dict[str, list[pa.Check]]:
    """The allowed ranges of described columns."""
    checks: dict[str, list[pa.Check]] = {}
    for column in columns:
        bounds = []
        if column.low is not None:
            bounds.append(pa.Check.ge(column.low, error=f"at least {column.low:g}"))
        if column.high is not None:
            bounds.append(pa.Check.le(column.high, error=f"at most {column.high:g}"))
        checks[column.name] = bounds
    return checks


def violations(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> list[Violation]:
    """Everything that is wrong with a frame; an empty list if it keeps the contract."""
    wrong_types = _schema_violations(schema, frame)
    if wrong_types:
        return wrong_types
    key = list(schema.unique or ())
    broken = []
    repeated = frame.filter(pl.struct(key).is_duplicated())
    if repeated.height:
        # A customer's id may be a name or an address, and these values go into logs.
        shown_key = [] if PERSON in key else key
        values = repeated.select(shown_key).unique(maintain_order=True).head(SHOWN).rows() if shown_key else []
        broken.append(
            Violation(
                "unique_keys", f"one row a {', '.join(key)}", repeated.height, tuple("/".join(map(str, v)) for v in values)
            )
        )
    for name in _floats(frame):
        endless = frame.filter(_is_endless(name))[name]
        if len(endless):
            shown = tuple(str(value) for value in endless.head(SHOWN))
            broken.append(Violation("ranges", f"{name}: {FINITE}", len(endless), shown))
    cases = _failures(schema, frame)
    if cases is not None:
        for (column, check), rows in cases.group_by("column", "check", maintain_order=True):
            missing = str(check) == "not_nullable"
            nulls = frame[str(column)].null_count() if missing else 0
            if missing and not nulls:
                continue
            broken.append(
                Violation(
                    "nulls" if missing else "ranges",
                    f"{column}: {'no missing values' if missing else check}",
                    nulls if missing else rows.height,
                    () if missing or column == PERSON else tuple(str(value) for value in rows["failure_case"].head(SHOWN)),
                )
            )
    return broken


@dataclass(frozen=True)
class Sifted:
    """A frame, split by its contract.

    Attributes:
        kept: rows that keep every rule.
        set_aside: all other rows, one line each, with the first rule that the row broke: ``rule``, ``column``, ``value``, ``row``,
            ``known_s``.
    """

    kept: pl.DataFrame
    set_aside: pl.DataFrame


def sift(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> Sifted:
    """Split rows into those that keep a contract and those that break it; of rows with the same key the first one is kept.

    Args:
        schema: contract whose columns and types ``frame`` must have.
        frame: rows in a meaningful order: of repeated keys the first stays.

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
    # Polars takes NaN for neither missing nor out of range, and pandera for both; here it is out of range.
    return ~(pl.col(name).abs() <= FLOAT32_MAX)


def _failures(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame | None:
    """The failures that pandera reports for columns, one row a value; `None` if there are none.

    Uniqueness is checked elsewhere, as pandera reports it without the values.
    """
    try:
        pa.DataFrameSchema(schema.columns).validate(frame.with_columns(pl.col(_floats(frame)).fill_nan(None)), lazy=True)
    except SchemaErrors as error:
        return pl.DataFrame(error.failure_cases).filter(pl.col("schema_context") == "Column")
    return None


def rows_as_json(columns: Sequence[str]) -> pl.Expr:
    """Each row as a JSON object without ``known_s``, so that a row that is delivered again has equal text."""
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
    broken = [
        Violation("schema", f"column {name} of type {kind}", None, (str(frame.schema.get(name, "no such column")),))
        for name, kind in expected.items()
        if frame.schema.get(name) != kind
    ]
    unknown = [name for name in frame.columns if name not in expected]
    if unknown:
        broken.append(Violation("schema", f"no columns but {', '.join(expected)}", None, tuple(unknown)))
    return broken
