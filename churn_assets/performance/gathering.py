"""Everything that is known of a mature snapshot, from the lake and from the stores that the service shares.

What is missing or can't be read becomes a snapshot that can't be judged, with a sentence. A store that does not answer is an error, so that
the run is repeated.

Belongs here: reading. Does not belong here: what follows from it (``judging``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl
import sqlalchemy as sa

from churn_assets.lake.lake import Lake
from churn_assets.performance.estimate import Estimate, estimate
from churn_assets.performance.evidence import Evidence, join, posted
from churn_assets.performance.history import Row
from churn_assets.performance.judging import Judging, Snapshot, judge, unjudged
from churn_assets.performance.served import by_the_scores, by_the_service, first_served, served
from churn_assets.periods import epoch_s
from churn_assets.treatments.records import TABLE as TREATMENTS
from churn_assets.treatments.records import known_customers, set_aside_between, treatments_between
from churn_assets.treatments.weights import TreatmentWeights, touching, treatment_weights
from churn_store.clock import DAY_S
from churn_store.errors import ReleaseError
from churn_store.outcomes.published_labels import SnapshotLabels, UnreadableLabelsError, newest_labels, open_labels
from churn_store.releases.bundles import load_manifest
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore

SCORES, FEATURES = "churn_scores", "customer_features"

SCORED = ("customer_id", "release", "probability", "churn")


@dataclass(frozen=True)
class Stores:
    """Where a snapshot is read from.

    Attributes:
        lake: lake of the company.
        versions: versions of its tables to read; a table that was never written is left out.
        engine: serving database.
        files: release files.
        now_s: time by the platform's clock, in epoch seconds.
    """

    lake: Lake
    versions: dict[str, int]
    engine: sa.Engine
    files: DigestStore
    now_s: int


def rows_of(key: str, stores: Stores, judging: Judging) -> list[Row]:
    """Judge one snapshot.

    Args:
        key: key of the snapshot.
        stores: where it is read from.
        judging: what it is judged by.

    Raises:
        StoreAwayError: if the object store does not answer.
        SQLAlchemyError: if the serving database does not answer.
        LostError: if a table of the lake is damaged.
    """
    try:
        pointer, labels = newest_labels(stores.files, key), open_labels(stores.files, key)
    except UnreadableLabelsError as error:
        return [unjudged(key, str(error), judging)]
    if labels is None or pointer is None:
        return [unjudged(key, f"no labels of {key} are published; materialize published_labels of this period", judging)]
    try:
        if labels.about.matured_s > stores.now_s:
            return [unjudged(key, "its window is still open, or its outcomes can still become known", judging)]
        return judge(_snapshot(key, labels, pointer.digest, stores), judging)
    finally:
        labels.close()


def published_now(files: DigestStore, keys: Iterable[str]) -> dict[str, str]:
    """The sha256 of the labels that are published now, by snapshot; those that can't be read are left out."""
    found = {}
    for key in keys:
        try:
            pointer = newest_labels(files, key)
        except UnreadableLabelsError:
            continue
        if pointer is not None:
            found[key] = pointer.digest
    return found


def estimates(stores: Stores, *, after: str) -> list[Estimate]:
    """What may be expected of the snapshots that are scored and not mature, the oldest first.

    Args:
        stores: where they are read from.
        after: newest snapshot that was judged.
    """
    if SCORES not in stores.versions:
        return []
    version = stores.versions[SCORES]
    found = []
    for key in stores.lake.periods(SCORES, version=version):
        if key > after:
            scores = stores.lake.read(SCORES, key, version=version, columns=SCORED)
            for release in scores["release"].unique().sort().to_list():
                of_release = scores.filter(pl.col("release") == release)
                found.append(estimate(of_release["probability"].to_numpy(), snapshot=key, release=release))
    return found


