"""Customers who were treated show what happens under the offer: they are left out, and those held out stand for them."""

import numpy as np
import pytest

from churn_assets.evaluation.measures import auc
from churn_assets.performance.history import Row
from churn_assets.treatments.records import treatments_between
from tests.performance.made import Company, drawn, mean_log_loss, months, probabilities, whole

KEY, *_ = months(1)
COUNT, CALLED = 12_000, 2_400
PROPENSITY, TAKES = 0.7, 0.6


def campaign(company: Company, *, propensity: float | None = PROPENSITY) -> tuple[Row, float, float]:
    """Those at the greatest risk are called but for some held out by chance, and many of them stay because of it; the row, the true AUC and log loss."""
    seed = int(KEY.replace("-", ""))
    scores = probabilities(COUNT, seed)
    truth = drawn(scores, seed)  # what they would do if nobody called
    random = np.random.default_rng(8)
    listed = np.argsort(-scores)[:CALLED]
    is_called = random.random(CALLED) < PROPENSITY
    kept = listed[is_called & (random.random(CALLED) < TAKES)]
    company.month(KEY, count=COUNT, kept=kept)
    company.treats(KEY, listed[is_called].tolist(), treated=True, propensity=propensity)
    company.treats(KEY, listed[~is_called].tolist(), treated=False, propensity=propensity)
    return whole(company.judged(KEY)), auc(truth, scores), mean_log_loss(scores, truth)


def test_under_a_campaign_the_true_auc_and_log_loss_come_back(company: Company) -> None:
    row, true_auc, true_loss = campaign(company)
    seed = int(KEY.replace("-", ""))
    scores = probabilities(COUNT, seed)
    assert row.lacking == ""
    for name, truth in (("auc", true_auc), ("log_loss", true_loss)):
        measure = row.measures[name]
        assert measure.low <= truth <= measure.high
        assert abs(measure.value - truth) < 0.02
    assert row.rows < COUNT - 1_500  # those who were called are left out
    assert row.effective_rows < row.rows
    assert row.promised == pytest.approx(scores.mean(), rel=0.05)
    assert row.details.counts["treated"] > 1_500
    assert "treated customers are left out" in " ".join(row.details.notes)


def test_as_it_was_seen_the_same_campaign_would_have_looked_like_a_degradation(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, true_auc, _ = campaign(company)
    monkeypatch.setattr(
        "churn_assets.performance.gathering.treatments_between",
        lambda *args, **more: treatments_between(*args, **more).clear(),
    )
    unaware = whole(company.judged(KEY))
    assert unaware.measures["auc"].value < true_auc - 0.03
    assert unaware.point.excess > 3 * unaware.point.variance**0.5
    assert abs(row.point.excess) < 3 * row.point.variance**0.5


def test_without_a_propensity_it_can_t_be_judged(company: Company) -> None:
    row, _, _ = campaign(company, propensity=None)
    assert row.lacking.startswith(
        "can't be judged, as customers were treated: the propensity of 2400 of 2400 treatments is not known"
    )
    assert (row.point, row.measures) == (None, {})
