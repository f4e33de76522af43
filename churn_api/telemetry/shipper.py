"""Moves complete segments of the spool into the table ``prediction_log``.

A segment is deleted only after the commit that holds its last line, and a line that is already in the table is left alone. So a
shipper that dies anywhere, or ships a segment again, neither loses nor doubles a prediction. A segment that can't be shipped does not
stop the others: it stays, and health names it.

Belongs here: from segments to rows. Does not belong here: files and locks (``spool``), and single lines (``log_rows``).
"""

import logging
import os
import threading
import time

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.log_rows import BATCH, LogRows
from churn_api.telemetry.metrics import Metrics, ShipFailure
from churn_api.telemetry.spool import REFUSED, Spool, SpoolSegment

NAMED = 3
"""So many files are named in words."""

HELD_FOR_S = 60.0
"""While the database takes no segment at all, a new one is completed this rarely, so that the spool does not fill with small files."""


class Shipper:
    """Ships what the spool holds.

    Args:
        spool: spool to ship from.
        engine: the serving database.
        metrics: metrics that count shipped, torn and refused lines.
    """

    def __init__(self, spool: Spool, engine: sa.Engine, metrics: Metrics) -> None:
        self._spool = spool
        self._rows = LogRows(engine)
        self._metrics = metrics
        self._is_failing = False
        self._stuck: dict[str, str] = {}
        self._aside: list[str] = []
        self._held_until = 0.0
        self._turn = threading.Lock()

    def ship(self) -> None:
        """Ship all complete segments: this worker's own lines and those of dead workers.

        Raises:
            SQLAlchemyError: if the database takes none of them now; lines that were not committed stay in the spool.
        """
        self.flush()

    def flush(self) -> int:
        """Ship as ``ship`` does, and return the number of predictions that were shipped.

        Raises:
            SQLAlchemyError: as ``ship`` does.
        """
        with self._turn:
            try:
                self._spool.sweep()
                self._rows.require_table()  # before a segment is completed, so that few large ones wait for a database that is away
                if time.monotonic() >= self._held_until:
                    self._spool.complete()
                shipped = self._ship_all()
                self._is_failing = False
            finally:
                self._spool.measure()
                self._aside = [file.name for file in self._spool.put_aside()]
                self._metrics.spool_bytes.set(self._spool.waiting_bytes)
        return shipped

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

    def words(self) -> list[str]:
        """The files of the spool that somebody has to look at."""
        said = []
        if self._stuck:
            named = ", ".join(f"{name} ({reason})" for name, reason in list(self._stuck.items())[:NAMED])
            said.append(f"{len(self._stuck)} in the spool can't be moved into the database: {named}")
        if self._aside:
            said.append(f"lines that the database does not take lie in the spool: {', '.join(self._aside[:NAMED])}")
        return said

    def _try_to_ship(self) -> None:
        try:
            self.ship()
        except Exception as error:
            self.failed(error)

    def _ship_all(self) -> int:
        """Ship every complete segment; the number of predictions that were shipped."""
        stuck: dict[str, str] = {}
        segments, shipped, refusal = 0, 0, None
        for file in self._spool.segments():
            try:
                with self._spool.adopt(file) as segment:
                    if segment is not None:
                        shipped += self._ship_segment(segment)
                        segments += 1
            except SQLAlchemyError as error:
                self._rows.require_table()  # a database that went away stops here; else it may be this segment's fault
                stuck[file.name], refusal = type(error).__name__, error
            except OSError as error:
                stuck[file.name] = error.strerror or type(error).__name__
        for name in stuck.keys() - self._stuck.keys():
            say("prediction_log_segment_stuck", logging.ERROR, file=name, reason=stuck[name])
        self._metrics.ship_failures.labels("segment").inc(len(stuck))
        self._stuck = stuck
        if refusal is not None and not segments:
            self._held_until = time.monotonic() + HELD_FOR_S
            raise refusal
        self._held_until = 0.0
        return shipped

    def _ship_segment(self, segment: SpoolSegment) -> int:
        """Ship a segment; the number of predictions in it that were shipped."""
        refused = [segment.torn] if segment.torn else []
        for start in range(0, len(segment.lines), BATCH):
            refused += self._rows.insert(segment.lines[start : start + BATCH])
        if refused:
            aside = segment.file.with_suffix(REFUSED)
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(b"\n".join(refused) + b"\n")
            say("prediction_log_lines_refused", logging.ERROR, lines=len(refused), file=aside.name)
        segment.file.unlink()
        self._metrics.log_refused.inc(len(refused) - bool(segment.torn))
        self._metrics.log_torn.inc(bool(segment.torn))
        shipped = len(segment.lines) - len(refused) + bool(segment.torn)
        self._metrics.log_shipped.inc(shipped)
        return shipped
