"""Probe of the data's quality: what is broken, and which snapshot stands meanwhile."""

from churn_assets.lake.lake import Lake
from churn_assets.quality.findings import blocking_findings, judged_periods, quality_findings
from churn_store.errors import AbsentError, InputError

FEATURES = "customer_features"


def quality(place: Lake, *, has_time: bool) -> str:
    """Check that no period is blocked because its data is broken.

    Args:
        place: lake to look at.
        has_time: whether the data is a history.

    Raises:
        AbsentError: if nothing was judged, or it can't be.
        InputError: if a period is blocked; it says by what, and which snapshot stands.
    """
    if not has_time:
        raise AbsentError("the data has no time, so no period can be compared with earlier ones")
    judged = judged_periods(place)
    if not judged:
        raise AbsentError("no period was judged yet: the next ingest judges")
    if blocking := blocking_findings(place):
        said = " ".join(one.sentence for one in blocking)
        snapshots = place.periods(FEATURES) if place.has(FEATURES) else []
        stands = f"The scores of snapshot {snapshots[-1]} stand meanwhile." if snapshots else "No snapshot stands yet."
        raise InputError(f"{said} {stands}")
    told = " ".join(one.sentence for one in quality_findings(place, 1))
    return f"{len(judged)} periods of tables were judged, and none is blocked{f'; of the newest: {told}' if told else ''}"
