"""The card of a model that somebody names, written into a folder, and of a candidate that was judged, in its MLflow run."""

from collections.abc import Sequence
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from churn_assets.champion.card.model_card import Card, card_of
from churn_assets.resources.serving import ServingStore
from churn_store.errors import ChurnError, InputError, ReleaseError
from churn_store.releases.blessings import newest_blessing
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.releases.resolve import find_manifest
from churn_store.storage.digest_store import DigestStore


def card_named(store: ServingStore, named: str | None) -> tuple[str, Card]:
    """The digest of a model and its card.

    Args:
        store: the serving database and the release files.
        named: as ``churn_store.releases.resolve.find_manifest`` takes it; default: the release that serves.

    Raises:
        InputError: no model has that name, none serves, or its manifest lacks a fact.
        ReleaseError: its manifest is missing or was changed.
    """
    if named is None:
        row = store.newest()
        if row is None:
            raise InputError("no release serves yet; name a candidate, or materialize champion first")
        named = str(row.epoch)
    digest, manifest = find_manifest(store.engine, store.files, named)
    rows = history(store.engine, limit=None)
    mine = [row for row in rows if _candidate_of(store.files, row) == manifest.candidate]
    verdict = manifest.blessing or newest_blessing(store.engine, manifest.candidate)
    former = former_champion(store.files, rows, manifest, mine, verdict)
    return digest, card_of(manifest, former, blessing=verdict, history=mine)


def former_champion(
    files: DigestStore, rows: Sequence[Serving], manifest: Manifest, mine: Sequence[Serving], verdict: Blessing | None
) -> Manifest | None:
    """The manifest of the champion before a model first served; of one that never did, of the champion it was compared with.

    Args:
        files: the release files.
        rows: all rows of the table ``releases``.
        manifest: manifest of the model.
        mine: those rows that name it as the champion.
        verdict: the gate's verdict on the model.

    Raises:
        ReleaseError: that champion's manifest is missing or was changed.
    """
    if mine:
        before = min(row.epoch for row in mine) - 1
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
    """Write both forms into a folder, which is made.

    Returns:
        The HTML file and the Markdown file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, text = (folder / f"model-card-{digest[:12]}.{ending}" for ending in ("html", "md"))
    page.write_text(card.html, encoding="utf-8")
    text.write_text(card.markdown, encoding="utf-8")
    return page, text


def try_to_log_card(client: MlflowClient, store: ServingStore, manifest: Manifest, blessing: Blessing) -> str:
    """Put the card of a judged candidate into its run; no release waits for it.

    Returns:
        What happened, in words.
    """
    run = manifest.mlflow.get("run_id")
    if run is None:
        return "no model card in MLflow: the candidate has no run"
    try:
        rows = history(store.engine, limit=None)
        made = card_of(manifest, former_champion(store.files, rows, manifest, [], blessing), blessing=blessing)
        client.log_text(run, made.html, "model_card.html")
        client.log_text(run, made.markdown, "model_card.md")
    except (MlflowException, ChurnError) as error:
        return f"no model card in MLflow: {' '.join(str(error).split())[:300]}"
    return f"the model card is in MLflow's run {run}"


def _candidate_of(files: DigestStore, row: Serving) -> str | None:
    try:
        return load_manifest(files, row.champion).candidate
    except ReleaseError:  # another row may still name the model
        return None
