"""Queries a PostgreSQL for the mapped columns of a table as text, for the rows of a stretch of time.

Belongs here: SQL. Does not belong here: connections and their errors (``connection``) and what the text means
(``churn_store.mapping.canonical``). Time bounds are pushed down only as far as the database can compare them: for times without a
zone they are widened by 26 hours, where a row sums up a month by its length, and for times stored as text there are none. The exact cut is made by ``mapped_source``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import psycopg
from psycopg import sql

from churn_assets.settings.postgres import PostgresTable
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.money import currency_column
from churn_store.mapping.settings import EPOCH
from churn_store.mapping.text import CURRENCY, MappedText, plain
from churn_store.model.words import NORMALISATION
from churn_store.redaction import shown_names

BOOLEAN = 16
DATE, TIMESTAMP, TIMESTAMPTZ = 1082, 1114, 1184
WHOLE = frozenset({20, 21, 23})
NUMBERS = WHOLE | {700, 701, 1700}
"""The numeric types, by their fixed numbers in PostgreSQL's catalogue (``pg_type.dat``)."""

ZONES = timedelta(hours=26)
"""The greatest distance of a local time from UTC, including an hour that a zone skipped."""

LONGEST_AGGREGATE_S = 31 * DAY_S
"""A row that sums up a month has happened at most so long after the time that it is written under."""


@dataclass(frozen=True)
class Times:
    """The columns with the times at which a row happened and became known, by which periods are cut.

    Attributes:
        occurred: names of the columns with a time at which a row happened; one, or one for each type of events.
        known: name of the column with the time at which it became known; `None` if the table has none.
    """

    occurred: tuple[str, ...]
    known: str | None


def times_of(description: PostgresTable) -> Times:
    """The columns by which periods are cut; for a customer's only record it is the time of sign-up."""
    mapped = description.columns
    occurred = tuple(description.event_times.values()) or (mapped.get("occurred") or mapped["signed_up"],)
    return Times(occurred, mapped.get("known"))


def read_text(
    connection: psycopg.Connection,
    description: PostgresTable,
    *,
    where: str,
    bounds: tuple[int, int] | None,
    batch_rows: int,
    limit: int | None = None,
    normalisation: int = NORMALISATION,
) -> MappedText:
    """The mapped columns as text, of at least the rows that became known in a stretch of time, and of those without a time.

    Args:
        connection: connection inside a transaction.
        description: description of the table.
        where: name of the table or file, with which every error message begins.
        bounds: first second of the stretch, and first second after it; `None` for all rows.
        batch_rows: number of rows to fetch at once.
        limit: greatest number of rows to read; `None` for all.
        normalisation: version of how words are written.

    Raises:
        InputError: if a mapped column does not exist.
        psycopg.Error: if the server fails or refuses.
    """
    types = column_types(connection, description, where=where)
    names = description.mapped
    currency = currency_column(types, description)
    read = [*names, *([currency] if currency is not None else [])]
    condition: sql.Composable = sql.SQL("true")
    values: list[object] = []
    if bounds is not None:
        condition, values = _within(description, types, *bounds)
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(_name(name)) for name in read), relation(description), condition
    )
    if limit is not None:
        query, values = query + sql.SQL(" LIMIT %s"), [*values, limit]
    schema = dict.fromkeys([*names, *([CURRENCY] if currency is not None else [])], pl.String)
    batches = [pl.DataFrame(schema=schema)]
    with connection.cursor(name="churn_source") as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(batch_rows):
            batches.append(pl.DataFrame(rows, schema=schema, orient="row"))
    numbers = frozenset(name for name in names if types[name] in NUMBERS)
    return MappedText(
        pl.concat(batches, rechunk=True).select(
            pl.col(name) if normalisation == 1 else plain(pl.col(name), is_number=name in numbers) for name in schema
        ),
        times=frozenset(name for name in names if types[name] in (DATE, TIMESTAMP, TIMESTAMPTZ)),
        numbers=numbers,
        truths=frozenset(name for name in names if types[name] == BOOLEAN),
        normalisation=normalisation,
        currency_column=currency,
    )


def column_types(connection: psycopg.Connection, description: PostgresTable, *, where: str) -> dict[str, int]:
    """The types of a table's columns, by their numbers in PostgreSQL's catalogue.

    Raises:
        InputError: if a mapped column does not exist, or exists twice.
    """
    columns = _answer(connection, sql.SQL("SELECT * FROM {} LIMIT 0").format(relation(description))).description or []
    has = [column.name for column in columns]
    if missing := [name for name in description.mapped if name not in has]:
        raise InputError(
            f"{where} has no column {shown_names(missing)}; it has {shown_names(has)}. Change the mapping in "
            "churn.yaml or the query"
        )
    if twice := [name for name in description.mapped if has.count(name) > 1]:
        raise InputError(f"{where} has several columns {shown_names(twice)}; expected one. Rename the others in the query")
    return {column.name: column.type_code for column in columns}


def relation(description: PostgresTable) -> sql.Composable:
    """The table or query after FROM."""
    if description.table is not None:
        return _name(*description.table.split("."))
    # The query is the company's own, and the transaction can't write. The line break ends a comment that would hide the bracket.
    own = (description.query or "").strip().rstrip(";").replace("%", "%%")
    return sql.SQL("({}\n) AS asked").format(sql.SQL(own))


