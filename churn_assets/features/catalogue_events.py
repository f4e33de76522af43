"""Features of customers' activity: sessions, uses, tickets, events of any kind.

Belongs here: entries of the catalogue whose table is ``events``. Does not belong here: money (``catalogue_payments``).
"""

import narwhals as nw

from churn_assets.features.feature import (
    Feature,
    count,
    newest_age,
    oldest_age,
    quotient,
    ratio,
    share,
    within,
)
from churn_store.clock import DAY_S

SESSION = nw.col("role") == "session"
TICKET = nw.col("role") == "ticket"
USE = nw.col("role") == "use"

NEWEST_OF_KIND = nw.col("newest_of_kind")
"""The newest event of its type. Counted within a window, it gives the number of different types."""

NEWEST_OF_DAY, NEWEST_OF_WEEK = nw.col("newest_of_day"), nw.col("newest_of_week")
"""The newest event of its role and day, or of its role and seven days. Counted for one role, they give its active days or weeks."""

THURSDAY = 3
SATURDAY = 5
WEEKEND = (nw.col("occurred_s") + THURSDAY * DAY_S) % (7 * DAY_S) >= SATURDAY * DAY_S
"""Rows of a Saturday or Sunday, UTC; epoch seconds begin on a Thursday."""

WEEKS = 12

_OLDEST, _NEWEST = nw.col("age_of_first_session_s"), nw.col("age_of_last_session_s")
_SESSIONS = nw.col("sessions_in_90d")
_GAPS = {
    "sessions_in_90d": count(SESSION & within(90)),
    "age_of_last_session_s": newest_age(SESSION & within(90)),
    "age_of_first_session_s": oldest_age(SESSION & within(90)),
}

HABIT_DAYS = 180
_MEMBER_S = nw.col("signed_up_age_s")
_HABIT_S = nw.when(_MEMBER_S < HABIT_DAYS * DAY_S).then(_MEMBER_S).otherwise(_MEMBER_S * 0 + HABIT_DAYS * DAY_S)
"""The time over which a customer's habit is measured: since sign-up, but at most ``HABIT_DAYS``. It is never a literal, by which Polars
would divide in another way than by a column (``quotient``)."""

