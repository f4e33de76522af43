"""Jobs of the Dagster UI for a named person: approve a candidate, roll back to a former champion.

They do the same as ``churn approve`` and ``churn rollback``. The sensor ``follow_releases`` reports the release to the graph and the registry.
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
    """Configuration of the job ``approve``."""

    id: str = Field(description="the candidate: a digest or its beginning, or NAME/VERSION of the registry")
    by: str = Field(description="your name; it stands in the history for ever")
    reason: str = Field(description="why; it stands in the history for ever as well")
    override: bool = Field(False, description="release it against the gate, or against a newer champion")
    challenger_share: float = Field(
        0.0, description="above 0: not as champion, but as challenger with this share of the requests, at most 0.5"
    )


class RollbackConfig(dg.Config):
    """Configuration of the job ``roll_back``."""

    by: str = Field(description="your name; it stands in the history for ever")
    reason: str = Field(description="why; it stands in the history for ever as well")
    to: int = Field(0, description="the epoch whose champion serves again; 0 for the former champion")


@dg.op(description="Make an accepted candidate the champion, or the challenger.")
def approve_candidate(
    context: dg.OpExecutionContext,
    config: Approval,
    clock: dg.ResourceParam[Clock],
    serving: dg.ResourceParam[ServingStore],
) -> None:
    """Approve a candidate, as ``churn approve`` does."""

    def release() -> Serving:
        _, manifest = find_manifest(serving.engine, serving.files, config.id)
        candidate = (serving.engine, serving.files, manifest.candidate)
        by, reason, now_s, override = config.by, config.reason, clock.now_s(), config.override
        if not config.challenger_share:
            return make_champion(*candidate, by=by, reason=reason, now_s=now_s, override=override)
        return challenge(*candidate, share=config.challenger_share, by=by, reason=reason, now_s=now_s, override=override)

    _report(context, release)


@dg.op(description="Put the former champion back, or that of an epoch.")
def put_back(
    context: dg.OpExecutionContext,
    config: RollbackConfig,
    clock: dg.ResourceParam[Clock],
    serving: dg.ResourceParam[ServingStore],
) -> None:
    """Roll back, as ``churn rollback`` does."""
    _report(
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


def _report(context: dg.OpExecutionContext, release: Callable[[], Serving]) -> None:
    """Make a release and report it. A wrong use fails the run with one sentence, without retries, and changes nothing."""
    try:
        row = release()
    except ChurnError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.add_output_metadata(
        {"epoch": row.epoch, "release": row.champion, "challenger": str(row.challenger), "share": row.challenger_share}
    )
    context.log.info(f"epoch {row.epoch}: {row.champion[:12]} serves ({row.kind} by {row.actor}: {row.reason})")
