"""The origins of a backtest: for each test snapshot, the earlier snapshots that its model may read, and the age of older models.

Belongs here: which snapshots a fold reads. Does not belong here: the rows (``training.training_set``), and what is fitted on them (``rolling``).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from churn_assets.periods import Calendar
from churn_assets.settings.label import Label
from churn_assets.settings.training import Training
from churn_assets.training.split import Roles, roles_by_time
from churn_store.errors import InputError

STRATIFIED_FOLDS = 5
"""Default number of folds for data without time."""

MOST_SNAPSHOTS = 10_000
"""Number of snapshots at which the count of needed snapshots gives up."""


def origins(
    mature: Sequence[date], calendar: Calendar, label: Label, training: Training, *, folds: int, more: int = 0
) -> list[Roles]:
    """The folds with the newest test snapshots, each with the snapshots that its model is trained and calibrated on.

    A fold has the roles of a training set whose newest snapshot is the test snapshot. The label windows of training snapshots end before
    the calibrating ones begin, and those of the calibrating ones before the test snapshot.

    Args:
        mature: snapshots whose labels are mature.
        calendar: calendar of the company's periods.
        label: definition of churn, with the horizon.
        training: settings of the split.
        folds: least number of folds.
        more: greatest number of further, earlier folds.

    Returns:
        Roles of each fold, oldest first; ``judge`` has the test snapshot alone.

    Raises:
        InputError: there are fewer folds.
    """
    admissible = _admissible(sorted(mature), label.horizon, training)
    if len(admissible) < folds:
        span = f" ({min(mature)} to {max(mature)})" if mature else ""
        raise InputError(
            f"{len(mature)} snapshots have mature labels{span}, of which {len(admissible)} can test a model that was trained on earlier "
            f"ones, with {label.horizon_days} days of labels in between; a backtest of {folds} folds needs "
            f"{_needed(sorted(mature), calendar, label, training, folds)} snapshots. Bring more history, or ask for fewer folds"
        )
    return admissible[-(folds + more) :]


def age(model: Roles, fresh: Roles, calendar: Calendar) -> int:
    """The age of a model in periods: how much older its newest snapshot is than that of a fresh model."""
    return periods_between(model.select[-1], fresh.select[-1], calendar)


def periods_between(earlier: date, later: date, calendar: Calendar) -> int:
    """The number of periods between two snapshots."""
    return len(calendar.keys(later, first=earlier)) - 1


def stratified(rows: pl.DataFrame, folds: int, *, seed: int, copies: pl.Series | None = None) -> pl.Series:
    """A fold for each row of data without time, 0 to ``folds`` - 1, each with the same share of churners.

    Args:
        rows: rows with ``churned``.
        folds: number of folds.
        seed: seed of the shuffle.
        copies: customer that stands for each row and its copies (``training.equal_rows``), which share a fold; default: no copies.

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
    one_test_snapshot = training.model_copy(update={"judging_snapshots": 1})
    folds = []
    for position in range(len(ordered)):
        try:
            folds.append(roles_by_time(ordered[: position + 1], horizon=horizon, training=one_test_snapshot))
        except InputError:  # too early: not enough snapshots before it
            continue
    return folds


def _needed(ordered: Sequence[date], calendar: Calendar, label: Label, training: Training, folds: int) -> int:
    """The number of snapshots that the folds need, if the calendar went on."""
    longer = list(ordered) or [calendar.first]
    while len(longer) < MOST_SNAPSHOTS and len(_admissible(longer, label.horizon, training)) < folds:
        longer.append(calendar.next(longer[-1]))
    return len(longer)
