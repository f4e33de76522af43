"""Scores the customers at risk at a snapshot, whose features the lake has.

Belongs here: the file of scores of a snapshot, and how the graph's lake is asked without importing the graph. Does not belong here:
the lake (``churn_assets.scoring.snapshots``), and a company's own file (``score_file``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path

import polars as pl

from churn_store.batch.columns import CUSTOMER_ID
from churn_store.batch.request import refuse_places, require_separator
from churn_store.batch.row_writer import RowWriter
from churn_store.batch.scores import CHURN, PROBABILITY, scores_of
from churn_store.batch.tables import format_of
from churn_store.errors import AbsentError, InputError
from churn_store.redaction import shown_names
from churn_store.releases.bundles import Bundle
from churn_store.releases.lifecycle import SHOWN_DIGITS

NEWEST = "newest"
"""Name of the newest snapshot that the lake has."""

GROUP = "churn.snapshots"
"""Entry points that give the rows of a snapshot; the graph has one."""

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class SnapshotRows:
    """Everyone at risk at a snapshot.

    Attributes:
        day: day of the snapshot.
        rows: ``customer_id`` and the features, one row for each customer.
    """

    day: date
    rows: pl.DataFrame


Snapshots = Callable[[str], SnapshotRows]
"""Function from the name of a snapshot, a day or ``NEWEST``, to its rows; raises ``InputError`` where there is none."""


@dataclass(frozen=True)
class SnapshotScored:
    """The result of scoring a snapshot.

    Attributes:
        day: day of the snapshot.
        rows: number of customers scored.
        leaving: number of them called churn.
        without_number: number of customers to whom the model gave no number; they are left out.
        shows_ids: whether the file has a second column of ids, as a spreadsheet may run some of them.
    """

    day: date
    rows: int
    leaving: int
    without_number: int
    shows_ids: bool


def installed_snapshots() -> Snapshots:
    """The lake's snapshots.

    Raises:
        AbsentError: if the graph is not installed.
    """
    for found in entry_points(group=GROUP):
        snapshots: Snapshots = found.load()
        return snapshots
    raise AbsentError(
        "the asset graph is not installed here, and the lake is its own; install the whole platform, or score a file"
    )


def score_snapshot(bundle: Bundle, found: SnapshotRows, target: Path, *, separator: str, force: bool) -> SnapshotScored:
    """Write the scores of a snapshot: ``customer_id``, ``probability``, ``churn``, ``snapshot``.

    Args:
        bundle: bundle of the release.
        found: the snapshot.
        target: file of scores.
        separator: field separator of a CSV file.
        force: whether an existing file is replaced.

    Raises:
        InputError: if the features are not those of the release, nobody is at risk, or the file can't be written.
    """
    format_of(target)
    refuse_places(target, source=None, force=force)
    require_separator(separator)
    names = bundle.manifest.signature.names
    if lacking := [name for name in names if name not in found.rows.columns]:
        raise InputError(
            f"the lake's features of {found.day} have no {shown_names(lacking)}, which release {bundle.digest[:SHOWN_DIGITS]} takes; "
            "train and release a model of the present features first, or name an older snapshot"
        )
    if not found.rows.height:
        raise InputError(f"nobody is at risk at the snapshot {found.day}, so nothing was scored; {target} was not written")
    scores = scores_of(bundle, found.rows).select(PROBABILITY, CHURN)
    whole = found.rows.select(CUSTOMER_ID).hstack(scores).with_columns(pl.lit(found.day).alias(SNAPSHOT))
    finite = whole.filter(pl.col(PROBABILITY).is_finite())
    with RowWriter(target, separator=separator, ids=CUSTOMER_ID) as writer:
        writer.write(finite)
        writer.put_in_place()
    return SnapshotScored(
        found.day, finite.height, int(finite[CHURN].sum()), whole.height - finite.height, writer.shows_ids
    )
