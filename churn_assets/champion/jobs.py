"""The jobs of a named person in the Dagster UI: approve a candidate, put a former champion back.

They do what ``churn approve`` and ``churn rollback`` do; the sensor ``follow_releases`` tells the graph and the registry.
"""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from churn_assets.resources.serving import ServingStore
from churn_store.clock import Clock
from churn_store.errors import ChurnError
from churn_store.releases.approval import approve as make_champion
from churn_store.releases.challenge import challenge
from churn_store.releases.log import Serving
from churn_store.releases.resolve import find_manifest
from churn_store.releases.rollback import roll_back as serve_former


class Approval(dg.Config):
    """Who approves what, and why."""

    id: str = Field(description="the candidate: a digest or its beginning, or NAME/VERSION of the registry")
    by: str = Field(description="your name; it stands in the history for ever")
    reason: str = Field(description="why; likewise")
    override: bool = Field(False, description="release it against the gate, or against a newer champion")
    challenger_share: float = Field(
        0.0, description="above 0: not as champion, but as challenger with this share of the requests, at most 0.5"
    )


class RollbackConfig(dg.Config):
    """Who goes back to what, and why."""

    by: str = Field(description="your name; it stands in the history for ever")
    reason: str = Field(description="why; likewise")
    to: int = Field(0, description="the epoch whose champion serves again; 0 for the former champion")


@dg.op(description="Make an accepted candidate the champion, or the challenger.")
def approve_candidate(
    context: dg.OpExecutionContext,
    config: Approval,
    clock: dg.ResourceParam[Clock],
    serving: dg.ResourceParam[ServingStore],
) -> None:
    """What ``churn approve`` does."""

    def decided() -> Serving:
        _, manifest = find_manifest(serving.engine, serving.files, config.id)
        asked = (serving.engine, serving.files, manifest.candidate)
        by, reason, now_s, override = config.by, config.reason, clock.now_s(), config.override
        if not config.challenger_share:
            return make_champion(*asked, by=by, reason=reason, now_s=now_s, override=override)
        return challenge(*asked, share=config.challenger_share, by=by, reason=reason, now_s=now_s, override=override)

    _tell(context, decided)


@dg.op(description="Put the former champion back, or that of an epoch.")
def put_back(
    context: dg.OpExecutionContext,
    config: RollbackConfig,
    clock: dg.ResourceParam[Clock],
    serving: dg.ResourceParam[ServingStore],
) -> None:
    """What ``churn rollback`` does."""
    _tell(
        context,
        lambda: serve_former(
            serving.engine, serving.files, by=config.by, reason=config.reason, now_s=clock.now_s(), to=config.to or None
        ),
    )


@dg.job(description="Let a candidate serve that waits for it, in your name: `churn approve`.")
def approve() -> None:
    """One op."""
    approve_candidate()


@dg.job(description="Put a former champion back, in your name: `churn rollback`.")
def roll_back() -> None:
    """One op."""
    put_back()


def release_jobs() -> list[dg.JobDefinition]:
    """``approve`` and ``roll_back``."""
    return [approve, roll_back]


def _tell(context: dg.OpExecutionContext, decided: Callable[[], Serving]) -> None:
    """Say what serves now. A wrong use is final, with its one sentence; nothing was changed by it."""
    try:
        row = decided()
    except ChurnError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.add_output_metadata(
        {"epoch": row.epoch, "release": row.champion, "challenger": str(row.challenger), "share": row.challenger_share}
    )
    context.log.info(f"epoch {row.epoch}: {row.champion[:12]} serves ({row.kind} by {row.actor}: {row.reason})")
