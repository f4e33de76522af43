"""The sensor ``watch_quality``: the alerts of broken and overdue periods follow what the lake holds, without a run.

Belongs here: the edge between Dagster, the lake and the serving database. Does not belong here: which alerts there should be
(``quality.alerting``).
"""

from collections.abc import Sequence

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.automation.jobs import INGEST
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.run_history import is_under_way, present
from churn_assets.periods import Calendar
from churn_assets.quality.alerting import alerts_of, follow, overdue_tables
from churn_assets.quality.findings import blocking_findings
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.quality import Quality
from churn_store.clock import Clock
from churn_store.errors import ChurnError
from churn_store.mapping.tables import Table
from churn_store.monitoring.facts import QualityFinding

INTERVAL_S = 30


def quality_sensor(
    calendar: Calendar,
    tables: Sequence[Table],
    serving: ServingStore,
    clock: Clock,
    *,
    rules: Quality,
    company: str,
    lake_url: str,
) -> dg.SensorDefinition:
    """``watch_quality``.

    Args:
        calendar: calendar of the company's periods.
        tables: its raw tables.
        serving: store of the serving database, which has the alerts.
        clock: the platform's clock.
        rules: section ``quality``.
        company: name of the company.
        lake_url: address of its lake.
    """

    def late(instance: dg.DagsterInstance, lake: Lake, blocking: Sequence[QualityFinding]) -> list[QualityFinding]:
        stored = {table: present(instance, lake, table) for table in tables}
        refused = {(one.table, one.period) for one in blocking}
        return overdue_tables(calendar, clock.now().date(), stored, days=rules.overdue_days, refused=refused)

    @dg.sensor(
        name="watch_quality",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens an alert for each period that is broken or overdue, and closes it when that is over; starts no run.",
    )
    def watch_quality(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        require_own(context.instance, company, lake_url)
        lake = Lake(lake_url)
        try:
            blocking = blocking_findings(lake)
            overdue = [] if is_under_way(context.instance, INGEST, makes=tables) else late(context.instance, lake, blocking)
            opened, closed = follow(serving.engine, alerts_of(blocking, overdue), now_s=clock.now_s())
        except ChurnError as error:
            return dg.SkipReason(f"the alerts can't follow: {error}")
        except SQLAlchemyError as error:
            return dg.SkipReason(
                f"the alerts can't follow: the serving database does not answer ({type(error).__name__}); `churn doctor` says what to do"
            )
        told = " ".join(one.sentence for one in (*blocking, *overdue)) or "no period is broken or overdue"
        return dg.SkipReason(f"{told} ({opened} alerts opened, {closed} closed)")

    return watch_quality
