"""Lines of the prediction log as rows of the table ``prediction_log``.

Belongs here: what of a number of lines the table takes. Does not belong here: where lines come from (``spool``, ``shipper``).
"""

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError

from churn_api.telemetry.prediction_log import StoredLine, decode_line
from churn_store.database.schema import prediction_log
from churn_store.errors import InputError

BATCH = 5_000
"""Rows per commit: enough that each page of an index is written once for several rows."""

TOGETHER = 100
"""Rows per statement. With one statement per row, the GIL would change between this thread and the event loop at every row, which
costs the requests more than the inserts themselves."""

GIL_YIELD_S = 0.001
"""Sleep between statements so that the event loop gets the GIL; otherwise only every 5 ms while a segment is shipped."""

_NOT_A_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOT_A_ROW = (DataError, IntegrityError, OverflowError, UnicodeError, InputError)
"""Errors that come from the values: refused by the database, or by its driver before it is asked."""


class LogRows:
    """The table ``prediction_log``.

    Args:
        engine: the serving database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._mark = "?" if engine.dialect.name == "sqlite" else "%s"

    def require_table(self) -> None:
        """Ask for the table.

        Raises:
            SQLAlchemyError: if the database does not answer, or has no such table.
        """
        with self._engine.connect() as connection:
            connection.execute(sa.select(prediction_log.c.item).limit(1)).first()

    def insert(self, lines: Sequence[bytes]) -> list[bytes]:
        """Insert in one transaction what can be inserted; of lines that are refused together, each half is tried again.

        Returns:
            The lines that no retry would help: those of another form, or refused for a value in them.

        Raises:
            SQLAlchemyError: if the database takes nothing now.
        """
        refused: list[bytes] = []
        try:
            with self._engine.begin() as connection:
                for start in range(0, len(lines), TOGETHER):
                    rows = []
                    for line in lines[start : start + TOGETHER]:
                        try:
                            rows.append(_row(decode_line(line)))
                        except _NOT_A_LINE:
                            refused.append(line)
                    if rows:
                        connection.exec_driver_sql(self._statement(len(rows)), tuple(chain(*rows)))
                    time.sleep(GIL_YIELD_S)
        except _NOT_A_ROW:
            if len(lines) == 1:
                return list(lines)
            half = len(lines) // 2
            return self.insert(lines[:half]) + self.insert(lines[half:])
        return refused

    def _statement(self, rows: int) -> str:
        """SQL that inserts a number of rows and skips those that exist already; the same in SQLite and PostgreSQL."""
        names, row = ", ".join(_COLUMNS), f"({', '.join([self._mark] * len(_COLUMNS))})"
        values = ", ".join([row] * rows)
        return f"INSERT INTO {prediction_log.name} ({names}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608


def _row(line: StoredLine) -> tuple[Any, ...]:
    """The values in the order of ``StoredLine``; the features as JSON text, unchanged."""
    values = msgspec.structs.astuple(line)
    return (*values[:_FEATURES], str(values[_FEATURES], "utf-8"), *values[_FEATURES + 1 :])


_COLUMNS = StoredLine.__struct_fields__
_FEATURES = _COLUMNS.index("features")
