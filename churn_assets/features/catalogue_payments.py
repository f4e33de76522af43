"""Features of payments and of problems with them.

Belongs here: entries of the catalogue whose table is ``payments``, including those that count support tickets together with
payments. Does not belong here: activity (``catalogue_events``).
"""

import narwhals as nw

from churn_assets.features.catalogue_events import TICKET
from churn_assets.features.feature import Feature, count, newest_age, quotient, ratio, share, total, within
from churn_store.clock import DAY_S

SETTLED = nw.col("status") == "settled"
FAILED = nw.col("status") == "failed"
REFUNDED = nw.col("status") == "refunded"
LATE = nw.col("occurred_s") - nw.col("due_s") > DAY_S
"""Payments that came more than a day after they were due."""

PRICED = nw.col("list_cents") > 0
TROUBLED = FAILED | REFUNDED

PAYMENT_FEATURES = (
    Feature(
        "failed_payments_30d", "failed payments in the last 30 days", "payments", 30, "payments", "behaviour",
        nw.col("failed_in_30d"), {"failed_in_30d": count(FAILED & within(30))},
    ),
    Feature(
        "failed_payments_90d", "failed payments in the last 90 days", "payments", 90, "payments", "behaviour",
        nw.col("failed_in_90d"), {"failed_in_90d": count(FAILED & within(90))},
    ),
    Feature(
        "failed_share_90d", "share of the last 90 days' payments that failed", "payments", 90, "share", "behaviour",
        share(nw.col("failed_in_90d"), nw.col("failed_in_90d") + nw.col("settled_in_90d")),
        {"failed_in_90d": count(FAILED & within(90)), "settled_in_90d": count(SETTLED & within(90))}, high=1.0,
    ),
    Feature(
        "late_share_180d", "share of the last 180 days' settled payments that came more than a day after they were due",
        "payments", 180, "share", "behaviour", ratio(nw.col("late_in_180d"), nw.col("due_in_180d")),
        {
            "late_in_180d": count(SETTLED & LATE & within(180)),
            "due_in_180d": count(SETTLED & ~nw.col("due_s").is_null() & within(180)),
        },
        nullable=True, high=1.0, needs=("due_s",),
    ),
    Feature(
        "total_spend_7d", "settled payments of the last 7 days", "payments", 7, "cents", "behaviour",
        nw.col("spend_in_7d_cents"), {"spend_in_7d_cents": total("amount_cents", SETTLED & within(7))},
    ),
    Feature(
        "total_spend_30d", "settled payments of the last 30 days", "payments", 30, "cents", "behaviour",
        nw.col("spend_in_30d_cents"), {"spend_in_30d_cents": total("amount_cents", SETTLED & within(30))},
    ),
    Feature(
        "total_spend_90d", "settled payments of the last 90 days", "payments", 90, "cents", "behaviour",
        nw.col("spend_in_90d_cents"), {"spend_in_90d_cents": total("amount_cents", SETTLED & within(90))},
    ),
    Feature(
        "total_spend_180d", "settled payments of the last 180 days", "payments", 180, "cents", "behaviour",
        nw.col("spend_in_180d_cents"), {"spend_in_180d_cents": total("amount_cents", SETTLED & within(180))},
    ),
    Feature(
        "spend_trend", "share of the last 90 days' spend that fell into the last 30", "payments", 90, "share", "behaviour",
        share(nw.col("spend_in_30d_cents"), nw.col("spend_in_90d_cents")),
        {
            "spend_in_30d_cents": total("amount_cents", SETTLED & within(30)),
            "spend_in_90d_cents": total("amount_cents", SETTLED & within(90)),
        },
        high=1.0,
    ),
    Feature(
        "refunds_30d", "refunds in the last 30 days", "payments", 30, "refunds", "behaviour",
        nw.col("refunds_in_30d"), {"refunds_in_30d": count(REFUNDED & within(30))},
    ),
    Feature(
        "payments_90d", "settled payments in the last 90 days", "payments", 90, "payments", "behaviour",
        nw.col("settled_in_90d"), {"settled_in_90d": count(SETTLED & within(90))},
    ),
    Feature(
        "payments_180d", "settled payments in the last 180 days", "payments", 180, "payments", "behaviour",
        nw.col("settled_in_180d"), {"settled_in_180d": count(SETTLED & within(180))},
    ),
    Feature(
        "mean_payment_180d", "average settled payment of the last 180 days", "payments", 180, "cents", "behaviour",
        share(nw.col("spend_in_180d_cents"), nw.col("settled_in_180d")),
        {
            "settled_in_180d": count(SETTLED & within(180)),
            "spend_in_180d_cents": total("amount_cents", SETTLED & within(180)),
        },
    ),
    Feature(
        "paid_of_list_180d", "what the last 180 days' settled payments came to, as a share of their list price", "payments",
        180, "share", "behaviour", ratio(nw.col("priced_in_180d_cents"), nw.col("list_in_180d_cents")),
        {
            "priced_in_180d_cents": total("amount_cents", SETTLED & PRICED & within(180)),
            "list_in_180d_cents": total("list_cents", SETTLED & PRICED & within(180)),
        },
        nullable=True, needs=("list_cents",),
    ),
    Feature(
        "days_since_last_payment", "days since the last settled payment within 180 days", "payments", 180, "days",
        "behaviour", quotient(nw.col("age_of_last_settled_s"), DAY_S),
        {"age_of_last_settled_s": newest_age(SETTLED & within(180))}, nullable=True, high=180.0,
    ),
    Feature(
        "problems_90d", "support tickets, failed payments and refunds in the last 90 days", "payments", 90, "problems",
        "behaviour", nw.col("troubled_in_90d") + nw.col("tickets_in_90d"),
        {"troubled_in_90d": count(TROUBLED & within(90))},
        {"events": {"tickets_in_90d": count(TICKET & within(90))}},
    ),
    Feature(
        "days_since_last_problem", "days since the last support ticket, failed payment or refund within 90 days", "payments",
        90, "days", "behaviour",
        quotient(nw.min_horizontal(nw.col("age_of_last_troubled_s"), nw.col("age_of_last_ticket_s")), DAY_S),
        {"age_of_last_troubled_s": newest_age(TROUBLED & within(90))},
        {"events": {"age_of_last_ticket_s": newest_age(TICKET & within(90))}}, nullable=True, high=90.0,
    ),
)  # fmt: skip
