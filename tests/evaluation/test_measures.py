"""Measures against values worked out by hand, and under any weights against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from churn_assets.evaluation.calibration import log_odds
from churn_assets.evaluation.measures import (
    Labels,
    Ranked,
    Scores,
    calibration_intercept,
    calibration_slope,
    lift,
    measures,
    weighted_auc,
)
from churn_store.errors import InputError
from tests.evaluation.rows import right_scores, scored

CHURNED = np.array([False, False, True, False, True, True, False, False, False, True])
SCORES = np.array([0.05, 0.1, 0.15, 0.2, 0.6, 0.7, 0.75, 0.3, 0.35, 0.9])


def test_the_measures_are_what_they_are_by_hand() -> None:
    found = measures(CHURNED, SCORES, threshold=0.5)
    pairs = [float(p > q) + (p == q) / 2 for p in SCORES[CHURNED] for q in SCORES[~CHURNED]]
    assert found["auc"] == pytest.approx(np.mean(pairs))
    assert found["brier"] == pytest.approx(np.mean((SCORES - CHURNED) ** 2))
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(np.where(CHURNED, SCORES, 1 - SCORES))))
    # By rank of score: churner, no, churner, churner, no, no, no, churner: precision at each churner.
    assert found["average_precision"] == pytest.approx(np.mean([1 / 1, 2 / 3, 3 / 4, 4 / 8]))
    assert found["lift_top_decile"] == pytest.approx(1 / 0.4)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((3 / 4, 3 / 4, 3 / 4))
    assert (found["accuracy"], found["base_rate"]) == pytest.approx((0.8, 0.4))
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert [found[name] for name in counts] == [3, 1, 1, 5]


@given(scored())
def test_the_measures_under_weights_are_those_of_scikit_learn(rows: tuple[Labels, Scores, Scores]) -> None:
    churned, scores, weights = rows
    found, called, given_ = (
        Ranked(churned, scores, threshold=0.5).measures(weights),
        scores >= 0.5,
        {"sample_weight": weights},
    )
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(churned, scores, **given_))
    assert found["auc"] == weighted_auc(churned, scores)(weights)
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(churned, scores, **given_))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(churned, scores, **given_))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(churned, scores, **given_))
    assert found["precision"] == pytest.approx(metrics.precision_score(churned, called, zero_division=0.0, **given_))
    assert found["recall"] == pytest.approx(metrics.recall_score(churned, called, **given_))
    assert found["f1"] == pytest.approx(metrics.f1_score(churned, called, zero_division=0.0, **given_))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(churned, called, **given_))


@given(scored())
def test_a_row_that_weighs_three_is_three_rows(rows: tuple[Labels, Scores, Scores]) -> None:
    churned, scores, weights = rows
    times = weights.astype(int)
    repeated = measures(np.repeat(churned, times), np.repeat(scores, times), threshold=0.5)
    weighted = Ranked(churned, scores, threshold=0.5).measures(weights)
    assert weighted == pytest.approx(repeated, rel=1e-3, abs=1e-4)


@given(scored())
def test_the_order_of_the_rows_changes_nothing(rows: tuple[Labels, Scores, Scores]) -> None:
    churned, scores, _ = rows
    assert measures(churned[::-1], scores[::-1], threshold=0.3) == pytest.approx(measures(churned, scores, threshold=0.3))


@pytest.mark.parametrize(("stretch", "slope"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0), (4.0, 0.25)])
def test_the_calibration_slope_says_how_far_scores_are_stretched(stretch: float, slope: float) -> None:
    churned, scores = right_scores(20_000, seed=1)
    stretched = 1 / (1 + np.exp(-stretch * log_odds(scores)))
    assert calibration_slope(churned, stretched) == pytest.approx(slope, rel=0.06)
    fitted = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(log_odds(stretched).reshape(-1, 1), churned)
    assert calibration_slope(churned, stretched) == pytest.approx(fitted.coef_[0, 0], rel=1e-4)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 0.7])
def test_the_calibration_intercept_says_how_far_scores_are_shifted_whatever_their_slope(shift: float) -> None:
    churned, scores = right_scores(40_000, seed=2)
    shifted = 1 / (1 + np.exp(-(log_odds(scores) - shift)))
    assert calibration_intercept(churned, shifted) == pytest.approx(shift, abs=0.06)
    corrected = 1 / (1 + np.exp(-(log_odds(shifted) + calibration_intercept(churned, shifted))))
    assert corrected.mean() == pytest.approx(churned.mean(), abs=1e-6)


def test_certain_scores_and_a_single_score_have_a_slope() -> None:
    assert 1 < calibration_slope(CHURNED, CHURNED.astype(float)) < 100
    assert calibration_slope(CHURNED, np.full(10, 0.3)) == pytest.approx(0, abs=1e-6)
    assert calibration_slope(CHURNED, 1 - CHURNED.astype(float)) < -1


@pytest.mark.parametrize(("share", "expected"), [(0.1, 2.5), (0.3, 2.5 * 2 / 3), (1.0, 1.0), (0.01, 2.5)])
def test_lift_looks_at_the_highest_scores(share: float, expected: float) -> None:
    assert lift(CHURNED, SCORES, share=share) == pytest.approx(expected)


def test_lift_takes_a_part_of_equal_scores() -> None:
    assert lift(CHURNED, np.full(10, 0.3), share=0.1) == pytest.approx(1.0)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_one_class_alone_is_refused_with_a_sentence(all_of_them: bool) -> None:
    with pytest.raises(InputError, match=f"all 5 rows {'churned' if all_of_them else 'stayed'}; expected both"):
        measures(np.full(5, all_of_them), np.linspace(0, 1, 5), threshold=0.5)
