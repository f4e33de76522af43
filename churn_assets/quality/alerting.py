"""The alerts of quality: one for each kind of fault that blocks a period of a table, and one for each table that is overdue.

The alerts follow the findings: what blocks now is open, and everything else under ``quality/`` is closed. So a corrected or accepted period
closes its alert, whoever made it, and a database that was away catches up.

Belongs here: which alerts there should be. Does not belong here: the log of alerts (``churn_store.alerts``).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import sqlalchemy as sa

from churn_assets.periods import Calendar, text
from churn_store.alerts.log import Alert, close_alerts, open_alerts, raise_alerts
from churn_store.mapping.tables import Table
from churn_store.monitoring.facts import QualityFinding

UNDER: Final = "quality/"
"""What the causes of these alerts begin with."""

OVERDUE: Final = "overdue"


def alerts_of(blocking: Sequence[QualityFinding], overdue: Sequence[QualityFinding]) -> list[Alert]:
    """The alerts that should be open.

    Args:
        blocking: findings that block; those of one table, period and kind are one alert.
        overdue: tables that are overdue.
    """
    sentences: dict[tuple[str, str, str], list[str]] = {}
    for one in (*blocking, *overdue):
        sentences.setdefault((one.table, one.period, one.kind), []).append(one.sentence)
    return [
        Alert(
            cause=f"{UNDER}{table}/{period}/{kind}",
            kind="quality",
            severity="warning" if kind == OVERDUE else "critical",
            sentence=" ".join(said),
            snapshot=period,
            details={"table": table, "kind": kind, "findings": len(said)},
        )
        for (table, period, kind), said in sentences.items()
    ]


def overdue_tables(
    calendar: Calendar,
    today: date,
    present: Mapping[Table, Collection[str]],
    *,
    days: int,
    refused: Collection[tuple[str, str]],
) -> list[QualityFinding]:
    """Tables that lack a period whose end is more than some days ago, and that no check has refused: the oldest such period of each.

    Args:
        calendar: calendar of the periods.
        today: today's date by the platform's clock.
        present: periods that each raw table has; one that has none yet is not overdue, as the first ingest is still to come.
        days: days after the end of a period from which on it is overdue.
        refused: tables and periods that something blocks, of which another alert tells.
    """
    ended = calendar.complete(today - timedelta(days=days))
    found = []
    for table, periods in present.items():
        lacking = [text(key) for key in ended if text(key) not in periods and (table, text(key)) not in refused]
        if periods and lacking:
            end = calendar.next(date.fromisoformat(lacking[0]))
            others = f" (and {len(lacking) - 1} later periods)" if len(lacking) > 1 else ""
            found.append(
                QualityFinding(
                    table=table,
                    period=lacking[0],
                    kind=OVERDUE,
                    column=None,
                    blocking=True,
                    sentence=f"{table} {lacking[0]}{others} is not ingested; expected within {days} days of its end on {end}, and today is "
                    f"{today}. Look at the newest run of the job ingest, and at the feed.",
                )
            )
    return found


def follow(engine: sa.Engine, wanted: Sequence[Alert], *, now_s: int) -> tuple[int, int]:
    """Open the alerts that should be open, and close the others under ``quality/``.

    Args:
        engine: the serving database.
        wanted: alerts that should be open.
        now_s: time by the platform's clock.

    Returns:
        The number of alerts opened and the number closed.
    """
    standing = {one.alert.cause: one.alert for one in open_alerts(engine, under=UNDER)}
    changed = [one for one in wanted if one.cause not in standing or standing[one.cause].sentence != one.sentence]
    if changed:
        raise_alerts(engine, changed, now_s=now_s)
    over = standing.keys() - {one.cause for one in wanted}
    closed = (
        close_alerts(engine, over, because="the period is right now, or what was found is accepted", now_s=now_s)
        if over
        else 0
    )
    return sum(one.cause not in standing for one in wanted), closed