EVENT_FEATURES = (
    Feature(
        "avg_sessions_7d", "sessions a day over the last week", "events", 7, "sessions per day", "behaviour",
        quotient(nw.col("sessions_in_7d"), 7), {"sessions_in_7d": count(SESSION & within(7))}, role="session",
    ),
    Feature(
        "sessions_30d", "sessions in the last 30 days", "events", 30, "sessions", "behaviour",
        nw.col("sessions_in_30d"), {"sessions_in_30d": count(SESSION & within(30))}, role="session",
    ),
    Feature(
        "sessions_90d", "sessions in the last 90 days", "events", 90, "sessions", "behaviour",
        _SESSIONS, {"sessions_in_90d": count(SESSION & within(90))}, role="session",
    ),
    Feature(
        "session_trend_7d", "share of the last 30 days' sessions that fell into the last 7", "events", 30, "share", "behaviour",
        share(nw.col("sessions_in_7d"), nw.col("sessions_in_30d")),
        {"sessions_in_7d": count(SESSION & within(7)), "sessions_in_30d": count(SESSION & within(30))},
        high=1.0, role="session",
    ),
    Feature(
        "session_trend", "share of the last 90 days' sessions that fell into the last 30", "events", 90, "share", "behaviour",
        share(nw.col("sessions_in_30d"), _SESSIONS),
        {"sessions_in_30d": count(SESSION & within(30)), "sessions_in_90d": count(SESSION & within(90))},
        high=1.0, role="session",
    ),
    Feature(
        "days_since_last_login", "days since the last session within 90 days", "events", 90, "days", "behaviour",
        quotient(_NEWEST, DAY_S), {"age_of_last_session_s": newest_age(SESSION & within(90))},
        nullable=True, high=90.0, role="session",
    ),
    Feature(
        "active_days_30d", "different days (UTC) with a session in the last 30", "events", 30, "days", "behaviour",
        nw.col("active_in_30d"), {"active_in_30d": count(SESSION & NEWEST_OF_DAY & within(30))}, high=30.0, role="session",
    ),
    Feature(
        "active_days_90d", "different days (UTC) with a session in the last 90", "events", 90, "days", "behaviour",
        nw.col("active_in_90d"), {"active_in_90d": count(SESSION & NEWEST_OF_DAY & within(90))}, high=90.0, role="session",
    ),
    Feature(
        "active_weeks_84d", "share of the last 12 weeks with a session", "events", WEEKS * 7, "share", "behaviour",
        quotient(nw.col("active_weeks_in_84d"), WEEKS),
        {"active_weeks_in_84d": count(SESSION & NEWEST_OF_WEEK & within(WEEKS * 7))}, high=1.0, role="session",
    ),
    Feature(
        "mean_gap_90d", "mean days between one session and the next in the last 90 days", "events", 90, "days", "behaviour",
        nw.when(_SESSIONS > 1).then((_OLDEST - _NEWEST) / ((_SESSIONS - 1) * DAY_S)), _GAPS, nullable=True, high=90.0, role="session",
    ),
    Feature(
        "silence_90d", "time since the last session, in mean gaps between sessions of the last 90 days", "events", 90,
        "mean gaps", "behaviour", ratio(_NEWEST * (_SESSIONS - 1), _OLDEST - _NEWEST), _GAPS, nullable=True, role="session",
    ),
    Feature(
        "weekend_share_90d", "share of the last 90 days' sessions that fell on a Saturday or Sunday (UTC)", "events", 90,
        "share", "behaviour", ratio(nw.col("weekend_sessions_in_90d"), _SESSIONS),
        {
            "weekend_sessions_in_90d": count(SESSION & WEEKEND & within(90)),
            "sessions_in_90d": count(SESSION & within(90)),
        },
        nullable=True, high=1.0, role="session",
    ),
    Feature(
        "events_30d", "events of any kind in the last 30 days", "events", 30, "events", "behaviour",
        nw.col("events_in_30d"), {"events_in_30d": count(within(30))},
    ),
    Feature(
        "events_90d", "events of any kind in the last 90 days", "events", 90, "events", "behaviour",
        nw.col("events_in_90d"), {"events_in_90d": count(within(90))},
    ),
    Feature(
        "event_rate_180d", "events of any kind a day over the last 180 days, or since sign-up if that is later", "events", HABIT_DAYS,
        "events per day", "behaviour", share(nw.col("events_in_180d") * DAY_S, _HABIT_S),
        {"events_in_180d": count(within(HABIT_DAYS))},
    ),
    Feature(
        "event_types_30d", "different types of events in the last 30 days", "events", 30, "types", "behaviour",
        nw.col("types_in_30d"), {"types_in_30d": count(NEWEST_OF_KIND & within(30))},
    ),
    Feature(
        "event_types_90d", "different types of events in the last 90 days", "events", 90, "types", "behaviour",
        nw.col("types_in_90d"), {"types_in_90d": count(NEWEST_OF_KIND & within(90))},
    ),
    Feature(
        "feature_uses_30d", "uses of a product feature in the last 30 days", "events", 30, "uses", "behaviour",
        nw.col("uses_in_30d"), {"uses_in_30d": count(USE & within(30))}, role="use",
    ),
    Feature(
        "uses_per_session_90d", "uses of a product feature for each session of the last 90 days", "events", 90,
        "uses per session", "behaviour", ratio(nw.col("uses_in_90d"), _SESSIONS),
        {"uses_in_90d": count(USE & within(90)), "sessions_in_90d": count(SESSION & within(90))}, nullable=True, role="session",
    ),
    Feature(
        "tickets_30d", "support tickets opened in the last 30 days", "events", 30, "tickets", "behaviour",
        nw.col("tickets_in_30d"), {"tickets_in_30d": count(TICKET & within(30))}, role="ticket",
    ),
    Feature(
        "tickets_90d", "support tickets opened in the last 90 days", "events", 90, "tickets", "behaviour",
        nw.col("tickets_in_90d"), {"tickets_in_90d": count(TICKET & within(90))}, role="ticket",
    ),
    Feature(
        "days_since_last_ticket", "days since the last support ticket within 90 days", "events", 90, "days", "behaviour",
        quotient(nw.col("age_of_last_ticket_s"), DAY_S), {"age_of_last_ticket_s": newest_age(TICKET & within(90))},
        nullable=True, high=90.0, role="ticket",
    ),
)  # fmt: skip
