"""Rows read one by one: a value that its column can't hold hides its own row and no other.

SQLite keeps any value in any column, and an extension of PostgreSQL or a person may write what no code here writes. Does not belong here:
what a row means, which its reader checks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

_TEXTS: Final = (sa.String, sa.Text, sa.JSON)


@dataclass(frozen=True)
class AsideRow:
    """A row that is put aside.

    Attributes:
        table: table of the row.
        name: value of its primary key, in words.
        why: reason, without the value.
    """

    table: str
    name: str
    why: str

    @property
    def sentence(self) -> str:
        """What is put aside, and why."""
        return f"row {self.name} of {self.table} is put aside: {self.why}"


def raw_rows(connection: sa.Connection, columns: Sequence[sa.Column[Any]], change: Any = None) -> Iterator[dict[str, Any]]:
    """Rows as the database has them, by column name: JSON is decoded, and nothing else is converted.

    Args:
        connection: connection to the database.
        columns: columns of one table.
        change: function from the query to one that also has a condition, an order or a limit.

    Yields:
        The rows; a text that is no UTF-8, or no JSON where JSON is expected, is there as bytes.
    """
    asked = sa.select(*(_raw(column, connection.dialect.name) for column in columns)).select_from(columns[0].table)
    for row in connection.execute(asked if change is None else change(asked)):
        yield {str(column.name): _read(value, column) for value, column in zip(row, columns, strict=True)}


def _raw(column: sa.Column[Any], dialect: str) -> Any:
    """A column without any conversion. SQLite hands text over as bytes: one that is no UTF-8 would end the whole query."""
    if dialect != "sqlite" and isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.Text).label(column.name)
    if dialect != "sqlite" or not isinstance(column.type, _TEXTS):
        return sa.type_coerce(column, sa.types.NullType()).label(column.name)
    return sa.case(
        (sa.func.typeof(column) == "text", sa.type_coerce(sa.cast(column, sa.LargeBinary), sa.types.NullType())),
        else_=sa.type_coerce(column, sa.types.NullType()),
    ).label(column.name)


def _read(value: Any, column: sa.Column[Any]) -> Any:
    if not isinstance(value, bytes | str) or not isinstance(column.type, _TEXTS):
        return value
    try:
        text = value.decode() if isinstance(value, bytes) else value
        return msgspec.json.decode(text) if isinstance(column.type, sa.JSON) else text
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return value if isinstance(value, bytes) else value.encode()
