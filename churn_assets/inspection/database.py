"""Finds and reads the tables of a PostgreSQL, as ingest would read them.

Belongs here: which tables a user may read. Does not belong here: connections and queries (``connectors.postgres``), and which table is
which (``roles``).
"""

from churn_assets.connectors.postgres.connection import reading, server
from churn_assets.connectors.postgres.query import column_types, read_text
from churn_assets.inspection.names import INTERNAL, plain
from churn_assets.inspection.table import InspectedTable
from churn_assets.settings.postgres import PostgresSettings, PostgresTable
from churn_store.errors import InputError

LISTED = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_schema NOT LIKE 'pg\\_%%'
AND has_table_privilege(quote_ident(table_schema) || '.' || quote_ident(table_name), 'SELECT')
ORDER BY table_schema, table_name
"""

MOST_TABLES = 60
MOST_COLUMNS = 1_000
BOOLEAN = 16


def tables_in_database(settings: PostgresSettings) -> list[InspectedTable]:
    """The tables and views that the user of an address may read and that have rows.

    Raises:
        InputError: if the server refuses, or there is no such table.
        SourceAwayError: if it does not answer.
    """
    where = f"the database at {server(settings)}"
    found: list[InspectedTable] = []
    with reading(settings, where=where) as connection:
        # What the company's database says of its zone is asked in a transaction whose own zone is UTC.
        row = connection.execute(
            "SELECT coalesce((SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'), 'UTC')"
        ).fetchone()
        zone = _zone(str(row[0]) if row else "")
        names = [(schema, name) for schema, name in connection.execute(LISTED).fetchall() if "." not in schema + name]
        if not names:
            raise InputError(
                f"{where} has no table that this user may read; expected some. Grant SELECT on the company's tables"
            )
        if len(names) > MOST_TABLES:
            raise InputError(
                f"{where} has {len(names)} tables that this user may read; expected at most {MOST_TABLES}. Let a user look who may read only "
                "the tables of customers, events and payments"
            )
        for schema, name in names:
            full = f"{schema}.{name}"
            types = column_types(connection, _described(full, []), where=full)
            columns = list(types)[:MOST_COLUMNS]
            described: dict[str, object] = {"table": full}
            inner = [column for column in columns if types[column] == BOOLEAN and INTERNAL.search(plain(column))]
            if inner:
                quoted = " AND ".join('NOT "{}"'.format(column.replace('"', '""')) for column in inner)
                described = {"query": f'SELECT * FROM "{schema}"."{name}" WHERE {quoted}'}  # noqa: S608 - names of the catalogue, quoted
            table = PostgresTable.model_validate({**described, "columns": _named(columns)})
            text = read_text(connection, table, where=full, bounds=None, batch_rows=settings.batch_rows)
            if text.rows.height:
                left_out = dict.fromkeys(inner, "it is true for rows that are not of customers, which the query leaves out")
                usable = tuple(column for column in columns if column not in inner)
                found.append(InspectedTable(full, described, text, usable, left_out, zone))
    if not found:
        raise InputError(f"{where} has only empty tables; expected rows. Fill them, or name another database")
    return found


def _described(table: str, columns: list[str]) -> PostgresTable:
    return PostgresTable.model_validate({"table": table, "columns": _named(columns)})


def _named(columns: list[str]) -> dict[str, str]:
    return {f"column {place}": name for place, name in enumerate(columns)}


def _zone(name: str) -> str:
    return "" if name.upper() in {"", "UTC", "GMT", "ETC/UTC", "ETC/GMT", "LOCALTIME"} else name
