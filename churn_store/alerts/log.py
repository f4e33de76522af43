"""The alerts in the serving database: one open row for each cause, closed when the cause is over.

Belongs here: opening, repeating, closing and reading. Does not belong here: what is worth an alert (the stages of the graph), and how
people hear of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from churn_store.database.schema import alerts
from churn_store.database.turns import take_turns
from churn_store.errors import InputError

ADVISORY_LOCK: Final = 0x616C657274  # "alert"

LONGEST_CAUSE: Final = 200

Kind = Literal["quality", "drift", "degradation", "skew", "unknown"]
"""What an alert is about; ``unknown`` where a detector could not judge."""

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Alert:
    """What people must hear of.

    Attributes:
        cause: name of the cause, the same each time that it is seen, such as ``quality/events/2026-01-01/vanished``. No customer data.
        sentence: what was found, what was expected, and what to do.
        snapshot: key of the snapshot or period that it is about, if it is about one.
        release: digest of the release that it is about, if it is about one.
        details: figures by name.
    """

    cause: str
    kind: Kind
    severity: Severity
    sentence: str
    snapshot: str | None = None
    release: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LoggedAlert:
    """An alert as it is kept.

    Attributes:
        id: its number.
        occurrence: how often its cause has begun, from 1.
        first_s: when it was first seen, in epoch seconds by the platform's clock.
        last_s: when it was last seen.
        closed_s: when it was over; ``None`` while it is open.
        closed_because: why it is over, in words.
    """

    id: int
    occurrence: int
    alert: Alert
    first_s: int
    last_s: int
    closed_s: int | None
    closed_because: str


def raise_alerts(engine: sa.Engine, seen: Collection[Alert], *, now_s: int) -> list[LoggedAlert]:
    """Open an alert for each cause, or say of the open one that its cause was seen again, with the newest sentence.

    All of them are committed together when this returns. Two writers take turns, so that a cause has one open alert.

    Args:
        engine: the serving database.
        seen: alerts, each cause once.
        now_s: time by the platform's clock.

    Raises:
        InputError: if a cause is empty, too long or named twice.
    """
    _require_causes([alert.cause for alert in seen])
    written = []
    with engine.connect() as connection:
        take_turns(connection, ADVISORY_LOCK)
        newest = _newest(connection, [alert.cause for alert in seen])
        for alert in seen:
            former = newest.get(alert.cause)
            values = {
                "kind": alert.kind, "severity": alert.severity, "sentence": alert.sentence, "snapshot": alert.snapshot,
                "release": alert.release, "details": dict(alert.details or {}),
            }  # fmt: skip
            if former is not None and former.closed_s is None:
                last_s = max(now_s, former.last_s)
                connection.execute(alerts.update().where(alerts.c.id == former.id).values(**values, last_s=last_s))
                written.append(LoggedAlert(former.id, former.occurrence, alert, former.first_s, last_s, None, ""))
                continue
            occurrence = 1 if former is None else former.occurrence + 1
            row = alerts.insert().values(**values, cause=alert.cause, occurrence=occurrence, first_s=now_s, last_s=now_s)
            [number] = connection.execute(row.returning(alerts.c.id)).scalars()
            written.append(LoggedAlert(number, occurrence, alert, now_s, now_s, None, ""))
        connection.commit()
    return written


def close_alerts(engine: sa.Engine, causes: Collection[str], *, because: str, now_s: int) -> int:
    """Close the open alerts of some causes.

    Args:
        engine: the serving database.
        causes: causes that are over; one without an open alert is nothing to do.
        because: why they are over, in words.
        now_s: time by the platform's clock.

    Returns:
        The number of alerts that were closed.
    """
    with engine.connect() as connection:
        take_turns(connection, ADVISORY_LOCK)
        mine = alerts.c.cause.in_(list(causes)) & alerts.c.closed_s.is_(None)
        closed = connection.execute(alerts.update().where(mine).values(closed_s=now_s, closed_because=because)).rowcount
        connection.commit()
    return closed


def open_alerts(engine: sa.Engine, *, under: str = "") -> list[LoggedAlert]:
    """The open alerts, the oldest first.

    Args:
        engine: the serving database.
        under: what their causes begin with.
    """
    return _read(engine, alerts.c.closed_s.is_(None) & alerts.c.cause.startswith(under, autoescape=True))


def newest_alerts(engine: sa.Engine, *, limit: int) -> list[LoggedAlert]:
    """Open and closed alerts, the one that was opened last first."""
    asked = alerts.select().order_by(alerts.c.id.desc()).limit(limit)
    with engine.connect() as connection:
        return [_logged(row) for row in connection.execute(asked)]


def _read(engine: sa.Engine, which: sa.ColumnElement[bool]) -> list[LoggedAlert]:
    with engine.connect() as connection:
        return [_logged(row) for row in connection.execute(alerts.select().where(which).order_by(alerts.c.id))]


def _newest(connection: sa.Connection, causes: Collection[str]) -> dict[str, sa.Row[Any]]:
    asked = alerts.select().where(alerts.c.cause.in_(list(causes))).order_by(alerts.c.occurrence)
    return {row.cause: row for row in connection.execute(asked)}


def _logged(row: sa.Row[Any]) -> LoggedAlert:
    alert = Alert(row.cause, row.kind, row.severity, row.sentence, row.snapshot, row.release, row.details)
    return LoggedAlert(row.id, row.occurrence, alert, row.first_s, row.last_s, row.closed_s, row.closed_because)


def _require_causes(causes: Collection[str]) -> None:
    for cause in causes:
        if not cause or len(cause) > LONGEST_CAUSE:
            raise InputError(f"the cause of an alert has {len(cause)} characters; expected 1 to {LONGEST_CAUSE}")
    if twice := {cause for cause in causes if list(causes).count(cause) > 1}:
        raise InputError(f"{', '.join(sorted(twice))} is the cause of two alerts; expected each cause once")
