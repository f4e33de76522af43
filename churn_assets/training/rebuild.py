"""Makes a model's training set again from its manifest: the table versions that it names, whatever was written since.

Belongs here: the way from a manifest to rows, and whether they are the rows that the model was made of. Does not belong here:
which manifest is meant (``churn_store.releases.resolve``).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import difference, digest_at, read_at, require_version
from churn_assets.periods import ALL
from churn_assets.settings.company import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.equal_rows import NOT_SEEN
from churn_assets.training.split import TOGETHER, roles_by_id
from churn_assets.training.training_set import rows_by_customer, rows_by_time
from churn_store.errors import InputError
from churn_store.releases.manifest import Manifest

SPLIT_BY_CUSTOMER = re.compile(rf"by customer(?P<together>{TOGETHER})?: seed (?P<seed>\d+), held out (?P<share>[\d.e-]+)")
"""How a manifest tells of a split without time (``training.split.split_in_words``)."""

MADE_FROM = ("customer_features", "churn_labels")


@dataclass(frozen=True)
class Rebuilt:
    """A training set made again.

    Attributes:
        rows: all rows of the training set.
        digest: digest of the rows.
        recorded: the digest that the manifest has.
        said: whether they are equal, or by what they differ, in a sentence.
    """

    rows: pl.DataFrame
    digest: str
    recorded: str
    said: str

    @property
    def is_equal(self) -> bool:
        """Whether these are the rows that the model was made of."""
        return self.digest == self.recorded

    @property
    def roles(self) -> dict[str, int]:
        """The number of rows by role."""
        counted = dict(self.rows["role"].value_counts().iter_rows())
        return {role: counted.get(role, 0) for role in (TRAIN, SELECT, JUDGE)}


def rebuild(lake: Lake, manifest: Manifest) -> Rebuilt:
    """Make a training set again.

    A manifest names the snapshots that training read and those that judged. Which of the former chose between the families it
    does not say, but they are the newest of them: the number is found by the digest.

    Raises:
        InputError: the manifest names no table versions, or one of them can't be read any more.
    """
    named = manifest.tables.get("training_set")
    if named is None or named.digest is None or not set(MADE_FROM) <= set(manifest.tables):
        raise InputError(
            f"the manifest of candidate {manifest.candidate[:12]} names the tables {', '.join(manifest.tables) or 'none'}; "
            f"expected training_set with its digest, and {' and '.join(MADE_FROM)}: its training set can't be made again"
        )
    for table in MADE_FROM:
        require_version(lake, table, manifest.tables[table].version)
    first = None
    for rows in _candidates(lake, manifest):
        found = digest_at("training_set", rows)
        first = first or (rows, found)
        if found == named.digest:
            return Rebuilt(rows, found, named.digest, f"equal, row for row: digest {found}")
    if first is None:
        raise InputError(
            f"the manifest of candidate {manifest.candidate[:12]} names no snapshots; nothing can be made of it"
        )
    return Rebuilt(*first, named.digest, _difference(lake, manifest, *first))


def _candidates(lake: Lake, manifest: Manifest) -> Iterator[pl.DataFrame]:
    """The training set for each number of selecting snapshots that the manifest allows, the usual one first."""
    versions = {table: manifest.tables[table].version for table in MADE_FROM}
    features = _features(lake, manifest)
    columns = [*features, "churned", "role"]
    if (split := SPLIT_BY_CUSTOMER.fullmatch(manifest.split)) is not None:
        training = Training(seed=int(split["seed"]), held_out_share=float(split["share"]))
        rows = _read(lambda: rows_by_customer(lake, versions, training, seen=features), manifest)
        if split["together"] is None:
            rows = rows.with_columns(role=roles_by_id(rows["customer_id"], training))
        yield rows.select("customer_id", *columns)
        return
    read = tuple(sorted(manifest.trained_on))
    rows = _read(
        lambda: rows_by_time(lake, versions, dict.fromkeys(read, TRAIN) | dict.fromkeys(manifest.judged_on, JUDGE)),
        manifest,
    ).select("customer_id", "snapshot_s", *columns)
    snapshots = rows.filter(pl.col("role") != JUDGE)["snapshot_s"].unique().sort().to_list()
    for selecting in range(1, len(snapshots)):
        chooses = pl.col("snapshot_s").is_in(snapshots[-selecting:])
        yield rows.with_columns(role=pl.when(chooses).then(pl.lit(SELECT)).otherwise("role"))


def _features(lake: Lake, manifest: Manifest) -> Sequence[str]:
    """The features of the training set: the model's inputs, and those that were constant, which the table's columns alone name."""
    version = manifest.tables["training_set"].version
    try:
        stored = lake.scan("training_set", version=version).collect_schema().names()
    except (InputError, DeltaError):  # never written here, or the log no longer has the version
        return manifest.signature.names
    features = [name for name in stored if name not in {*NOT_SEEN, PERIOD}]
    return features if set(manifest.signature.names) <= set(features) else manifest.signature.names


def _read(read: Any, manifest: Manifest) -> pl.DataFrame:
    try:
        rows: pl.DataFrame = read()
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        versions = ", ".join(f"{table} {manifest.tables[table].version}" for table in MADE_FROM)
        raise InputError(
            f"the training set can't be made again: files of {versions} were removed from the lake (vacuumed); bring them back "
            "from a backup"
        ) from error
    return rows


def _difference(lake: Lake, manifest: Manifest, rows: pl.DataFrame, found: str) -> str:
    """By what the rows differ from those that the lake kept of the training set itself, where it still does."""
    named = manifest.tables["training_set"]
    said = f"not equal: digest {found[:12]}, the manifest says {str(named.digest)[:12]}"
    expected = manifest.training_rows + manifest.judging_rows
    if rows.height != expected:
        said += f"; {rows.height:,} rows, the manifest says {expected:,}"
    try:
        kept = read_at(lake, "training_set", ALL, named.version)
    except InputError:
        return said + f"; version {named.version} of training_set can't be read to name the rows"
    if digest_at("training_set", kept) != named.digest:
        return said + f"; version {named.version} of training_set in the lake is not what the manifest speaks of either"
    differ = difference("training_set", ALL, kept, rows)
    columns = ", ".join(
        f"{name} ({count:,} rows)" if count else f"{name} (in one only)" for name, count in differ.columns.items()
    )
    return said + (
        f"; against version {named.version} of training_set {differ.added:,} rows are new, {differ.removed:,} are missing and "
        f"{differ.changed:,} have other values{f' in {columns}' if columns else ''}"
    )
