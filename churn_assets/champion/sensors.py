"""The sensor that follows the table of releases, so that Dagster and MLflow show what serves, whoever released it.

Approvals, rollbacks and challenges are written by commands and the service, not by a run of the graph.
"""

import time

import dagster as dg

from churn_assets.champion.metadata import release_metadata
from churn_assets.champion.registry_mirror import try_to_mirror
from churn_assets.champion.waiting_asset import NAME as WAITING
from churn_assets.champion.waiting_asset import who_waits
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.pools import EVERY_S
from churn_assets.orchestration.run_history import digest_of, newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking_identity import require_not_lost
from churn_store.errors import ChurnError, LostError, ReleaseError, StoreAwayError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving

MIRROR_AGAIN_S = 30.0
"""A registry that is away, or shows the release, is asked again after this time: each time the sensors wait for its sign of life."""


def release_sensors(
    serving: ServingStore, *, company: str, lake_url: str, tracking_uri: str, experiment: str
) -> list[dg.SensorDefinition]:
    """The sensor ``follow_releases``."""
    failed_at: list[float] = []
    seen_at: list[float] = []

    @dg.sensor(
        name="follow_releases",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports each release that a person or the service made as a materialization of `champion`, and mirrors it in MLflow.",
    )
    def follow_releases(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        require_own(context.instance, company, lake_url)
        row, away = serving.newest_or_away()
        if away:
            return dg.SkipReason(away)
        if row is None:
            return dg.SkipReason("nothing was released yet")
        reported = newest_materialization(context.instance, "champion")
        try:
            is_reported = reported is not None and reported.metadata.get("epoch") == row.epoch
            events = [] if is_reported else [_event(serving, row), _waiting_event(serving)]
        except ReleaseError as error:
            return dg.SkipReason(
                f"epoch {row.epoch} can't be reported: the manifest of release {row.champion[:12]} can't be read ({error}); put it back "
                "from a backup, or let another release serve with `churn rollback --to EPOCH` or `churn approve ID`"
            )
        except StoreAwayError as error:
            return dg.SkipReason(f"epoch {row.epoch} is not reported yet: {error}")
        was_shown = context.cursor == str(row.epoch)
        if was_shown and seen_at and time.monotonic() - seen_at[-1] < MIRROR_AGAIN_S:
            mirrored, outcome = True, "the registry shows it"
        elif was_shown:
            lost = _registry_lost(context.instance, tracking_uri, experiment)
            mirrored, outcome = not lost, lost or "the registry shows it"
            seen_at[:] = [] if lost else [time.monotonic()]
        elif failed_at and time.monotonic() - failed_at[-1] < MIRROR_AGAIN_S:
            mirrored, outcome = False, "the registry does not show it yet, and is asked again within half a minute"
        else:
            mirrored, outcome = _mirror(context.instance, tracking_uri, experiment, serving, row)
            failed_at[:] = [] if mirrored else [time.monotonic()]
        return dg.SensorResult(
            asset_events=events,
            cursor=str(row.epoch) if mirrored else "" if was_shown else context.cursor,
            skip_reason=f"epoch {row.epoch} {'is reported now' if events else 'was reported'}; {outcome}",
        )

    return [follow_releases]


def _waiting_event(serving: ServingStore) -> dg.AssetMaterialization:
    """Who waits after a person has decided."""
    said = who_waits(serving)
    return dg.AssetMaterialization(asset_key=WAITING, metadata=said, tags={DATA_VERSION_TAG: digest_of(said["candidates"])})


def _event(serving: ServingStore, row: Serving) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key="champion",
        description=f"{row.kind} by {row.actor}: {row.reason}",
        metadata=release_metadata(
            serving, row, load_manifest(serving.files, row.champion), published=False, why=row.reason
        ),
        tags={DATA_VERSION_TAG: row.champion},
    )


def _registry_lost(instance: dg.DagsterInstance, tracking_uri: str, experiment: str) -> str:
    """Why the registry shows nothing any more of what it was told; empty while it is there, or does not answer just now."""
    try:
        require_not_lost(instance, tracking_uri, experiment)
    except LostError as error:
        return f"the registry does not show it any more: {error}"
    except ChurnError:
        return ""
    return ""


def _mirror(
    instance: dg.DagsterInstance, tracking_uri: str, experiment: str, serving: ServingStore, row: Serving
) -> tuple[bool, str]:
    """Whether the registry shows the release now, and a sentence. The server is probed first, as its client would retry for minutes."""
    try:
        require_not_lost(instance, tracking_uri, experiment)
    except ChurnError as error:
        return False, f"the registry does not show it yet: {error}"
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - five seconds of import that no process pays that only loads the graph

    return try_to_mirror(MlflowClient(tracking_uri), serving.files, row)
