"""The metadata of the serving release, for the asset ``champion`` and the sensor that follows releases.

What a person asks first comes first: which family, what it earns, how good it is, what it knows, what it replaced. Does not belong here:
the columns of the model, which its card lists.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from msgspec import UnsetType
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.champion.card.files import card_named
from churn_assets.champion.lineage import trained_until_s
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_store.errors import ChurnError, ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.lifecycle import SHOWN_DIGITS
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Manifest
from churn_store.reports import publish

SHOWN_DECIMALS = 4


def release_metadata(
    serving: ServingStore, row: Serving | None, manifest: Manifest | None, *, published: bool, why: str
) -> dict[str, Any]:
    """Metadata of ``champion``; the card of what serves is published with it.

    Args:
        serving: the serving database and the release files.
        row: newest release; `None` before the first.
        manifest: manifest of the champion.
        published: whether the reporting run has published it.
        why: reason why this release serves, or still serves.
    """
    serves = {} if row is None or manifest is None else {**_worth(manifest), "former_release": _former(serving, row)}
    card = {} if row is None else _card(serving, row)
    digest = {name: card.pop(name) for name in ("report_sha256",) if name in card}
    return {
        **serves,
        **card,
        "verdict": "none" if manifest is None or manifest.blessing is None else manifest.blessing.in_words,
        "published": published,
        "why": why,
        "kind": "none" if row is None else row.kind,
        "actor": "nobody" if row is None else row.actor,
        "epoch": 0 if row is None else row.epoch,
        "release": "none" if row is None else row.champion,
        "challenger": "none" if row is None or row.challenger is None else row.challenger,
        "challenger_share": 0.0 if row is None else row.challenger_share,
        **digest,
        "dagster/row_count": 0 if manifest is None else manifest.training_rows,
    }


def _worth(manifest: Manifest) -> dict[str, Any]:
    """Family, worth and age of a model, rounded for people."""
    return {
        "family": manifest.family,
        "profit_per_customer": _measure(manifest, "profit"),
        "auc": _measure(manifest, "auc"),
        "threshold": round(manifest.threshold, SHOWN_DECIMALS),
        "trained_until": _trained_until(manifest),
    }


def _measure(manifest: Manifest, name: str) -> str:
    """A measure of the judging rows, with its interval where the manifest has it."""
    if name not in manifest.metrics:
        return "not measured"
    evaluation = manifest.evaluation
    interval = None if isinstance(evaluation, UnsetType) else evaluation.intervals.get(name)
    if isinstance(evaluation, UnsetType) or interval is None:
        return f"{manifest.metrics[name]:.3f}"
    return f"{manifest.metrics[name]:.3f} ({interval.low:.3f} to {interval.high:.3f}, {evaluation.confidence:.0%})"


def _trained_until(manifest: Manifest) -> str:
    until_s = trained_until_s(manifest)
    if until_s is None:
        return "the data has no time"
    return f"snapshot {max(manifest.trained_on)}, whose outcomes end on {datetime.fromtimestamp(until_s, UTC):%Y-%m-%d}"


def _former(serving: ServingStore, row: Serving) -> str:
    """The release that served before, in words."""
    before = next((one for one in history(serving.engine, limit=None) if one.champion != row.champion), None)
    if before is None:
        return "none: this is the first"
    try:
        manifest = load_manifest(serving.files, before.champion)
    except ReleaseError:  # a history whose files were removed is still a history
        return f"{before.champion[:SHOWN_DIGITS]}, whose manifest is gone"
    return (
        f"{before.champion[:SHOWN_DIGITS]}: {manifest.family}, AUC {_measure(manifest, 'auc')}, {_trained_until(manifest)}"
    )


def _card(serving: ServingStore, row: Serving) -> dict[str, Any]:
    """The card of what serves: published as a report, and as Markdown. A release without a card serves all the same."""
    try:
        digest, card = card_named(serving, row.champion)
        manifest = load_manifest(serving.files, digest)
        report = publish(
            serving.engine,
            serving.files,
            card.html,
            name="card",
            title=f"Model card: {manifest.family}, {manifest.company}",
            verdict=f"epoch {row.epoch} serves; the gate: {'none' if manifest.blessing is None else manifest.blessing.in_words}",
            now_s=row.published_s,
            release=row.champion,
        )
    except (ChurnError, SQLAlchemyError) as error:
        return {"card": f"no card: {' '.join(str(error).split())[:300]}"}
    return {"card": dg.MetadataValue.md(card.markdown), "report": how_to_open(report), "report_sha256": report.digest}