def facts(connection: psycopg.Connection, description: PostgresTable, columns: Sequence[str]) -> str:
    """The number of rows of a table and the greatest value of some columns, which change when rows arrive."""
    greatest = [sql.SQL("max({})::text").format(_name(name)) for name in columns]
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join([sql.SQL("count(*)::text"), *greatest]), relation(description)
    )
    return repr(_answer(connection, query).fetchone())


def distinct(
    connection: psycopg.Connection, description: PostgresTable, column: str, *, normalisation: int = NORMALISATION
) -> pl.Series:
    """The different words of a column, as the lake writes them by a version of that."""
    query = sql.SQL("SELECT DISTINCT {0}::text, pg_typeof({0})::oid::int FROM {1}").format(
        _name(column), relation(description)
    )
    values = pl.DataFrame(
        _answer(connection, query).fetchall(), schema={column: pl.String, "\0kind": pl.Int64}, orient="row"
    )
    numbers = frozenset([column] if values["\0kind"].is_in(NUMBERS).any() else [])
    text = pl.col(column) if normalisation == 1 else plain(pl.col(column), is_number=column in numbers)
    return MappedText(values.select(text), numbers=numbers, normalisation=normalisation).words(column).unique()


def height(connection: psycopg.Connection, description: PostgresTable) -> int:
    """The number of rows of a table."""
    row = _answer(connection, sql.SQL("SELECT count(*) FROM {}").format(relation(description))).fetchone()
    return 0 if row is None else int(row[0])


def counts(connection: psycopg.Connection, description: PostgresTable, column: str) -> dict[str, int]:
    """The number of rows by word of a column, in capitals, the most frequent first; missing ones are not counted."""
    query = sql.SQL(
        "SELECT upper(trim({0}::text)), count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).format(_name(column), relation(description))
    return dict(_answer(connection, query).fetchall())


def _answer(connection: psycopg.Connection, statement: sql.Composed) -> psycopg.Cursor:
    """The result of exactly one statement.

    Binary results use the extended protocol, which refuses several statements: otherwise a company's query could close the bracket
    around it, end the transaction, and write. A prepared statement would do the same, but it would stay in a connection that a pool
    lends to others.
    """
    return connection.execute(statement, [], binary=True)


def _within(
    description: PostgresTable, types: dict[str, int], start_s: int, end_s: int
) -> tuple[sql.Composable, list[object]]:
    """The condition for rows of a stretch of time, with its values.

    Both times count, as a row announced before it happened is known only when it has happened. A missing time may be any.
    """
    times = times_of(description)
    columns = [*times.occurred] if times.known is None else [times.known, *times.occurred]
    if description.aggregated_by is not None:
        start_s -= LONGEST_AGGREGATE_S
    begins: list[sql.Composable] = []
    ends: list[sql.Composable] = []
    values: list[object] = []
    missing = [sql.SQL("{} IS NULL").format(_name(name)) for name in columns]
    for name in columns:
        start, _ = _bounds(description, types[name], start_s, end_s)
        if start is not None:
            begins.append(sql.SQL("{} >= %s").format(_name(name)))
            values.append(start)
    if len(begins) < len(columns):  # one that can't be compared may lie in the stretch
        begins, values = [], []
    for name in (
        columns if not description.event_times else []
    ):  # one event of a row may lie before the end, and another after it
        _, end = _bounds(description, types[name], start_s, end_s)
        if end is not None:
            ends.append(sql.SQL("({} < %s OR {})").format(_name(name), sql.SQL(" OR ").join(missing)))
            values.append(end)
    conditions = [sql.SQL("({})").format(sql.SQL(" OR ").join([*begins, *missing]))] if begins else []
    return sql.SQL(" AND ").join([*conditions, *ends, sql.SQL("true")]), values


def _bounds(description: PostgresTable, kind: int, start_s: int, end_s: int) -> tuple[object | None, object | None]:
    """The ends of a stretch as values that the database can compare with a column; `None` for an end that it can't compare."""
    if kind in WHOLE and description.time_format in EPOCH:
        return _each(start_s, end_s, lambda second, _: second * EPOCH[description.time_format or ""])
    if kind == TIMESTAMPTZ:
        return _each(start_s, end_s, lambda second, _: datetime.fromtimestamp(second, tz=UTC))
    if kind in (DATE, TIMESTAMP):
        return _each(
            start_s, end_s, lambda second, out: datetime.fromtimestamp(second, tz=UTC).replace(tzinfo=None) + out * ZONES
        )
    return None, None


def _each(start_s: int, end_s: int, value: Callable[[int, int], object]) -> tuple[object | None, object | None]:
    start = value(start_s, -1) if _has_date(start_s) else None
    return start, value(end_s, 1) if _has_date(end_s) else None


def _has_date(second: int) -> bool:
    return datetime(2, 1, 1, tzinfo=UTC).timestamp() <= second < datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def _name(*words: str) -> sql.Identifier:
    return sql.Identifier(*(word.replace("%", "%%") for word in words))
