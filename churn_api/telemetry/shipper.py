"""Moves complete segments of the spool into the table ``prediction_log``.

A segment is deleted only after the commit that holds its last line, and a line that is already in the table is left alone. So a
shipper that dies anywhere, or ships a segment again, neither loses nor doubles a prediction.

Belongs here: from lines to rows. Does not belong here: files and locks (``spool``).
"""

import logging
import threading
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.metrics import Metrics, ShipFailure
from churn_api.telemetry.prediction_log import StoredLine, decode_line
from churn_api.telemetry.spool import Spool, SpoolSegment
from churn_store.database.schema import prediction_log

BATCH = 5_000
"""Rows per commit: enough that each page of an index is written once for several rows."""

TOGETHER = 100
"""Rows per statement. With one statement per row, the GIL would change between this thread and the event loop at every row, which
costs the requests more than the inserts themselves."""

GIL_YIELD_S = 0.001
"""Sleep between statements so that the event loop gets the GIL; otherwise only every 5 ms while a segment is shipped."""


class Shipper:
    """Ships what the spool holds.

    Args:
        spool: spool to ship from.
        engine: the serving database.
        metrics: metrics that count shipped, torn and refused lines.
    """

    def __init__(self, spool: Spool, engine: sa.Engine, metrics: Metrics) -> None:
        self._spool = spool
        self._engine = engine
        self._metrics = metrics
        self._mark = "?" if engine.dialect.name == "sqlite" else "%s"
        self._is_failing = False

    def ship(self) -> None:
        """Ship all complete segments: this worker's own lines and those of dead workers.

        Raises:
            SQLAlchemyError: if the database does not take them now; lines that were not committed stay in the spool.
        """
        self._spool.complete()
        try:
            for file in self._spool.segments():
                with self._spool.adopt(file) as segment:
                    if segment is not None:
                        self._ship_segment(segment)
            self._is_failing = False
        finally:
            self._spool.measure()
            self._metrics.spool_bytes.set(self._spool.waiting_bytes)

    def ship_the_rest(self, at_most_s: float) -> None:
        """Ship what is left at the end of the process, within a time limit; the spool keeps the rest for the next start."""
        last = threading.Thread(target=self._try_to_ship, name="last shipment", daemon=True)
        last.start()
        last.join(at_most_s)
        if self._spool.waiting_bytes:
            say("predictions_left_in_spool", logging.WARNING, waiting_bytes=self._spool.waiting_bytes)

    def failed(self, error: BaseException) -> None:
        """Count a failed attempt, and log the first of a series."""
        reason: ShipFailure = "database" if isinstance(error, SQLAlchemyError) else "unexpected"
        self._metrics.ship_failures.labels(reason).inc()
        if not self._is_failing:
            say("prediction_log_not_shipped", logging.WARNING, error=where_raised(error))
        self._is_failing = True

    def _try_to_ship(self) -> None:
        try:
            self.ship()
        except Exception as error:
            self.failed(error)

    def _ship_segment(self, segment: SpoolSegment) -> None:
        refused: list[bytes] = []
        for start in range(0, len(segment.lines), BATCH):
            refused += self._insert_lines(segment.lines[start : start + BATCH])
        if refused:
            with open(segment.file.with_suffix(".refused"), "wb") as file:
                file.write(b"\n".join(refused) + b"\n")
            self._metrics.log_refused.inc(len(refused))
            say("prediction_log_lines_refused", logging.ERROR, lines=len(refused), file=segment.file.stem + ".refused")
        segment.file.unlink()
        self._metrics.log_torn.inc(int(segment.torn))
        self._metrics.log_shipped.inc(len(segment.lines) - len(refused))

    def _insert_lines(self, lines: Sequence[bytes]) -> list[bytes]:
        """Insert in one transaction what can be inserted.

        Returns:
            The lines that no retry would help: those of another form, or refused for a value in them.
        """
        refused: list[bytes] = []
        try:
            with self._engine.begin() as connection:
                for start in range(0, len(lines), TOGETHER):
                    rows = []
                    for line in lines[start : start + TOGETHER]:
                        try:
                            rows.append(_row(decode_line(line)))
                        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                            refused.append(line)
                    if rows:
                        connection.exec_driver_sql(self._statement(len(rows)), tuple(chain(*rows)))
                    time.sleep(GIL_YIELD_S)
        except (DataError, IntegrityError):
            if len(lines) == 1:
                return list(lines)
            return [line for one in lines for line in self._insert_lines([one])]
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
