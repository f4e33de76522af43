"""Features of a customer's record (the plan, the age of the account, changes of the record) and of the time of the year.

Belongs here: entries of the catalogue whose table is ``customers``. Does not belong here: the attributes of a source, which
need no entry (``feature_sets``).
"""

from datetime import date

import narwhals as nw

from churn_assets.features.feature import Feature, distinct, newest_age, quotient, within
from churn_assets.periods import epoch_s
from churn_store.clock import DAY_S

SNAPSHOT_S = nw.col("signed_up_s") + nw.col("signed_up_age_s")

CYCLE_S = epoch_s(date(1972, 1, 1))
CYCLE_DAYS = 4 * 365 + 1
"""The length of the calendar's cycle of four years, which holds until 2100, a year without 29 February."""

_OLDEST, _NEWEST = nw.col("age_of_first_version_s"), nw.col("age_of_last_version_s")
_OLDEST_VERSION = {"age_of_first_version_s": nw.col("age_s").max()}
"""The age of the first version, without a window: whenever it became true, it is not a change of the record."""


def _days_from(month: int) -> nw.Expr:
    """Days between the snapshot and the nearest first day of a month.

    Two of these together encode the season as sine and cosine would, but in whole numbers, which are equal on all engines.
    """
    turns = [(epoch_s(date(year, month, 1)) - CYCLE_S) // DAY_S for year in range(1971, 1977)]
    today = (SNAPSHOT_S - CYCLE_S) // DAY_S % CYCLE_DAYS
    return nw.min_horizontal(*((today - turn).abs() for turn in turns))


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
        "record_changes_180d", "changes of the customer's record, such as of its plan, in the last 180 days", "customers",
        180, "changes", "behaviour",
        nw.col("versions_in_180d") - nw.when(_OLDEST <= 180 * DAY_S).then(nw.lit(1)).otherwise(nw.lit(0)),
        {"versions_in_180d": distinct(nw.col("occurred_s"), within(180)), **_OLDEST_VERSION},
    ),
    Feature(
        "days_since_record_change", "days since the customer's record, such as its plan, last changed within 180 days",
        "customers", 180, "days", "behaviour",
        nw.when(_NEWEST < _OLDEST).then(quotient(_NEWEST, DAY_S)),
        {"age_of_last_version_s": newest_age(within(180)), **_OLDEST_VERSION}, nullable=True, high=180.0,
    ),
    Feature(
        "days_since_signup", "days since sign-up", "customers", None, "days", "behaviour",
        quotient(nw.col("signed_up_age_s"), DAY_S), grows=True,
    ),
    Feature(
        "days_from_new_year", "days between the snapshot and the nearest 1 January", "customers", None, "days", "none",
        _days_from(1), high=183.0, calendar=True,
    ),
    Feature(
        "days_from_april", "days between the snapshot and the nearest 1 April", "customers", None, "days", "none",
        _days_from(4), high=183.0, calendar=True,
    ),
)  # fmt: skip
