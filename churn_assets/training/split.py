"""Which rows train, which choose between families, which judge: by time, with a gap of one horizon in between.

A customer appears in many snapshots, so a random split would test on people whose next month was trained on. Rows are
split by snapshot instead: judging snapshots are the newest mature ones; selecting snapshots end one horizon before those
begin; training snapshots end one horizon before the selecting ones. Data without time can only be split by customer, and the order
of time can't be checked there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.settings.company import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.equal_rows import copies_of
from churn_store.errors import InputError

HALF = 0.5


@dataclass(frozen=True)
class Roles:
    """The snapshots by role, each in the order of time."""

    train: tuple[date, ...]
    select: tuple[date, ...]
    judge: tuple[date, ...]

    def of(self, snapshot: date) -> str | None:
        """The role of a snapshot; none for one that falls into a gap."""
        for role, snapshots in ((TRAIN, self.train), (SELECT, self.select), (JUDGE, self.judge)):
            if snapshot in snapshots:
                return role
        return None


def roles_by_time(mature: Sequence[date], *, horizon: timedelta, training: Training) -> Roles:
    """Give each mature snapshot its role.

    Raises:
        InputError: too few mature snapshots for training, selecting and judging with gaps in between.
    """
    ordered = sorted(mature)
    judge = ordered[-training.judging_snapshots :]
    before_judging = [snapshot for snapshot in ordered if judge and snapshot + horizon <= judge[0]]
    select = before_judging[-training.selecting_snapshots :]
    before_selecting = [snapshot for snapshot in before_judging if select and snapshot + horizon <= select[0]]
    train = before_selecting[-training.training_snapshots :]
    if len(judge) < training.judging_snapshots or len(select) < training.selecting_snapshots or not train:
        raise InputError(
            f"{len(ordered)} snapshots have mature labels"
            + (f" ({ordered[0]} to {ordered[-1]})" if ordered else "")
            + f"; training needs at least one more than {training.judging_snapshots} for judging and "
            f"{training.selecting_snapshots} for selecting, with {horizon.days} days of labels between them. Ingest more periods and build "
            "their features and labels; `churn validate` says which settings would do with those that are there"
        )
    return Roles(tuple(train), tuple(select), tuple(judge))


def roles_by_customer(rows: pl.DataFrame, training: Training, *, seen: Sequence[str] | None = None) -> pl.Series:
    """Give each row of data without time its role, by a hash of the customer; rows that a model can't tell apart have one role.

    A customer keeps the role when others come or go, so no later model is judged on whom an earlier one was trained on. The
    shares of the roles, and of churn in each, are equal up to chance. Of rows that are equal in everything that a model sees, the
    one with the least id decides (``equal_rows``).

    Args:
        rows: ``customer_id`` and the features.
        training: the held-out share and the seed.
        seen: columns that a model sees; default: all but key, label and role.

    Returns:
        A role a row.
    """
    return roles_by_id(copies_of(rows, seen), training)


def roles_by_id(customers: pl.Series, training: Training) -> pl.Series:
    """The role of each customer by a hash of the id alone."""
    ranks = places(customers, str(training.seed))
    judge_from, select_from = 1 - training.held_out_share, 1 - 1.5 * training.held_out_share
    return pl.select(
        pl.when(ranks >= judge_from)
        .then(pl.lit(JUDGE))
        .when(ranks >= select_from)
        .then(pl.lit(SELECT))
        .otherwise(pl.lit(TRAIN))
        .alias("role")
    ).to_series()


TOGETHER = ", equal rows together"
"""What the words of a split say besides where some row is on another side than by its customer's id."""


def split_in_words(rows: pl.DataFrame, training: Training) -> str:
    """How the judging rows of a training set were kept apart.

    Args:
        rows: rows of the training set: ``customer_id``, the features, ``role``, and ``snapshot_s`` where data has time.
        training: the held-out share and the seed.

    Raises:
        InputError: the rows were split by another share or seed, or by an older rule.
    """
    if "snapshot_s" in rows.columns:
        return "by time"
    roles = roles_by_customer(rows, training)
    is_by_id = roles.equals(roles_by_id(rows["customer_id"], training))
    said = f"by customer{'' if is_by_id else TOGETHER}: seed {training.seed}, held out {training.held_out_share:g}"
    if not roles.equals(rows["role"]):
        raise InputError(f"the training set was not split {said}, as the settings say now; materialize training_set first")
    return said


def draw_of(split: str) -> str:
    """The draw that a split in words holds customers out by; two of the same draw differ at most in rows that have an equal one."""
    return split.replace(TOGETHER, "")


def places(customers: pl.Series, draw: str) -> pl.Series:
    """Each customer's place in [0, 1): the same for ever in the same draw, unrelated to that in another.

    Args:
        customers: ids, repeated or not.
        draw: name of the draw.
    """
    found = customers.unique()
    place = {
        customer: int.from_bytes(hashlib.blake2b(f"{draw}:{customer}".encode(), digest_size=8).digest(), "big") / 2**64
        for customer in found
    }
    return customers.replace_strict(place, return_dtype=pl.Float64)


def drawn(rows: pl.DataFrame, limit: int, *, draw: str) -> pl.DataFrame:
    """All rows of as many customers as there are rows to be had; the same customers in the same draw.

    Args:
        rows: ``customer_id`` and any other columns.
        limit: number of rows, at most.
        draw: name of the draw.
    """
    if rows.height <= limit:
        return rows
    placed = rows.select(place=places(rows["customer_id"], draw))
    by_customer = placed.group_by("place").len().sort("place").with_columns(pl.col("len").cum_sum())
    last = by_customer.filter(pl.col("len") <= limit)["place"].max()
    return rows.filter(placed["place"] <= last)


def first_half(rows: pl.DataFrame, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each row's customer is in the first half of a draw of all customers."""
    half: npt.NDArray[np.bool_] = (places(rows["customer_id"], f"{seed}:halves") < HALF).to_numpy()
    return half
