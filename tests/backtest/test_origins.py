"""Which snapshots a fold reads: no label that ends after what it is judged or calibrated on begins."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.backtest.origins import age, origins, stratified
from churn_assets.periods import Cadence, Calendar
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings
from churn_store.errors import InputError
from tests.backtest.company import settings_of, snapshots

FIRST = date(2024, 1, 1)


def settings(cadence: Cadence, horizon: int, selecting: int = 1, training: int = 18) -> Settings:
    return Settings(
        company="shop",
        cadence=cadence,
        source=SyntheticSettings(start=FIRST),
        label=Label(horizon_days=horizon),
        training=Training(selecting_snapshots=selecting, training_snapshots=training),
    )


def days(cadence: Cadence, number: int) -> list[date]:
    """The first so many snapshots."""
    calendar, found = Calendar(cadence, FIRST), [FIRST]
    while len(found) < number:
        found.append(calendar.next(found[-1]))
    return found


CADENCES: st.SearchStrategy[Cadence] = st.sampled_from(["monthly", "weekly", "daily"])


@given(CADENCES, st.integers(1, 120), st.integers(1, 3), st.integers(1, 5), st.integers(2, 6), st.integers(0, 4))
def test_every_label_window_ends_before_the_next_role_begins_whatever_the_horizon(
    cadence: Cadence, horizon: int, selecting: int, training: int, folds: int, more: int
) -> None:
    asked = settings(cadence, horizon, selecting, training)
    mature = days(cadence, 40)
    gap = timedelta(days=horizon)
    try:
        found = origins(mature, asked.calendar, asked.label, asked.training, folds=folds, more=more)
    except InputError as error:
        needed = int(str(error).split(" folds needs ")[1].split()[0])
        assert needed > len(mature)
        assert len(origins(days(cadence, needed), asked.calendar, asked.label, asked.training, folds=folds)) == folds
        with pytest.raises(InputError, match=f"needs {needed} snapshots"):
            origins(days(cadence, needed - 1), asked.calendar, asked.label, asked.training, folds=folds)
        return
    assert folds <= len(found) <= folds + more
    assert [fold.judge for fold in found] == [(day,) for day in mature[-len(found) :]]
    for fold in found:
        assert max(fold.train) + gap <= min(fold.select)
        assert max(fold.select) + gap <= fold.judge[0]
        assert fold.select[-1] == max(day for day in mature if day + gap <= fold.judge[0]), "the newest admissible one"
        assert len(fold.select) == selecting
        assert 1 <= len(fold.train) <= training


@given(CADENCES, st.integers(1, 60))
def test_a_model_is_as_many_periods_old_as_a_fresh_one_has_read_further(cadence: Cadence, horizon: int) -> None:
    asked = settings(cadence, horizon)
    mature = days(cadence, 200)
    found = origins(mature, asked.calendar, asked.label, asked.training, folds=6, more=6)
    for former, later in pairwise(found):
        assert age(former, former, asked.calendar) == 0
        assert age(former, later, asked.calendar) == mature.index(later.select[-1]) - mature.index(former.select[-1])


def test_too_few_snapshots_are_refused_with_how_many_there_are_and_how_many_are_needed(tmp_path: Path) -> None:
    asked = settings_of(tmp_path)
    with pytest.raises(InputError) as refused:
        origins(snapshots(7), asked.calendar, asked.label, asked.training, folds=6)
    assert str(refused.value) == (
        "7 snapshots have mature labels (2024-01-01 to 2024-07-01), of which 4 can test a model that was trained on earlier ones, with "
        "30 days of labels in between; a backtest of 6 folds needs 9 snapshots. Bring more history, or ask for fewer folds"
    )
    assert len(origins(snapshots(9), asked.calendar, asked.label, asked.training, folds=6)) == 6
    with pytest.raises(InputError, match=r"^0 snapshots have mature labels, of which 0 can test"):
        origins([], asked.calendar, asked.label, asked.training, folds=6)


def test_stratified_folds_hold_the_same_share_of_churners_and_every_row_once() -> None:
    rows = pl.DataFrame({"churned": [number % 4 == 0 for number in range(203)]})
    dealt = rows.with_columns(fold=stratified(rows, 5, seed=1))
    counted = dealt.group_by("fold").agg(pl.len().alias("rows"), pl.col("churned").sum()).sort("fold")
    assert counted["fold"].to_list() == [0, 1, 2, 3, 4]
    assert counted["rows"].max() - counted["rows"].min() <= 2
    assert counted["churned"].max() - counted["churned"].min() <= 1
    assert stratified(rows, 5, seed=1).equals(dealt["fold"])
    assert not stratified(rows, 5, seed=2).equals(dealt["fold"])


@pytest.mark.parametrize("churned", [[False] * 50, [True] + [False] * 49], ids=["one class", "one churner"])
def test_a_class_with_fewer_rows_than_folds_makes_no_stratified_folds(churned: list[bool]) -> None:
    with pytest.raises(InputError, match=f"{sum(churned)} of 50 rows churned; 5 stratified folds need at least 5 of each"):
        stratified(pl.DataFrame({"churned": churned}), 5, seed=1)