def _snapshot(key: str, labels: SnapshotLabels, digest: str, stores: Stores) -> Snapshot:
    snapshot_s = epoch_s(date.fromisoformat(key))
    closes_s = snapshot_s + labels.about.horizon_days * DAY_S
    service, late = by_the_service(stores.engine, snapshot_s=snapshot_s, closes_s=closes_s)
    scores = by_the_scores(_scores(key, stores), first_served(stores.engine), snapshot_s=snapshot_s)
    releases = sorted({*service["release"].unique(), *scores["release"].unique()})
    manifests = {release: _manifest(stores.files, release) for release in releases}
    found = served(service, scores, manifests, snapshot=key, closes_s=closes_s, late=late)
    said = posted(stores.engine, snapshot_s=snapshot_s)
    told = labels.of(sorted({*found.rows["customer_id"].unique(), *said}))
    evidence = join(found, told, said, closes_s=closes_s, now_s=stores.now_s)
    words = _words(key, manifests.values(), stores)
    at_risk = words["customer_id"] if words.height else evidence.rows["customer_id"].unique().sort()
    treated = _treated(at_risk, stores, snapshot_s=snapshot_s, horizon_s=closes_s - snapshot_s)
    return Snapshot(
        key=key,
        horizon_days=labels.about.horizon_days,
        labels=digest,
        evidence=_with_the_rest(evidence, labels.about.rows, treated),
        words=words,
        manifests=manifests,
        weights=treated.rows.select("customer_id", "weight") if treated.state == "weighted" else None,
        unweighed=treated.reason if treated.state == "unknown" else "",
    )


def _treated(at_risk: pl.Series, stores: Stores, *, snapshot_s: int, horizon_s: int) -> TreatmentWeights:
    """Who of those at risk was treated, and what the others weigh."""
    start_s, end_s = touching(snapshot_s, horizon_s)
    listed = treatments_between(
        stores.lake, stores.engine, start_s=start_s, end_s=end_s, version=stores.versions.get(TREATMENTS)
    )
    return treatment_weights(
        at_risk,
        listed,
        snapshot_s=snapshot_s,
        horizon_s=horizon_s,
        everyone=known_customers(stores.lake) if listed.height and stores.lake.has("customers") else None,
        set_aside=set_aside_between(stores.lake, start_s=start_s, end_s=end_s),
    )


def _with_the_rest(evidence: Evidence, at_risk: int, treated: TreatmentWeights) -> Evidence:
    """The evidence with the number at risk and of those treated, and notes if not all of them count."""
    predicted = evidence.rows["customer_id"].n_unique()
    counts = {**evidence.counts, "at_risk": at_risk, "with_prediction_and_outcome": predicted}
    counts |= {"treated": treated.treated, "held_out": treated.held_out}
    notes = list(evidence.notes)
    if 0 < predicted < at_risk:
        notes.append(
            f"{predicted:,} of {at_risk:,} customers at risk have a prediction that counts; the figures are about these."
        )
    if treated.state != "untreated":
        notes.append(f"{treated.reason[:1].upper()}{treated.reason[1:]}.")
    return Evidence(evidence.rows, counts, notes)


def _scores(key: str, stores: Stores) -> pl.DataFrame:
    version = stores.versions.get(SCORES)
    if version is None:
        return pl.DataFrame(
            schema={"customer_id": pl.String, "release": pl.String, "probability": pl.Float64, "churn": pl.Boolean}
        )
    return stores.lake.read(SCORES, key, version=version, columns=SCORED)


def _words(key: str, manifests: Iterable[Manifest | str], stores: Stores) -> pl.DataFrame:
    """The categories of each customer at risk that any of the releases has."""
    version = stores.versions.get(FEATURES)
    if version is None:
        return pl.DataFrame(schema={"customer_id": pl.String})
    known = set(stores.lake.columns(FEATURES))
    names = {name for manifest in manifests if isinstance(manifest, Manifest) for name in manifest.signature.categories}
    return stores.lake.read(FEATURES, key, version=version, columns=["customer_id", *sorted(names & known)])


def _manifest(files: DigestStore, release: str) -> Manifest | str:
    try:
        return load_manifest(files, release)
    except ReleaseError as error:
        return str(error)
