"""The audit: who changed something, and who was refused, as rows of ``audit_log``.

A call that changes something has a row, with its status. A refusal of a known key has a row, with its reason. Requests beyond a key's
limit are one row for each key and minute, and refusals without a usable key one for each address and minute: anybody could fill the
disk otherwise. A row waits in memory until the next write, off the answer's path; what does not fit is counted, and health says so.

Belongs here: the queue and its rows. Does not belong here: which calls change something (``http.lanes``), and how long rows are kept
(``churn_store.database.retention``).
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from prometheus_client import Counter as Metric

from churn_store.database.schema import audit_log

What = Literal["change", "refused", "limited", "stranger"]

MOST_WAITING: Final = 10_000
"""Most rows that wait for the database: about 5 MB."""

TOGETHER: Final = 500
"""Rows in a transaction."""

MINUTE_S: Final = 60.0

LONGEST_ADDRESS: Final = 64


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row. Nothing of it was chosen by the caller but its key and its address.

    Attributes:
        at_s: time of the call, or of the last one of a count, by the wall clock.
        what: ``change``, ``refused``, ``limited`` (a count) or ``stranger`` (a count, without a usable key).
        route: template of the address, such as ``/outcomes``.
        status: status of the answer; of a count the most frequent one.
        requests: number of requests; 1 but for counts.
        request_id: id of the request in the access log; ``None`` for counts.
    """

    at_s: float
    what: What
    key_id: str | None = None
    name: str | None = None
    address: str
    method: str | None = None
    route: str | None = None
    status: int | None = None
    reason: str | None = None
    requests: int = 1
    request_id: str | None = None


class AuditTrail:
    """Collects rows, and writes them when it is asked to.

    Args:
        engine: the serving database.
        name_of: function from a key's id to the name of its owner.
        now_s: the wall clock.
        dropped: metric that counts rows that did not fit.
    """

    def __init__(
        self, engine: sa.Engine, name_of: Callable[[str], str], now_s: Callable[[], float], dropped: Metric
    ) -> None:
        self._engine = engine
        self._name_of = name_of
        self._now_s = now_s
        self._dropped = dropped
        self._lock = threading.Lock()
        self._waiting: deque[AuditRow] = deque()
        self._limited: dict[str, tuple[float, AuditRow]] = {}
        self.is_dropping = False

    def note(
        self, *, key_id: str, address: str, method: str, route: str, status: int, reason: str | None, request_id: str
    ) -> None:
        """Note a call of a known key that changes something, or was refused for a reason."""
        row = AuditRow(
            at_s=self._now_s(),
            what="change" if reason is None else "limited" if reason == "limit" else "refused",
            key_id=key_id,
            name=self._name_of(key_id),
            address=address[:LONGEST_ADDRESS],
            method=method,
            route=route,
            status=status,
            reason=reason,
            request_id=request_id,
        )
        with self._lock:
            if row.what == "limited":
                self._count(row)
            else:
                self._put(row)

    def note_strangers(self, address: str, since: datetime, statuses: Counter[int]) -> None:
        """Note what an address without a usable key was refused since a time."""
        [(status, _)] = statuses.most_common(1)
        row = AuditRow(
            at_s=max(self._now_s(), since.timestamp()),
            what="stranger",
            address=address[:LONGEST_ADDRESS],
            status=status,
            requests=statuses.total(),
        )
        with self._lock:
            self._put(row)

    def write(self) -> None:
        """Write what waits, and the counts whose minute is over.

        Raises:
            SQLAlchemyError: if the database takes nothing now; what was not committed waits on.
        """
        self._close_counts(self._now_s() - MINUTE_S)
        while self._waiting:
            rows = [self._waiting[place] for place in range(min(len(self._waiting), TOGETHER))]
            with self._engine.begin() as connection:
                connection.execute(audit_log.insert(), [msgspec.structs.asdict(row) for row in rows])
            for _ in rows:
                self._waiting.popleft()
            self.is_dropping = False

    def write_last(self) -> None:
        """Write everything at the end of the process, counts included."""
        self._close_counts(float("inf"))
        self.write()

    def words(self) -> list[str]:
        """What is wrong with the audit now."""
        return ["rows of the audit are lost: the database takes none, and too many wait"] if self.is_dropping else []

    def _put(self, row: AuditRow) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._dropped.inc()
            self.is_dropping = True
            return
        self._waiting.append(row)

    def _count(self, row: AuditRow) -> None:
        key_id = row.key_id or ""
        began_s, former = self._limited.get(key_id, (row.at_s, None))
        requests = 1 if former is None else former.requests + 1
        self._limited[key_id] = (began_s, msgspec.structs.replace(row, requests=requests, request_id=None))

    def _close_counts(self, before_s: float) -> None:
        with self._lock:
            for key_id in [key_id for key_id, (began_s, _) in self._limited.items() if began_s <= before_s]:
                self._put(self._limited.pop(key_id)[1])


def entries(engine: sa.Engine, *, limit: int, before: int | None = None, key_id: str | None = None) -> list[sa.Row[Any]]:
    """Rows of the audit, the newest first.

    Args:
        engine: the serving database.
        limit: most rows.
        before: id below which the rows are; ``None`` for the newest.
        key_id: id of the key that they are about; ``None`` for all.
    """
    asked = audit_log.select().order_by(audit_log.c.id.desc()).limit(limit)
    if before is not None:
        asked = asked.where(audit_log.c.id < before)
    if key_id is not None:
        asked = asked.where(audit_log.c.key_id == key_id)
    with engine.connect() as connection:
        return list(connection.execute(asked))
