"""Writes model cards: that of a named model into a folder, and that of a judged candidate into its MLflow run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from churn_assets.champion.card.model_card import Card, card_of
from churn_assets.resources.serving import ServingStore
from churn_store.errors import ChurnError, InputError, ReleaseError
from churn_store.releases.blessings import newest_blessing
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.releases.resolve import find_manifest
from churn_store.storage.digest_store import DigestStore

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def card_named(store: ServingStore, named: str | None) -> tuple[str, Card]:
    """The digest of a model and its card.

    Args:
        store: serving database and release files.
        named: name of the model, as ``churn_store.releases.resolve.find_manifest`` takes it; default: the release that serves.

    Raises:
        InputError: no model has that name, none serves, or its manifest lacks a fact.
        ReleaseError: the manifest is missing or was changed.
    """
    if named is None:
        row = store.newest()
        if row is None:
            raise InputError("no release serves yet; name a candidate, or materialize champion first")
        named = str(row.epoch)
    digest, manifest = find_manifest(store.engine, store.files, named)
    rows = history(store.engine, limit=None)
    serving_rows = [row for row in rows if _candidate_of(store.files, row) == manifest.candidate]
    verdict = manifest.blessing or newest_blessing(store.engine, manifest.candidate)
    former = former_champion(store.files, rows, manifest, serving_rows, verdict)
    return digest, card_of(manifest, former, blessing=verdict, history=serving_rows)


def former_champion(
    files: DigestStore,
    rows: Sequence[Serving],
    manifest: Manifest,
    serving_rows: Sequence[Serving],
    verdict: Blessing | None,
) -> Manifest | None:
    """The manifest of the champion before a model first served; if it never served, of the champion that it was compared with.

    Args:
        files: store of the release files.
        rows: all rows of the table ``releases``.
        manifest: manifest of the model.
        serving_rows: rows that name the model as champion.
        verdict: verdict of the gate on the model.

    Raises:
        ReleaseError: the former champion's manifest is missing or was changed.
    """
    if serving_rows:
        before = min(row.epoch for row in serving_rows) - 1
    elif verdict is not None:
        before = verdict.epoch
    else:
        before = max((row.epoch for row in rows), default=0)
    champion = next((row.champion for row in rows if row.epoch == before), None)
    if champion is None:
        return None
    former = load_manifest(files, champion)
    return None if former.candidate == manifest.candidate else former


def write_card(card: Card, digest: str, folder: Path) -> tuple[Path, Path]:
    """Write a card as HTML and as Markdown into a folder, which is created if missing.

    Returns:
        Paths of the HTML file and the Markdown file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, text = (folder / f"model-card-{digest[:12]}.{ending}" for ending in ("html", "md"))
    page.write_text(card.html, encoding="utf-8")
    text.write_text(card.markdown, encoding="utf-8")
    return page, text


def try_to_log_card(client: "MlflowClient", store: ServingStore, manifest: Manifest, blessing: Blessing) -> str:
    """Log the card of a judged candidate to its MLflow run; a failure stops no release.

    Returns:
        The outcome, in words.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - five seconds of import that only training pays

    run = manifest.mlflow.get("run_id")
    if run is None:
        return "no model card in MLflow: the candidate has no run"
    try:
        rows = history(store.engine, limit=None)
        card = card_of(manifest, former_champion(store.files, rows, manifest, [], blessing), blessing=blessing)
        client.log_text(run, card.html, "model_card.html")
        client.log_text(run, card.markdown, "model_card.md")
    except (MlflowException, ChurnError) as error:
        return f"no model card in MLflow: {' '.join(str(error).split())[:300]}"
    return f"the model card is in MLflow's run {run}"


def _candidate_of(files: DigestStore, row: Serving) -> str | None:
    try:
        return load_manifest(files, row.champion).candidate
    except ReleaseError:  # another row may still name the model
        return None
