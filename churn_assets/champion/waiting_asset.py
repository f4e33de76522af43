"""The asset ``waiting_candidates``: who waits for a person, and what that person types or clicks.

Does not belong here: when a candidate waits (``churn_store.releases.lifecycle``), and the approval itself (``jobs``).
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.run_history import digest_of
from churn_assets.resources.serving import ServingStore
from churn_store.errors import ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.lifecycle import SHOWN_DIGITS, how_to_approve, waiting
from churn_store.releases.manifest import Blessing

NAME = "waiting_candidates"


def waiting_asset() -> dg.AssetsDefinition:
    """``waiting_candidates``."""

    @dg.asset(
        name=NAME,
        description=(
            "The candidates that the gate has let through and that wait for a named person, newest first. The newest materialization "
            "says who waits, and how to approve: by `churn approve`, or by the job `approve` in its launchpad."
        ),
        group_name="champion",
        kinds={"python"},
        owners=["team:data-science"],
        deps=["champion"],
        code_version=code_version("champion"),
    )
    def waiting_candidates(serving: dg.ResourceParam[ServingStore]) -> dg.MaterializeResult[None]:
        said = who_waits(serving)
        return dg.MaterializeResult(value=None, data_version=dg.DataVersion(digest_of(said["candidates"])), metadata=said)

    return waiting_candidates


def who_waits(serving: ServingStore) -> dict[str, Any]:
    """Metadata of ``waiting_candidates``."""
    found = waiting(serving.engine, serving.files)
    return {
        "who_waits": dg.MetadataValue.md(_in_words(serving, found)),
        **({"how_to_approve": dg.MetadataValue.md(_how(found[0].candidate))} if found else {}),
        "number": len(found),
        "candidates": ", ".join(blessing.candidate[:SHOWN_DIGITS] for blessing in found) or "none",
    }


def _in_words(serving: ServingStore, found: list[Blessing]) -> str:
    if not found:
        return "**Nobody waits.** An accepted candidate waits here where `promotion: manual` stands in churn.yaml."
    number = "1 candidate waits" if len(found) == 1 else f"{len(found)} candidates wait"
    return "\n".join([f"**{number} for a person.**", "", *(f"- {_row(serving, blessing)}" for blessing in found)])


def _how(candidate: str) -> str:
    """How a person lets a candidate serve, by the command or by the job."""
    return "\n".join(
        [
            f"`{how_to_approve(candidate)}`",
            "",
            "or the job `approve` with this in its launchpad:",
            "",
            "```yaml",
            "ops:",
            "  approve_candidate:",
            "    config:",
            f"      id: {candidate[:SHOWN_DIGITS]}",
            "      by: your name",
            "      reason: why",
            "```",
        ]
    )


def _row(serving: ServingStore, blessing: Blessing) -> str:
    """A waiting candidate in one line."""
    try:
        manifest = load_manifest(serving.files, blessing.candidate)
        auc = f", AUC {manifest.metrics['auc']:.3f}" if "auc" in manifest.metrics else ""
        model = f"{manifest.family}{auc}"
    except ReleaseError:  # it can't be approved then, and the approval says so
        model = "its manifest is gone"
    gain = (
        "the first, with no champion to compare with" if blessing.gain is None else f"gain {blessing.gain:+.4f} a customer"
    )
    judged = f"judged on {datetime.fromtimestamp(blessing.decided_s, UTC):%Y-%m-%d}"
    return f"`{blessing.candidate[:SHOWN_DIGITS]}`: {model}; {blessing.in_words}; {gain}; {judged}"
