"""The split into training, selecting and judging rows: by time, with a gap of one horizon between roles.

A customer appears in many snapshots, so a random split would judge on people whose next month was trained on. Rows are
split by snapshot instead. The newest mature snapshots judge. Selecting snapshots end one horizon before the first judging one, and
training snapshots one horizon before the first selecting one. Data without time can only be split by customer.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.equal_rows import copy_representatives
from churn_store.errors import InputError

HALF = 0.5


@dataclass(frozen=True)
class Roles:
    """The snapshots of each role, oldest first."""

    train: tuple[date, ...]
    select: tuple[date, ...]
    judge: tuple[date, ...]

    def of(self, snapshot: date) -> str | None:
        """The role of a snapshot; `None` for one in a gap."""
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


def roles_by_customer(rows: pl.DataFrame, training: Training, *, inputs: Sequence[str] | None = None) -> pl.Series:
    """Give each row of data without time its role, by a hash of the customer's id. Rows that are equal to a model have one role.

    A customer keeps the role when others come or go, so no model is judged on customers that an earlier one was trained on. The
    shares of the roles follow the settings, and the churn rates of the roles are equal, both up to chance. Of equal rows the one with the
    least id decides (``equal_rows``).

    Args:
        rows: rows with ``customer_id`` and the features.
        training: settings with the held-out share and the seed.
        inputs: columns that a model sees; default: all but key, label and role.

    Returns:
        The role of each row.
    """
    return roles_by_id(copy_representatives(rows, inputs), training)


def roles_by_id(customers: pl.Series, training: Training) -> pl.Series:
    """The role of each customer by a hash of the id alone."""
    ranks = hash_ranks(customers, str(training.seed))
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
"""Addition to the words of a split in which equal rows changed the role of some row."""


def split_in_words(rows: pl.DataFrame, training: Training) -> str:
    """The rule by which the judging rows of a training set were held out, for people and the manifest.

    Args:
        rows: rows of the training set: ``customer_id``, the features, ``role``, and ``snapshot_s`` where data has time.
        training: settings with the held-out share and the seed.

    Raises:
        InputError: the rows were split with another share or seed, or by an older rule.
    """
    if "snapshot_s" in rows.columns:
        return "by time"
    roles = roles_by_customer(rows, training)
    is_by_id = roles.equals(roles_by_id(rows["customer_id"], training))
    rule = f"by customer{'' if is_by_id else TOGETHER}: seed {training.seed}, held out {training.held_out_share:g}"
    if not roles.equals(rows["role"]):
        raise InputError(f"the training set was not split {rule}, as the settings say now; materialize training_set first")
    return rule


def hold_out_draw(split: str) -> str:
    """The part of a split in words that decides who is held out; splits with the same part differ at most in rows that have an equal one."""
    return split.replace(TOGETHER, "")


def hash_ranks(customers: pl.Series, draw: str) -> pl.Series:
    """Hash each customer's id to a number in [0, 1): constant for one name of a draw, independent between names.

    Args:
        customers: ids of customers, with or without repetitions.
        draw: name of the draw, which salts the hash.
    """
    ranks = {
        customer: int.from_bytes(hashlib.blake2b(f"{draw}:{customer}".encode(), digest_size=8).digest(), "big") / 2**64
        for customer in customers.unique()
    }
    return customers.replace_strict(ranks, return_dtype=pl.Float64)


def sample_customers(rows: pl.DataFrame, limit: int, *, draw: str) -> pl.DataFrame:
    """A sample of whole customers with at most ``limit`` rows; the same customers for the same draw.

    Args:
        rows: rows with ``customer_id`` and any other columns.
        limit: greatest number of rows.
        draw: name of the draw (``hash_ranks``).
    """
    if rows.height <= limit:
        return rows
    ranked = rows.select(rank=hash_ranks(rows["customer_id"], draw))
    by_customer = ranked.group_by("rank").len().sort("rank").with_columns(pl.col("len").cum_sum())
    last = by_customer.filter(pl.col("len") <= limit)["rank"].max()
    return rows.filter(ranked["rank"] <= last)


def first_half(rows: pl.DataFrame, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each row's customer is in the first half of a random split of the customers."""
    half: npt.NDArray[np.bool_] = (hash_ranks(rows["customer_id"], f"{seed}:halves") < HALF).to_numpy()
    return half
