"""Rebuilds a model's training set from the table versions that its manifest names, whatever was written since.

Belongs here: the way from a manifest to rows, and whether these are the rows that the model was trained on. Does not belong here:
which manifest is meant (``churn_store.releases.resolve``).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import difference, digest_at, read_at, require_version
from churn_assets.periods import ALL
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN, WEIGHT
from churn_assets.training.equal_rows import NOT_INPUTS
from churn_assets.training.split import TOGETHER, roles_by_id
from churn_assets.training.training_set import rows_by_customer, rows_by_time
from churn_store.errors import InputError, LostError
from churn_store.releases.manifest import Manifest

SPLIT_BY_CUSTOMER = re.compile(rf"by customer(?P<together>{TOGETHER})?: seed (?P<seed>\d+), held out (?P<share>[\d.e-]+)")
"""The text of a split without time in a manifest (``training.split.split_in_words``)."""

SOURCE_TABLES = ("customer_features", "churn_labels")
"""The tables that a training set is joined from."""


@dataclass(frozen=True)
class Rebuilt:
    """A rebuilt training set.

    Attributes:
        rows: all rows of the training set.
        digest: digest of the rows.
        recorded: digest in the manifest.
        comparison: sentence that says whether the two are equal, or in what they differ.
    """

    rows: pl.DataFrame
    digest: str
    recorded: str
    comparison: str

    @property
    def is_equal(self) -> bool:
        """Whether these are the rows that the model was trained on."""
        return self.digest == self.recorded

    @property
    def roles(self) -> dict[str, int]:
        """The number of rows by role."""
        counts = dict(self.rows["role"].value_counts().iter_rows())
        return {role: counts.get(role, 0) for role in (TRAIN, SELECT, JUDGE)}


def rebuild(lake: Lake, manifest: Manifest) -> Rebuilt:
    """Rebuild a training set.

    A manifest names the snapshots that were not judged on and those that were. It does not say how many of the former were selecting
    snapshots. They are the newest ones, so each number is tried until the digest is equal.

    Raises:
        InputError: the manifest names no table versions, or one of them can't be read any more.
    """
    recorded = manifest.tables.get("training_set")
    if recorded is None or recorded.digest is None or not set(SOURCE_TABLES) <= set(manifest.tables):
        raise InputError(
            f"the manifest of candidate {manifest.candidate[:12]} names the tables {', '.join(manifest.tables) or 'none'}; "
            f"expected training_set with its digest, and {' and '.join(SOURCE_TABLES)}: its training set can't be rebuilt"
        )
    for table in SOURCE_TABLES:
        require_version(lake, table, manifest.tables[table].version)
    first = None
    for rows in _candidates(lake, manifest):
        digest = digest_at("training_set", rows)
        first = first or (rows, digest)
        if digest == recorded.digest:
            return Rebuilt(rows, digest, recorded.digest, f"equal, row for row: digest {digest}")
    if first is None:
        raise InputError(
            f"the manifest of candidate {manifest.candidate[:12]} names no snapshots; nothing can be rebuilt from it"
        )
    return Rebuilt(*first, recorded.digest, _difference(lake, manifest, *first))


def _candidates(lake: Lake, manifest: Manifest) -> Iterator[pl.DataFrame]:
    """The training set for each number of selecting snapshots that is possible, the fewest first."""
    versions = {table: manifest.tables[table].version for table in SOURCE_TABLES}
    features = _features(lake, manifest)
    columns = [*features, "churned", "role"]
    if (split := SPLIT_BY_CUSTOMER.fullmatch(manifest.split)) is not None:
        training = Training(seed=int(split["seed"]), held_out_share=float(split["share"]))
        rows = _read(lambda: rows_by_customer(lake, versions, training, inputs=features), manifest)
        if split["together"] is None:
            rows = rows.with_columns(role=roles_by_id(rows["customer_id"], training))
        yield rows.select("customer_id", *columns)
        return
    trained_on = tuple(sorted(manifest.trained_on))
    weights = _stored_weights(lake, manifest)
    rows = _read(
        lambda: rows_by_time(lake, versions, dict.fromkeys(trained_on, TRAIN) | dict.fromkeys(manifest.judged_on, JUDGE)),
        manifest,
    ).select("customer_id", "snapshot_s", *columns)
    if weights is not None:  # whoever was treated is not among them
        rows = rows.join(weights, on=["customer_id", "snapshot_s"], how="inner", maintain_order="left")
    snapshots = rows.filter(pl.col("role") != JUDGE)["snapshot_s"].unique().sort().to_list()
    for selecting in range(1, len(snapshots)):
        is_selecting = pl.col("snapshot_s").is_in(snapshots[-selecting:])
        yield rows.with_columns(role=pl.when(is_selecting).then(pl.lit(SELECT)).otherwise("role"))


def _stored_weights(lake: Lake, manifest: Manifest) -> pl.DataFrame | None:
    """Customer, snapshot and weight of the rows that the lake has stored, if treated customers were left out of them.

    The treatments themselves may have been corrected since, so these rows are taken as they are; features and labels are made again.
    """
    try:
        stored = read_at(lake, "training_set", ALL, manifest.tables["training_set"].version)
    except (InputError, LostError):
        return None
    return stored.select("customer_id", "snapshot_s", WEIGHT) if WEIGHT in stored.columns else None


def _features(lake: Lake, manifest: Manifest) -> Sequence[str]:
    """The features of the training set: the model's inputs, and constant ones, which only the table's columns name."""
    version = manifest.tables["training_set"].version
    try:
        stored = lake.scan("training_set", version=version).collect_schema().names()
    except (InputError, LostError):  # never written here, or the log no longer has the version
        return manifest.signature.names
    features = [name for name in stored if name not in {*NOT_INPUTS, PERIOD}]
    return features if set(manifest.signature.names) <= set(features) else manifest.signature.names


def _read(read: Any, manifest: Manifest) -> pl.DataFrame:
    try:
        rows: pl.DataFrame = read()
    except LostError as error:
        versions = ", ".join(f"{table} {manifest.tables[table].version}" for table in SOURCE_TABLES)
        raise InputError(
            f"the training set can't be rebuilt: files of {versions} were removed from the lake (vacuumed); bring them back "
            "from a backup"
        ) from error
    return rows


def _difference(lake: Lake, manifest: Manifest, rows: pl.DataFrame, digest: str) -> str:
    """In what the rows differ from the training set that the lake has stored, if it still has it."""
    recorded = manifest.tables["training_set"]
    sentence = f"not equal: digest {digest[:12]}, the manifest says {str(recorded.digest)[:12]}"
    expected = manifest.training_rows + manifest.judging_rows
    if rows.height != expected:
        sentence += f"; {rows.height:,} rows, the manifest says {expected:,}"
    try:
        stored = read_at(lake, "training_set", ALL, recorded.version)
    except InputError:
        return sentence + f"; version {recorded.version} of training_set can't be read to name the rows"
    if digest_at("training_set", stored) != recorded.digest:
        return sentence + f"; version {recorded.version} of training_set in the lake has another digest as well"
    differ = difference("training_set", ALL, stored, rows)
    columns = ", ".join(
        f"{name} ({count:,} rows)" if count else f"{name} (in one only)" for name, count in differ.columns.items()
    )
    return sentence + (
        f"; against version {recorded.version} of training_set {differ.added:,} rows are new, {differ.removed:,} are missing and "
        f"{differ.changed:,} have other values{f' in {columns}' if columns else ''}"
    )
