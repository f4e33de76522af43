"""What each feature is worth to a model: the model is fitted again without it, and the two are compared on the same rows.

Belongs here: the refits, and the paired differences. Does not belong here: which model is audited and how that is printed
(``cli.features``).

A feature whose information is also in others looks useless when it alone is left out. So groups of features that are correlated are left
out together as well. What one feature brings is small, so it is measured on as many later rows as there are: the newer half of the
snapshots that do not judge, in two blocks, each by a model that was fitted on the snapshots before it, purged by one horizon. The judging
rows are the gate's: an audit that looked at them could not be repeated without spoiling its verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from scipy import stats
from scipy.sparse.csgraph import connected_components

from churn_assets.evaluation.intervals import paired_difference
from churn_assets.evaluation.measures import Labels, Scores, auc, log_losses
from churn_assets.evaluation.profit import largest_difference, most_profitable_threshold, profit_by_row
from churn_assets.features.feature import Feature
from churn_assets.settings.company import FittingSettings, Profit
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.families import Value, inputs
from churn_assets.training.fitting import cross_calibrated, fit
from churn_assets.training.readiness import varying_features
from churn_assets.training.split import first_half
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

CORRELATED = 0.8
"""Numbers whose ranks correlate by this much or more, in either direction, are one group."""

MOST_ROWS_CORRELATED = 5_000
BLOCKS = 2


@dataclass(frozen=True)
class LeftOut:
    """What a model loses without some of its features, each row with its confidence interval, clustered by customer.

    Attributes:
        features: names of the features that were left out together.
        profit: profit per customer that they bring; below 0 they cost.
        log_loss: log loss that they save.
        auc: AUC that they bring.
    """

    features: tuple[str, ...]
    profit: Interval
    log_loss: Interval
    auc: float

    @property
    def verdict(self) -> str:
        """``earns`` if profit or log loss is better with them beyond chance, ``costs`` if one is worse and none better, else ``not shown``."""
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
class Measured:
    """A model on the later rows of every fold: scores, and for each row the profit and the log loss."""

    scores: Scores
    profit: Scores
    log_loss: Scores


class FeatureAudit:
    """The refits of one model.

    Args:
        training_set: rows of every role.
        features: features that the model may see; those that are constant in the training rows are no inputs.
        family: name of its family.
        parameters: parameters of its estimator.
        settings: how training rows are drawn, and what a decision costs and brings.
        seed: seed of every fit.
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

    def whole(self) -> Measured:
        """The model with all of its features."""
        return self._measured(self.features)

    def sets(self) -> list[tuple[str, ...]]:
        """What is left out by default: each feature alone, then each group of correlated ones."""
        alone = [(feature.name,) for feature in self.features]
        numbers = [feature.name for feature in self.features if feature.kind == "number"]
        groups = [group for group in correlated_groups(self._training.select(numbers), self._seed) if len(group) > 1]
        return [*alone, *(group for group in groups if len(group) < len(self.features))]

    def without(self, sets: Sequence[tuple[str, ...]], whole: Measured) -> Iterator[LeftOut]:
        """What the model loses without each set of features, one refit after the other.

        Raises:
            InputError: a set names something that is no input of the model, or all of them.
        """
        for names in sets:
            yield self._compared(names, whole)

    def _compared(self, names: tuple[str, ...], whole: Measured) -> LeftOut:
        inputs_of = [feature.name for feature in self.features]
        if unknown := sorted(set(names) - set(inputs_of)):
            raise InputError(f"{', '.join(unknown)} is no input of the model; expected some of {', '.join(inputs_of)}")
        kept = tuple(feature for feature in self.features if feature.name not in names)
        if not kept:
            raise InputError(f"without {', '.join(names)} the model has no input; leave at least one in")
        less = self._measured(kept)
        return LeftOut(
            names,
            self._interval(whole.profit, less.profit, largest_difference(self._settings.profit)),
            self._interval(less.log_loss, whole.log_loss, None),
            auc(self._churned, whole.scores) - auc(self._churned, less.scores),
        )

    def _interval(self, better: Scores, worse: Scores, largest: float | None) -> Interval:
        each_side = (1 + self._confidence) / 2
        found = paired_difference(better, worse, self._customers, confidence=each_side, largest=largest)
        return Interval(found.mean, found.low, found.high)

    def _measured(self, features: tuple[Feature, ...]) -> Measured:
        parts = [self._of_fold(fold, features) for fold in self._folds]
        scores, profit = (np.concatenate(values) for values in zip(*parts, strict=True))
        return Measured(scores, profit, log_losses(self._churned, scores))

    def _of_fold(self, fold: Fold, features: tuple[Feature, ...]) -> tuple[Scores, Scores]:
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
        called = cross_called(churned, scores, fold.half, self._settings.profit)
        return scores, profit_by_row(churned, called, self._settings.profit)


def folds(training_set: pl.DataFrame, horizon: timedelta, seed: int) -> list[Fold]:
    """Rows to fit on and later rows to measure on, without those that judge.

    The newer half of the snapshots is measured in ``BLOCKS`` blocks. Data without time, and a history too short for that, has one fold: the
    training rows and the selecting ones.

    Args:
        training_set: rows of every role.
        horizon: length of the label's window; a fold is fitted on snapshots that lie at least so long before its later rows.
        seed: seed of the halves of the customers.
    """
    known = training_set.filter(pl.col("role").is_in([TRAIN, SELECT]))
    snapshots = known["snapshot_s"].unique().sort().to_numpy() if "snapshot_s" in known.columns else np.empty(0)
    parts = []
    for block in np.array_split(snapshots[len(snapshots) // 2 :], BLOCKS):
        if len(block):
            before = pl.col("snapshot_s") <= block[0] - horizon // timedelta(seconds=1)
            parts.append((known.filter(before), known.filter(pl.col("snapshot_s").is_between(block[0], block[-1]))))
    if len(parts) < BLOCKS or any(training.is_empty() for training, _ in parts):
        parts = [(known.filter(role=TRAIN), known.filter(role=SELECT))]
    return [Fold(training, later, first_half(later, seed)) for training, later in parts]


def cross_called(churned: Labels, scores: Scores, half: Labels, profit: Profit) -> Labels:
    """Whether each row is called a churner, by the threshold that was the most profitable on the other half."""
    called = np.zeros(len(churned), dtype=bool)
    for one in (half, ~half):
        called[one] = scores[one] >= most_profitable_threshold(churned[~one], scores[~one], profit)
    return called


def correlated_groups(numbers: pl.DataFrame, seed: int) -> list[tuple[str, ...]]:
    """The columns in groups: those linked by correlated ranks, directly or through others, are together.

    Args:
        numbers: columns of numbers; a missing one ranks below all others.
        seed: seed of the sample of the rows.
    """
    if numbers.width < 2:  # noqa: PLR2004
        return [tuple(numbers.columns)] if numbers.width else []
    rows = numbers.sample(min(numbers.height, MOST_ROWS_CORRELATED), seed=seed)
    values = rows.select(pl.all().cast(pl.Float64).fill_null(-np.inf)).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(stats.rankdata(values, axis=0), rowvar=False))
    _, group = connected_components(np.abs(correlation) >= CORRELATED, directed=False)
    return [
        tuple(name for name, own in zip(numbers.columns, group, strict=True) if own == label) for label in np.unique(group)
    ]
