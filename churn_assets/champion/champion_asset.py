"""The asset ``champion``: publishes an accepted candidate, and reports which release serves.

Does not belong here: whether a candidate is accepted (``gate``), and how a release is published (``churn_store.releases``).
"""

from typing import Literal

import dagster as dg

from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.card.files import try_to_log_card
from churn_assets.champion.metadata import release_metadata
from churn_assets.champion.registry_mirror import try_to_mirror
from churn_assets.champion.same_model import champion_of_same_model, same_in_words
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import Tracking
from churn_store.clock import Clock
from churn_store.releases.bundles import load_manifest
from churn_store.releases.lifecycle import how_to_approve
from churn_store.releases.log import Serving, publish
from churn_store.releases.manifest import Blessing, Manifest


def champion_asset(promotion: Literal["automatic", "manual"]) -> dg.AssetsDefinition:
    """The asset ``champion``.

    Args:
        promotion: whether an accepted candidate serves at once, or waits for a person's approval.
    """

    @dg.asset(
        description="The release that serves. A new one is published for an accepted candidate, or for an undecided one if none serves yet; with "
        "`promotion: manual` a named person has to approve it. Otherwise the former release stays.",
        group_name="champion",
        pool=BACKGROUND,
        kinds={"onnx"},
        owners=["team:data-science"],
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def champion(
        context: dg.AssetExecutionContext,
        candidate_model: CandidateModel,
        model_blessing: Blessing,
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult[None]:
        blessing, manifest = model_blessing, candidate_model.manifest(serving.files)
        if (same := champion_of_same_model(serving, manifest.model_sha256)) is not None:
            return _unchanged(serving, same_in_words(*same, manifest))
        if not blessing.releasable:
            result = _unchanged(serving, blessing.refusal)
        elif promotion == "manual":
            waits = f"an {blessing.verdict} candidate waits for `{how_to_approve(manifest.candidate)}`, or for the job `approve`"
            context.log.info(f"promotion is manual: {waits}")
            result = _unchanged(serving, waits, waiting=manifest.candidate)
        else:
            row = publish(
                serving.engine,
                serving.files,
                manifest,
                blessing,
                read_epoch=blessing.epoch,
                actor=f"dagster run {context.run_id}",
                reason=context.run.tags.get("churn/reason", "asked for by hand"),
                now_s=clock.now_s(),
            )
            _, outcome = try_to_mirror(mlflow.tracking_client, serving.files, row)
            context.log.info(outcome)
            result = _result(serving, row, load_manifest(serving.files, row.champion), published=True, why=row.reason)
        context.log.info(try_to_log_card(mlflow.tracking_client, serving, manifest, blessing))
        return result

    return champion


def _unchanged(serving: ServingStore, why: str, **more: str) -> dg.MaterializeResult[None]:
    """The result of a run that published nothing."""
    row = serving.newest()
    manifest = None if row is None else load_manifest(serving.files, row.champion)
    return _result(serving, row, manifest, published=False, why=why, **more)


def _result(
    serving: ServingStore, row: Serving | None, manifest: Manifest | None, *, published: bool, why: str, **more: str
) -> dg.MaterializeResult[None]:
    """The result that reports which release serves now, if one does."""
    return dg.MaterializeResult(
        value=None,
        data_version=dg.DataVersion("none" if row is None else row.champion),
        metadata={**more, **release_metadata(serving, row, manifest, published=published, why=why)},
    )
