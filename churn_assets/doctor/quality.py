"""Probe of the data's quality: what is broken or overdue, and which snapshot stands meanwhile."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path

from churn_assets.lake.lake import Lake
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.run_history import present as periods_of
from churn_assets.periods import Calendar
from churn_assets.quality.alerting import overdue_tables
from churn_assets.quality.findings import blocking_findings, judged_periods, quality_findings
from churn_assets.settings.quality import Quality
from churn_store.clock import Clock
from churn_store.errors import AbsentError, InputError
from churn_store.mapping.tables import Table

FEATURES = "customer_features"


def quality(
    folder: Path, place: Lake, calendar: Calendar | None, tables: Sequence[Table], *, clock: Clock, rules: Quality
) -> str:
    """Check that no period is blocked because its data is broken, and none overdue.

    Args:
        folder: folder of dagster.yaml, used if ``DAGSTER_HOME`` is not set.
        place: lake to look at.
        calendar: calendar of a history; `None` where the data has no time.
        tables: raw tables of the company.
        clock: the platform's clock, by which a period is overdue.
        rules: section ``quality``.

    Raises:
        AbsentError: if nothing was judged, or it can't be.
        InputError: if a period is blocked or overdue; it says by what, and which snapshot stands.
    """
    if calendar is None:
        raise AbsentError("the data has no time, so no period can be compared with earlier ones")
    with instance_of(folder) as instance:
        present = {table: periods_of(instance, place, table) for table in tables}
    return quality_in_words(place, calendar, present, today=clock.now().date(), rules=rules)


def quality_in_words(
    place: Lake, calendar: Calendar, present: Mapping[Table, Collection[str]], *, today: date, rules: Quality
) -> str:
    """What ``quality`` says of a history, by the periods that each raw table has.

    Raises:
        AbsentError: if nothing was judged.
        InputError: if a period is blocked or overdue; it says by what, and which snapshot stands.
    """
    judged = judged_periods(place)
    if not judged:
        raise AbsentError("no period was judged yet: the next ingest judges")
    blocking = blocking_findings(place)
    refused = {(one.table, one.period) for one in blocking}
    overdue = overdue_tables(calendar, today, present, days=rules.overdue_days, refused=refused)
    if blocking or overdue:
        said = " ".join(one.sentence for one in (*blocking, *overdue))
        snapshots = place.periods(FEATURES) if place.has(FEATURES) else []
        stands = f"The scores of snapshot {snapshots[-1]} stand meanwhile." if snapshots else "No snapshot stands yet."
        raise InputError(f"{said} {stands}")
    told = " ".join(one.sentence for one in quality_findings(place, 1))
    return f"{len(judged)} periods of tables were judged, and none is blocked{f'; of the newest: {told}' if told else ''}"
