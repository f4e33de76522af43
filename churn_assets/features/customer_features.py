"""Features of a customer's record: its plan, how long it has been one, how often it changed; and of the time of the year.

Belongs here: entries of the catalogue whose table is ``customers``. Does not belong here: the attributes that a source
brings, which need no entry (``feature_sets``).
"""

import narwhals as nw

from churn_assets.features.feature import Feature, distinct, newest_age, quotient, within
from churn_assets.periods import DAY_S

YEAR_S = 365 * DAY_S + DAY_S // 4
SNAPSHOT_S = nw.col("signed_up_s") + nw.col("signed_up_age_s")
CHANGED = nw.col("occurred_s") > nw.col("signed_up_s")
"""Versions of a record that are not its first."""


def _days_from(quarters: int) -> nw.Expr:
    """Days between the snapshot and the nearest turn of the year, moved on by so many quarters.

    Together two of these tell the season as sine and cosine would, and in whole numbers, which all engines have alike.
    """
    since = (SNAPSHOT_S + (4 - quarters) * (YEAR_S // 4)) % YEAR_S
    return quotient(nw.min_horizontal(since, YEAR_S - since), DAY_S)


CUSTOMER_FEATURES = (
    Feature(
        "is_pro_plan", "1 on plan pro, else 0", "customers", None, "yes or no", "attribute",
        nw.when(nw.col("plan") == "pro").then(nw.lit(1.0)).otherwise(nw.lit(0.0)), high=1.0, needs=("plan",),
    ),
    Feature(
        "is_paid_plan", "1 on any plan but free, else 0", "customers", None, "yes or no", "attribute",
        nw.when(nw.col("plan") != "free").then(nw.lit(1.0)).otherwise(nw.lit(0.0)), high=1.0, needs=("plan",),
    ),
    Feature(
        "plan_changes_180d", "changes of the customer's record, such as of its plan, in the last 180 days", "customers", 180,
        "changes", "behaviour", nw.col("changes_in_180d"),
        {"changes_in_180d": distinct(nw.col("occurred_s"), CHANGED & within(180))}, needs=("plan",),
    ),
    Feature(
        "days_since_plan_change", "days since the customer's record, such as its plan, last changed within 180 days",
        "customers", 180, "days", "behaviour", quotient(nw.col("age_of_last_change_s"), DAY_S),
        {"age_of_last_change_s": newest_age(CHANGED & within(180))}, nullable=True, high=180.0, needs=("plan",),
    ),
    Feature(
        "days_since_signup", "days since sign-up", "customers", None, "days", "behaviour",
        quotient(nw.col("signed_up_age_s"), DAY_S), grows=True,
    ),
    Feature(
        "days_from_new_year", "days between the snapshot and the nearest 1 January", "customers", None, "days", "none",
        _days_from(0), high=183.0, calendar=True,
    ),
    Feature(
        "days_from_april", "days between the snapshot and the nearest 1 April", "customers", None, "days", "none",
        _days_from(1), high=183.0, calendar=True,
    ),
)  # fmt: skip
