"""The snapshots of the lake, for `churn score --snapshot`, which is a command of the hall and finds this by entry point.

Belongs here: which snapshots there are, and the rows of one. Does not belong here: scores (``churn_store.batch.snapshot``).
"""

from datetime import date

from churn_assets.lake.lake import Lake
from churn_assets.settings.company import Settings
from churn_store.batch.snapshot import NEWEST, SnapshotRows
from churn_store.errors import InputError

FEATURES = "customer_features"

NAMED = 12
"""Most snapshots in a message."""


def at_risk(named: str) -> SnapshotRows:
    """Everyone at risk at a snapshot of the configured company.

    Args:
        named: the day of the snapshot, or ``newest``.

    Raises:
        InputError: if the data has no time, or the lake has no such snapshot; the message names those that it has.
    """
    settings = Settings.load()
    if not settings.has_time:
        raise InputError("the data has no time, and so no snapshots; score a file of customers: churn score IN OUT")
    lake = Lake(settings.lake_url)
    periods = lake.periods(FEATURES)
    if not periods:
        raise InputError(f"the lake has no snapshot yet; materialize the asset {FEATURES} first")
    if named != NEWEST and named not in periods:
        listed = ", ".join(periods[-NAMED:]) + (f" and {len(periods) - NAMED} older ones" if len(periods) > NAMED else "")
        raise InputError(f"the lake has no snapshot {named}; it has {listed}. Name one of them, or {NEWEST}")
    period = periods[-1] if named == NEWEST else named
    return SnapshotRows(date.fromisoformat(period), lake.read(FEATURES, period).sort("customer_id"))
