"""The sensor that follows the releases, so that Dagster and MLflow show what serves, whoever released it.

An approval, a rollback and a challenge are rows that no run of the graph wrote.
"""

import dagster as dg
from mlflow.tracking import MlflowClient

from churn_assets.champion.metadata import facts
from churn_assets.champion.registry_mirror import try_to_mirror
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking_server import sign_of_life
from churn_store.errors import ChurnError, ReleaseError, StoreAwayError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving

INTERVAL_S = 30


def release_sensors(serving: ServingStore, *, company: str, lake_url: str, tracking_uri: str) -> list[dg.SensorDefinition]:
    """``follow_releases``."""

    @dg.sensor(
        name="follow_releases",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports each release that a person or the service made as a materialization of `champion`, and mirrors it in MLflow.",
    )
    def follow_releases(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        require_own(context.instance, company, lake_url)
        row = serving.newest()
        if row is None:
            return dg.SkipReason("nothing was released yet")
        reported = newest_materialization(context.instance, "champion")
        try:
            events = [] if reported is not None and reported.metadata.get("epoch") == row.epoch else [_event(serving, row)]
        except ReleaseError as error:
            return dg.SkipReason(
                f"epoch {row.epoch} can't be reported: the manifest of release {row.champion[:12]} can't be read ({error}); put it back "
                "from a backup, or let another release serve with `churn rollback --to EPOCH` or `churn approve ID`"
            )
        except StoreAwayError as error:
            return dg.SkipReason(f"epoch {row.epoch} is not reported yet: {error}")
        mirrored, said = (
            (True, "the registry shows it") if context.cursor == str(row.epoch) else _mirror(tracking_uri, serving, row)
        )
        return dg.SensorResult(
            asset_events=events,
            cursor=str(row.epoch) if mirrored else context.cursor,
            skip_reason=f"epoch {row.epoch} {'is reported now' if events else 'was reported'}; {said}",
        )

    return [follow_releases]


def _event(serving: ServingStore, row: Serving) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key="champion",
        description=f"{row.kind} by {row.actor}: {row.reason}",
        metadata=facts(row, load_manifest(serving.files, row.champion), published=False, why=row.reason),
        tags={DATA_VERSION_TAG: row.champion},
    )


def _mirror(tracking_uri: str, serving: ServingStore, row: Serving) -> tuple[bool, str]:
    """Whether the registry shows the release now. It is asked for a sign of life first: its client would try for minutes."""
    try:
        sign_of_life(tracking_uri)
    except ChurnError as error:
        return False, f"the registry does not show it yet: {error}"
    return try_to_mirror(MlflowClient(tracking_uri), serving.files, row)
