"""The origins of a backtest: what could be known when a snapshot was the newest, and how old an earlier model was by then.

Belongs here: which snapshots a fold reads. Does not belong here: the rows (``training.training_set``), and what is fitted on them (``rolling``).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from churn_assets.periods import Calendar
from churn_assets.settings.company import Label, Training
from churn_assets.training.split import Roles, roles_by_time
from churn_store.errors import InputError

STRATIFIED_FOLDS = 5
"""Of data without time."""

MOST_TRIED = 10_000
"""Where so many snapshots would not make the folds, no number does."""


def origins(
    mature: Sequence[date], calendar: Calendar, label: Label, training: Training, *, folds: int, more: int = 0
) -> list[Roles]:
    """The newest snapshots that a model could have been tested on, each with what it may be trained and calibrated on.

    A fold has the roles that a training set would have had, had its test snapshot been the newest: the label windows of the
    training snapshots end before the calibrating ones begin, and theirs before the test snapshot.

    Args:
        mature: snapshots whose labels are mature.
        calendar: periods of the company.
        label: the horizon.
        training: how a training set is cut.
        folds: smallest number of folds.
        more: further ones before those, where there are any.

    Returns:
        In the order of time; of each, ``judge`` is the one test snapshot.

    Raises:
        InputError: if there are fewer.
    """
    found = _admissible(sorted(mature), label.horizon, training)
    if len(found) < folds:
        there = f" ({min(mature)} to {max(mature)})" if mature else ""
        raise InputError(
            f"{len(mature)} snapshots have mature labels{there}, of which {len(found)} can test a model that was trained on earlier "
            f"ones, with {label.horizon_days} days of labels in between; a backtest of {folds} folds needs "
            f"{_needed(sorted(mature), calendar, label, training, folds)} snapshots. Bring more history, or ask for fewer folds"
        )
    return found[-(folds + more) :]


def age(model: Roles, fresh: Roles, calendar: Calendar) -> int:
    """By how many periods the newest snapshot that a model has read is older than what a fresh one has read."""
    return periods_between(model.select[-1], fresh.select[-1], calendar)


def periods_between(earlier: date, later: date, calendar: Calendar) -> int:
    """How many periods lie between two snapshots."""
    return len(calendar.keys(later, first=earlier)) - 1


def stratified(rows: pl.DataFrame, folds: int, *, seed: int, copies: pl.Series | None = None) -> pl.Series:
    """A fold for each row of data without time, 0 to ``folds`` - 1, each with the same share of churners.

    Args:
        rows: ``churned``.
        folds: number of folds.
        seed: seed of the shuffle.
        copies: the customer that each row is kept together with (``training.equal_rows``); default: each row by itself.

    Raises:
        InputError: a class has fewer rows than there are folds.
    """
    least = int(rows["churned"].value_counts()["count"].min() or 0) if rows["churned"].n_unique() > 1 else 0  # type: ignore[arg-type]
    if least < folds:
        raise InputError(
            f"{rows['churned'].sum()} of {rows.height} rows churned; {folds} stratified folds need at least {folds} of each class"
        )
    shuffled = rows.select("churned").with_row_index().sample(fraction=1.0, shuffle=True, seed=seed)
    dealt = shuffled.with_columns(fold=pl.int_range(pl.len()).over("churned") % folds)
    fold = dealt.sort("index").select("fold")
    return fold["fold"] if copies is None else fold.select(pl.col("fold").first().over(copies)).to_series()


def _admissible(ordered: Sequence[date], horizon: timedelta, training: Training) -> list[Roles]:
    one = training.model_copy(update={"judging_snapshots": 1})
    found = []
    for position in range(len(ordered)):
        try:
            found.append(roles_by_time(ordered[: position + 1], horizon=horizon, training=one))
        except InputError:  # too early for anything to have been known
            continue
    return found


def _needed(ordered: Sequence[date], calendar: Calendar, label: Label, training: Training, folds: int) -> int:
    """How many snapshots there must be, counted on by the calendar."""
    longer = list(ordered) or [calendar.first]
    while len(longer) < MOST_TRIED and len(_admissible(longer, label.horizon, training)) < folds:
        longer.append(calendar.next(longer[-1]))
    return len(longer)
