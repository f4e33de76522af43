"""A window beside all earlier ones: how unusual, and since when."""

from typing import Any

import msgspec
import pytest

from churn_assets.monitoring.drift_history import moved_since, movement, unusual
from churn_store.monitoring.facts import FeatureMove

CALM = FeatureMove(
    feature="a", rows=500, ks=None, welch_t=None, psi=0.0, wasserstein=None, chi_square=None, jensen_shannon=0.0, p_value=1.0,
    cut=0.05, mean=None, baseline_mean=None, mean_shift=None, missing=0.0, importance=None, judged=True, drifted=False,
)  # fmt: skip


def move(**changes: Any) -> FeatureMove:
    return msgspec.structs.replace(CALM, **changes)


def test_a_window_whose_features_stand_at_their_cuts_has_moved_by_one() -> None:
    assert movement([move(psi=0.05), move(psi=0.2, cut=0.2)]) == pytest.approx(1.0)


def test_a_move_counts_by_the_features_importance_where_that_is_known() -> None:
    of_weight, of_none = move(psi=0.1, importance=0.9), move(psi=0.0, importance=0.1)
    without = [move(psi=0.1), move(psi=0.0)]
    assert movement([of_weight, of_none]) > movement(without) > 0
    assert movement([move(psi=0.0, importance=0.9), move(psi=0.1, importance=-0.001)]) == 0.0


def test_what_is_only_shown_does_not_count_and_a_window_of_it_alone_has_no_movement() -> None:
    assert movement([move(psi=9.0, judged=False), move(psi=0.0)]) == 0.0
    assert movement([move(psi=9.0, judged=False)]) is None
    assert movement([]) is None


def test_a_window_is_as_unusual_as_the_share_of_earlier_ones_that_moved_less() -> None:
    assert unusual(0.5, [0.1, None, 0.2, 0.9, 0.4]) == 0.75
    assert unusual(0.5, [None]) is None
    assert unusual(None, [0.1]) is None
    assert unusual(0.1, [0.1, 0.1]) == 0.0


@pytest.mark.parametrize(
    ("moved", "since"),
    [
        ([False, True, True], 1),
        ([True, False, True], 2),
        ([True, True, False], None),
        ([True, None, True], 0),
        ([False, None, True, None], 2),
        ([False, None], None),
        ([None, True], 1),
        ([], None),
    ],
)
def test_the_stretch_begins_with_the_first_window_that_moved_without_a_break(
    moved: list[bool | None], since: int | None
) -> None:
    found = moved_since({str(place): one for place, one in enumerate(moved)})
    assert found == (None if since is None else str(since))
