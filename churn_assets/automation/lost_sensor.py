"""The sensor ``watch_tables``: tells the asset page of a table that something of it is lost, though no run was there to see it."""

import json

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.orchestration.lost_checks import evaluations
from churn_assets.orchestration.ownership import require_own
from churn_store.errors import StoreAwayError

INTERVAL_S = 30


def lost_sensor(tables: list[str], *, company: str, lake_url: str) -> dg.SensorDefinition:
    """``watch_tables``.

    Args:
        tables: names of the tables of the lake.
        company: name of the company.
        lake_url: address of the lake.
    """

    @dg.sensor(
        name="watch_tables",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates the check `nothing_lost` of a table anew when its answer has changed; starts no run.",
    )
    def watch_tables(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        require_own(context.instance, company, lake_url)
        known: dict[str, str] = json.loads(context.cursor or "{}")
        try:
            told, now = evaluations(context.instance, Lake(lake_url), tables, known=known)
        except StoreAwayError as error:
            return dg.SkipReason(f"the tables can't be looked at: {error}")
        return dg.SensorResult(
            asset_events=told,
            cursor=json.dumps(now),
            skip_reason="; ".join(now.values()) or f"nothing of {len(tables)} tables is lost",
        )

    return watch_tables
