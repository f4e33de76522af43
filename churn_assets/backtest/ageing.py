"""How models age: their quality some periods after training, compared with fresh models on the same rows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import scipy

from churn_assets.backtest import clustered_variance
from churn_assets.backtest.origins import age
from churn_assets.backtest.report import CONFIDENCE, Age
from churn_assets.evaluation.measures import Labels, Scores, log_losses
from churn_assets.evaluation.profit import profit_by_row
from churn_assets.periods import Calendar
from churn_assets.settings.profit import Profit
from churn_assets.training.split import Roles


class Scoring(Protocol):
    """A model that scores rows and decides at its threshold."""

    @property
    def threshold(self) -> float:
        """Decision threshold: at or above it a customer is called a churner."""

    def scores(self, rows: pl.DataFrame) -> Scores:
        """The probability of each row."""


@dataclass(frozen=True)
class Pair:
    """An aged model compared with the fresh one on one test snapshot."""

    auc: float
    fresh_auc: float
    log_loss: float
    excess: clustered_variance.Estimate
    lost_profit: float


def quality_by_age(
    folds: Sequence[Roles],
    models: Sequence[Scoring],
    tests: Sequence[pl.DataFrame],
    fresh: Sequence[Scores],
    calendar: Calendar,
    profit: Profit,
    *,
    ages: int,
) -> tuple[Age, ...]:
    """The quality of the folds' models on later test snapshots, by age.

    Args:
        folds: roles of each fold, oldest first, with one test snapshot each.
        models: model of each fold.
        tests: test rows of each fold.
        fresh: scores of each fold's own model on its test rows.
        calendar: calendar that periods are counted by.
        profit: costs and values.
        ages: greatest age in periods.
    """
    pairs: dict[int, list[Pair]] = defaultdict(list)
    for later, test in enumerate(tests):
        for earlier in range(later):
            periods = age(folds[earlier], folds[later], calendar)
            if 1 <= periods <= ages:
                pairs[periods].append(_paired(models[earlier], models[later], test, fresh[later], profit))
    return tuple(_mean(periods, pairs[periods], of=len(pairs)) for periods in sorted(pairs))


def staleness_limit(ages: Sequence[Age]) -> int | None:
    """The first age at which models are significantly worse than fresh ones; `None` if there is no such age."""
    return next((by_age.periods for by_age in ages if by_age.is_stale), None)


def _paired(old: Scoring, new: Scoring, test: pl.DataFrame, fresh: Scores, profit: Profit) -> Pair:
    churned: Labels = test["churned"].to_numpy()
    scores, customers = old.scores(test), test["customer_id"]
    losses, fresh_losses = log_losses(churned, scores), log_losses(churned, fresh)
    lost_profit = profit_by_row(churned, fresh >= new.threshold, profit) - profit_by_row(
        churned, scores >= old.threshold, profit
    )
    return Pair(
        clustered_variance.auc(churned, scores, customers).value,
        clustered_variance.auc(churned, fresh, customers).value,
        float(losses.mean()),
        clustered_variance.mean(losses - fresh_losses, customers),
        float(lost_profit.mean()),
    )


def _mean(periods: int, pairs: Sequence[Pair], *, of: int) -> Age:
    """The unweighted mean over the pairs of one age.

    The bound is that of the mean excess. As for a trend (``backtest.clustered_variance.slope``), its variance is the larger of the sampling
    variance over customers and the variance between pairs. Bonferroni's correction holds the error over all ages.
    """
    number = len(pairs)
    excess = clustered_variance.weighted([pair.excess for pair in pairs], [1 / number] * number)
    scatter = float(np.var([pair.excess.value for pair in pairs], ddof=1)) / number if number > 1 else 0.0
    quantile = scipy.stats.t.ppf(1 - (1 - CONFIDENCE) / of, max(number - 1, 1))
    return Age(
        periods=periods,
        origins=number,
        auc=float(np.mean([pair.auc for pair in pairs])),
        fresh_auc=float(np.mean([pair.fresh_auc for pair in pairs])),
        log_loss=float(np.mean([pair.log_loss for pair in pairs])),
        excess=excess.value,
        low=excess.value - float(quantile) * float(np.sqrt(max(excess.variance, scatter))),
        lost_profit=float(np.mean([pair.lost_profit for pair in pairs])),
    )
