"""The alerts about drift: opened while the newest window moves or can't be compared, closed by themselves when that is over.

A cause stays the same while its release drifts, whichever features do. Belongs here: which alert a window is worth. Does not belong here: the
table of alerts (``churn_store.alerts.log``), and the state of a window (``judged_windows``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from churn_assets.monitoring.drift_history import movement
from churn_store.alerts.log import Alert, close_alerts, open_alerts, raise_alerts
from churn_store.monitoring.facts import DriftWindow
from churn_store.releases.lifecycle import SHOWN_DIGITS

UNDER: Final = "drift/"
"""Every cause of an alert about drift begins with this."""

WHOSE: Final[dict[str, str]] = {"snapshot": "the customers at risk", "served": "the served requests"}


def drift_cause(of: str, release: str) -> str:
    """The cause of a drift alert."""
    return f"{UNDER}{of}/{release}"


def unknown_cause(of: str) -> str:
    """The cause of the alert that windows can't be compared."""
    return f"{UNDER}unknown/{of}"


def settle_alerts(
    engine: sa.Engine, newest: Sequence[DriftWindow], failed: Mapping[str, str], *, release: str, now_s: int
) -> None:
    """Open what the newest windows are worth an alert, and close what is over.

    A window with too few rows closes nothing, as it shows nothing.

    Args:
        engine: the serving database.
        newest: newest window of all customers, of the snapshot and of served requests.
        failed: why windows could not be compared, in a sentence, by what they are of; empty where all could.
        release: digest of the release that serves.
        now_s: time by the platform's clock.
    """
    seen = [_drift(window) for window in newest if window.state == "attention"]
    seen += [_unknown(of, sentence, release) for of, sentence in failed.items()]
    raise_alerts(engine, seen, now_s=now_s)
    for window in newest:
        if window.state == "fine":
            because = f"no drift in {window.window}: {window.verdict}"
            close_alerts(engine, [drift_cause(window.of, release)], because=because, now_s=now_s)
        if window.of not in failed:
            close_alerts(engine, [unknown_cause(window.of)], because=f"{window.window} was compared again", now_s=now_s)
    former = [
        one.alert.cause
        for one in open_alerts(engine, under=UNDER)
        if one.alert.kind == "drift" and one.alert.release != release
    ]
    close_alerts(engine, former, because=f"release {release[:SHOWN_DIGITS]} serves now", now_s=now_s)


def _drift(window: DriftWindow) -> Alert:
    since = f", since {window.since}" if window.since else ""
    return Alert(
        drift_cause(window.of, window.release),
        "drift",
        "warning",
        f"{WHOSE[window.of]} of {window.window} have moved away from the baseline{since}: {window.verdict}; expected no feature. Look at "
        "`churn open drift`; a retraining is considered by itself",
        window.window,
        window.release,
        {"features": window.drifted, "unusual": window.unusual, "movement": movement(window.features)},
    )


def _unknown(of: str, sentence: str, release: str) -> Alert:
    return Alert(unknown_cause(of), "unknown", "critical", sentence, None, release)
