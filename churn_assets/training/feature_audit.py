"""Ablation: a model is fitted again without some features and compared with the full model on the same rows.

Belongs here: the refits, and the paired differences. Does not belong here: which model is audited and how that is printed
(``cli.features``).

A feature that repeats the information of others looks useless if it alone is left out. So groups of correlated features are left out
together as well. What one feature brings is small, so the audit measures on many rows: the newer half of the snapshots that do not judge,
in two blocks. Each block is scored by a model fitted on earlier snapshots, purged by one horizon. The judging rows are not read: they are
the gate's, and each look at them weakens its verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
import scipy

from churn_assets.evaluation.intervals import paired_difference
from churn_assets.evaluation.measures import Labels, Scores, auc, log_losses
from churn_assets.evaluation.profit import largest_difference, most_profitable_threshold, profit_by_row
from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.profit import Profit
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.families import Value, inputs
from churn_assets.training.fitting import cross_calibrated, fit
from churn_assets.training.readiness import varying_features
from churn_assets.training.split import first_half
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

CORRELATED = 0.8
"""Least absolute rank correlation of two numbers of one group."""

MOST_ROWS_CORRELATED = 5_000
"""Rows of the sample that correlations are computed on, at most."""

BLOCKS = 2


@dataclass(frozen=True)
class Ablation:
    """What a model loses without some of its features, with confidence intervals clustered by customer.

    Attributes:
        features: names of the features that were left out together.
        profit: profit per customer that they bring; negative if they cost.
        log_loss: log loss that they save.
        auc: AUC that they bring.
    """

    features: tuple[str, ...]
    profit: Interval
    log_loss: Interval
    auc: float

    @property
    def verdict(self) -> str:
        """``earns`` if profit or log loss is significantly better with them, ``costs`` if one is worse and none better, else ``not shown``."""
        if self.profit.low > 0 or self.log_loss.low > 0:
            return "earns"
        return "costs" if self.profit.high < 0 or self.log_loss.high < 0 else "not shown"


@dataclass(frozen=True)
class Fold:
    """Rows to fit on, later rows to measure on, and whether a customer of these is of the first half (``split.first_half``)."""

    training: pl.DataFrame
    later: pl.DataFrame
    half: Labels


@dataclass(frozen=True)
class FoldScores:
    """Scores of a model on the later rows of every fold, and the profit and log loss of each row."""

    scores: Scores
    profit: Scores
    log_loss: Scores


class FeatureAudit:
    """Refits one model without some of its features.

    Args:
        training_set: rows of every role.
        features: features that the model may see; those constant in the training rows are left out.
        family: name of the model's family.
        parameters: parameters of the model's estimator.
        settings: how training rows are sampled, and what a decision costs and brings.
        seed: seed of every refit.
        confidence: confidence of the two-sided intervals.
    """

    def __init__(
        self,
        training_set: pl.DataFrame,
        features: tuple[Feature, ...],
        *,
        family: str,
        parameters: Mapping[str, Value],
        settings: FittingSettings,
        seed: int,
        confidence: float = 0.95,
    ) -> None:
        self._folds = folds(training_set, settings.label.horizon, seed)
        self._training = training_set.filter(pl.col("role") == TRAIN)
        self.features = varying_features(self._training, features)
        self._family, self._parameters, self._settings = family, parameters, settings
        self._seed, self._confidence = seed, confidence
        later = pl.concat([fold.later for fold in self._folds])
        self._churned: Labels = later["churned"].to_numpy()
        self._customers = later["customer_id"]

    def full_model(self) -> FoldScores:
        """Scores of the model with all of its features."""
        return self._cross_scored(self.features)

    def default_sets(self) -> list[tuple[str, ...]]:
        """The sets of features that are left out by default: each feature alone, then each group of correlated ones."""
        alone = [(feature.name,) for feature in self.features]
        numbers = [feature.name for feature in self.features if feature.kind == "number"]
        groups = [group for group in correlated_groups(self._training.select(numbers), self._seed) if len(group) > 1]
        return [*alone, *(group for group in groups if len(group) < len(self.features))]

    def ablations(self, sets: Sequence[tuple[str, ...]], full: FoldScores) -> Iterator[Ablation]:
        """What the model loses without each set of features, one refit after the other.

        Raises:
            InputError: a set names something that is no input of the model, or all of its inputs.
        """
        for names in sets:
            yield self._ablation(names, full)

    def _ablation(self, names: tuple[str, ...], full: FoldScores) -> Ablation:
        inputs_of = [feature.name for feature in self.features]
        if unknown := sorted(set(names) - set(inputs_of)):
            raise InputError(f"{', '.join(unknown)} is no input of the model; expected some of {', '.join(inputs_of)}")
        kept = tuple(feature for feature in self.features if feature.name not in names)
        if not kept:
            raise InputError(f"without {', '.join(names)} the model has no input; leave at least one in")
        reduced = self._cross_scored(kept)
        return Ablation(
            names,
            self._interval(full.profit, reduced.profit, largest_difference(self._settings.profit)),
            self._interval(reduced.log_loss, full.log_loss, None),
            auc(self._churned, full.scores) - auc(self._churned, reduced.scores),
        )

    def _interval(self, better: Scores, worse: Scores, largest: float | None) -> Interval:
        each_side = (1 + self._confidence) / 2
        difference = paired_difference(better, worse, self._customers, confidence=each_side, largest=largest)
        return Interval(difference.mean, difference.low, difference.high)

    def _cross_scored(self, features: tuple[Feature, ...]) -> FoldScores:
        by_fold = [self._scored(fold, features) for fold in self._folds]
        scores, profit = (np.concatenate(values) for values in zip(*by_fold, strict=True))
        return FoldScores(scores, profit, log_losses(self._churned, scores))

    def _scored(self, fold: Fold, features: tuple[Feature, ...]) -> tuple[Scores, Scores]:
        """Score and profit of each later row of a fold."""
        training = self._settings.training
        estimator, signature = fit(
            self._family,
            fold.training,
            features,
            parameters=self._parameters,
            seed=self._seed,
            minimum_correlation=training.minimum_correlation,
            resampling=training.resampling,
        )
        churned: Labels = fold.later["churned"].to_numpy()
        scores = cross_calibrated(estimator, inputs(fold.later, signature), churned, fold.half)
        called = cross_thresholded(churned, scores, fold.half, self._settings.profit)
        return scores, profit_by_row(churned, called, self._settings.profit)


def folds(training_set: pl.DataFrame, horizon: timedelta, seed: int) -> list[Fold]:
    """Rows to fit on and later rows to measure on, without those that judge.

    The newer half of the snapshots is measured in ``BLOCKS`` blocks. Data without time, and a history too short for blocks, has one fold:
    it is fitted on the training rows and measured on the selecting rows.

    Args:
        training_set: rows of every role.
        horizon: length of the label's window, and the least time between a fold's training snapshots and its later rows.
        seed: seed of the split of the customers into halves.
    """
    not_judging = training_set.filter(pl.col("role").is_in([TRAIN, SELECT]))
    snapshots = not_judging["snapshot_s"].unique().sort().to_numpy() if "snapshot_s" in not_judging.columns else np.empty(0)
    pairs = []
    for block in np.array_split(snapshots[len(snapshots) // 2 :], BLOCKS):
        if len(block):
            before = pl.col("snapshot_s") <= block[0] - horizon // timedelta(seconds=1)
            pairs.append(
                (not_judging.filter(before), not_judging.filter(pl.col("snapshot_s").is_between(block[0], block[-1])))
            )
    if len(pairs) < BLOCKS or any(training.is_empty() for training, _ in pairs):
        pairs = [(not_judging.filter(role=TRAIN), not_judging.filter(role=SELECT))]
    return [Fold(training, later, first_half(later, seed)) for training, later in pairs]


def cross_thresholded(churned: Labels, scores: Scores, half: Labels, profit: Profit) -> Labels:
    """Whether each row is classified as a churner, by the threshold that is the most profitable on the other half."""
    called = np.zeros(len(churned), dtype=bool)
    for side in (half, ~half):
        called[side] = scores[side] >= most_profitable_threshold(churned[~side], scores[~side], profit)
    return called


def correlated_groups(numbers: pl.DataFrame, seed: int) -> list[tuple[str, ...]]:
    """Groups of columns whose ranks are correlated, directly or through other columns of the group.

    Args:
        numbers: columns of numbers; a missing value ranks below all others.
        seed: seed of the sample of the rows.
    """
    if numbers.width < 2:  # noqa: PLR2004
        return [tuple(numbers.columns)] if numbers.width else []
    rows = numbers.sample(min(numbers.height, MOST_ROWS_CORRELATED), seed=seed)
    values = rows.select(pl.all().cast(pl.Float64).fill_null(-np.inf)).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(scipy.stats.rankdata(values, axis=0), rowvar=False))
    _, group = scipy.sparse.csgraph.connected_components(np.abs(correlation) >= CORRELATED, directed=False)
    return [
        tuple(name for name, of_column in zip(numbers.columns, group, strict=True) if of_column == label)
        for label in np.unique(group)
    ]
