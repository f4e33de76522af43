"""Which alerts follow from the verdicts: one for each release, arm and segment that has degraded, open until it is over.

What can't be judged closes nothing: a degradation is over once a snapshot says so, or once the release serves no more.

Belongs here: causes and their words. Does not belong here: keeping them (``churn_store.alerts``).
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from churn_store.alerts.log import LONGEST_CAUSE, Alert, close_alerts, open_alerts, raise_alerts
from churn_store.monitoring.facts import SnapshotPerformance, Verdict

UNDER = "degradation/"
"""What the causes of degradations begin with."""

UNJUDGED = "performance/unknown"
"""Cause of the alert that a snapshot with predictions could not be judged."""

SHOWN_DIGITS = 12


def cause_of(one: SnapshotPerformance) -> str:
    """The cause of a degradation; the same at each snapshot."""
    part = one.arm or one.segment
    return f"{UNDER}{one.release[:SHOWN_DIGITS]}{f'/{part}' if part else ''}"[:LONGEST_CAUSE]


def tell(
    engine: sa.Engine,
    found: Sequence[SnapshotPerformance],
    verdict: Verdict,
    *,
    serving: Collection[str],
    now_s: int,
) -> tuple[list[str], int]:
    """Open what is new, repeat what lasts, close what is over.

    Args:
        engine: the serving database.
        found: what is known of the snapshots, the oldest first.
        verdict: verdict over the newest.
        serving: digests of the releases that serve now.
        now_s: time by the platform's clock, in epoch seconds.

    Returns:
        The causes that are open now, and how many were closed.

    Raises:
        SQLAlchemyError: if the database does not answer.
    """
    newest = {cause_of(one): one for one in found if one.release in serving and one.state != "unknown"}  # the last one wins
    degraded = {cause: one for cause, one in newest.items() if one.state == "attention"}
    alerts = [_alert(cause, one) for cause, one in degraded.items()]
    has_unjudged = verdict.state == "unknown" and any(
        one.release and one.snapshot == verdict.snapshot and one.state == "unknown" for one in found
    )
    if has_unjudged:
        alerts.append(
            Alert(UNJUDGED, "unknown", "warning", verdict.sentence, snapshot=verdict.snapshot, release=verdict.release)
        )
    raise_alerts(engine, alerts, now_s=now_s)
    opened = {one.alert.cause: one.alert for one in open_alerts(engine, under=UNDER)}
    over = [cause for cause in opened if cause in newest and cause not in degraded]
    replaced = [cause for cause, alert in opened.items() if alert.release not in serving]
    closed = close_alerts(engine, over, because="its log loss is again as the gate's figure promises", now_s=now_s)
    closed += close_alerts(engine, replaced, because="the release serves no more", now_s=now_s)
    if not has_unjudged:
        closed += close_alerts(engine, [UNJUDGED], because="the newest mature snapshot was judged", now_s=now_s)
    return sorted(degraded), closed


def _alert(cause: str, one: SnapshotPerformance) -> Alert:
    part = one.arm or one.segment
    return Alert(
        cause,
        "degradation",
        "warning" if part else "critical",
        f"{f'Among {part}: ' if part else ''}{one.sentence}",
        snapshot=one.snapshot,
        release=one.release,
        details={name: measure.value for name, measure in one.measures.items()},
    )
