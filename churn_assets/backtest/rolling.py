"""Fits a model at each origin, tests it on the snapshot that follows, and measures it again as it ages.

Belongs here: the backtest of a family on the lake's labelled rows. Does not belong here: which snapshots a fold reads
(``origins``), how a family is fitted (``training.fitting``), variances (``clustered_variance``).

All models of a backtest are fitted on the same number of rows, so that they differ in time alone. They have the family's default
parameters, as a search in every fold would double the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from churn_assets.backtest import clustered_variance
from churn_assets.backtest.ageing import quality_by_age, staleness_limit
from churn_assets.backtest.origins import STRATIFIED_FOLDS, origins, periods_between, stratified
from churn_assets.backtest.report import CONFIDENCE, Backtest, TestedFold, Trend
from churn_assets.evaluation.evaluate import intervals, measured
from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.label import matures_on
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.equal_rows import copy_representatives
from churn_assets.training.fitting import fit_family
from churn_assets.training.split import Roles
from churn_assets.training.training_set import check_enough, rows_by_customer, rows_by_time
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.releases.manifest import TableVersion

SOURCE_TABLES = ("customer_features", "churn_labels")

Snapshots = Mapping[date, pl.DataFrame]


@dataclass(frozen=True)
class FoldModel:
    """A fitted, calibrated and exported model with its decision threshold."""

    scorer: Scorer
    threshold: float

    def scores(self, rows: pl.DataFrame) -> Scores:
        """The probability of each row."""
        return self.scorer.score_frame(rows)


@dataclass(frozen=True)
class TestRows:
    """The test rows of a fold, with the snapshots that its model has read."""

    name: str
    rows: pl.DataFrame
    trained_on: tuple[str, ...] = ()
    calibrated_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Backtester:
    """Runs the backtest of a family on a company's rows.

    Attributes:
        company: name of the company.
        calendar: calendar of the company's periods; `None` if the data has no time.
        settings: settings that a fit depends on.
        evaluation: settings with the numbers of folds, ages and draws.
        family: name of the family.
        features: inputs of the models.
    """

    company: str
    calendar: Calendar | None
    settings: FittingSettings
    evaluation: EvaluationSettings
    family: str
    features: tuple[Feature, ...]

    def run(self, lake: Lake, *, as_of: date, folds: int | None = None) -> Backtest:
        """Run the backtest on the rows in the lake.

        Args:
            lake: lake with features and labels.
            as_of: day of the run; only labels that are mature by then are read.
            folds: least number of folds; default: as configured, or five for data without time.

        Raises:
            InputError: there are too few snapshots or rows for the folds.
        """
        versions = lake.versions(SOURCE_TABLES)
        calendar = self.calendar
        if calendar is None:
            inputs = [feature.name for feature in self.features]
            all_rows = rows_by_customer(lake, versions, self.settings.training, inputs=inputs)
            return self._stratified(all_rows, versions, folds or STRATIFIED_FOLDS)
        labelled = [date.fromisoformat(key) for key in lake.periods("churn_labels", version=versions["churn_labels"])]
        mature = [snapshot for snapshot in labelled if matures_on(snapshot, self.settings.label) <= as_of]
        at_least = folds or self.evaluation.folds
        possible = origins(
            mature,
            calendar,
            self.settings.label,
            self.settings.training,
            folds=at_least,
            more=self.evaluation.ages,
        )
        rows = {snapshot: self._read(lake, versions, snapshot) for roles in possible for snapshot in _snapshots(roles)}
        return self._rolling(self._with_enough(possible, rows, at_least), rows, versions, calendar)

    def _read(self, lake: Lake, versions: Mapping[str, int], snapshot: date) -> pl.DataFrame:
        """The labelled rows of a snapshot, or a sample of as many as a fold is fitted on."""
        rows = rows_by_time(lake, versions, {snapshot.isoformat(): TRAIN})
        return _sampled(rows, self.settings.training.tuning_rows, self.settings.training.seed)

    def _with_enough(self, possible: Sequence[Roles], rows: Snapshots, at_least: int) -> list[Roles]:
        """The newest folds, back to the one before which a fold has too few rows."""
        folds: list[Roles] = []
        for roles in reversed(possible):
            snapshots_by_role = {TRAIN: roles.train, SELECT: roles.select, JUDGE: roles.judge}
            whole = pl.concat(
                _pooled(rows, snapshots).with_columns(role=pl.lit(role)) for role, snapshots in snapshots_by_role.items()
            )
            try:
                check_enough(whole, self.settings.training)
            except InputError as error:
                if len(folds) < at_least:
                    raise InputError(
                        f"the fold that tests {roles.judge[0]}: {error}; only {len(folds)} of {at_least} folds have enough"
                    ) from error
                break
            folds.insert(0, roles)
        return folds

    def _rolling(
        self, folds: Sequence[Roles], rows: Snapshots, versions: Mapping[str, int], calendar: Calendar
    ) -> Backtest:
        size = min(
            self.settings.training.tuning_rows,
            *(sum(rows[snapshot].height for snapshot in roles.train) for roles in folds),
        )
        models = [
            self._fitted(_pooled(rows, roles.train), _pooled(rows, roles.select), rows_at_most=size, versions=versions)
            for roles in folds
        ]
        tests = [_pooled(rows, roles.judge) for roles in folds]
        fresh = [model.scores(test) for model, test in zip(models, tests, strict=True)]
        tested = tuple(
            self._tested(_named(roles, test), model, scores, size)
            for roles, model, test, scores in zip(folds, models, tests, fresh, strict=True)
        )
        aucs = [
            clustered_variance.auc(_churned(test), scores, test["customer_id"])
            for test, scores in zip(tests, fresh, strict=True)
        ]
        times = [float(periods_between(folds[0].judge[0], roles.judge[0], calendar)) for roles in folds]
        slope, low, high = clustered_variance.slope(aucs, times, confidence=CONFIDENCE)
        ages = quality_by_age(folds, models, tests, fresh, calendar, self.settings.profit, ages=self.evaluation.ages)
        return Backtest(
            company=self.company,
            family=self.family,
            by_time=True,
            tables=dict(versions),
            folds=tested,
            honest=_means([fold.measures for fold in tested]),
            trend=Trend(slope=slope, low=low, high=high),
            random_split=self._random_split(folds, rows, size, versions),
            ages=ages,
            staleness_limit=staleness_limit(ages),
        )

    def _tested(self, test: TestRows, model: FoldModel, scores: Scores, size: int) -> TestedFold:
        churned, customers = _churned(test.rows), test.rows["customer_id"]
        return TestedFold(
            test=test.name,
            trained_on=test.trained_on,
            calibrated_on=test.calibrated_on,
            training_rows=size,
            rows=test.rows.height,
            measures=measured(churned, scores, threshold=model.threshold, profit=self.settings.profit),
            intervals=intervals(
                churned,
                scores,
                customers,
                threshold=model.threshold,
                profit=self.settings.profit,
                seed=self.settings.training.seed,
                draws=self.evaluation.draws,
            ),
        )

    def _random_split(
        self, folds: Sequence[Roles], rows: Snapshots, size: int, versions: Mapping[str, int]
    ) -> dict[str, float]:
        """The measures of a model that is fitted, calibrated and tested on random rows of all snapshots.

        A customer's snapshots are then on both sides of the split, and test rows may be earlier than training rows.
        """
        snapshots = sorted({snapshot for roles in folds for snapshot in _snapshots(roles)})
        seed = self.settings.training.seed
        pool = _pooled(rows, snapshots).sample(fraction=1.0, shuffle=True, seed=seed)
        calibrating = round(float(np.mean([_pooled(rows, roles.select).height for roles in folds])))
        train, select, test = pool[:size], pool[size : size + calibrating], pool[size + calibrating :]
        model = self._fitted(train, select, rows_at_most=size, versions=versions)
        test = _sampled(test, self.settings.training.tuning_rows, seed)
        return measured(_churned(test), model.scores(test), threshold=model.threshold, profit=self.settings.profit)

    def _stratified(self, rows: pl.DataFrame, versions: Mapping[str, int], folds: int) -> Backtest:
        """The backtest of data without time: each fold tests once, while the next one calibrates and the others train."""
        copies = copy_representatives(rows, [feature.name for feature in self.features])
        number = stratified(rows, folds, seed=self.settings.training.seed, copies=copies)
        rows = rows.with_columns(customer_id=copies)
        tested = []
        for fold in range(folds):
            test, later = rows.filter(number == fold), rows.filter(number == (fold + 1) % folds)
            train = rows.filter((number != fold) & (number != (fold + 1) % folds))
            size = min(train.height, self.settings.training.tuning_rows)
            model = self._fitted(train, later, rows_at_most=size, versions=versions)
            tested.append(self._tested(TestRows(f"fold {fold + 1}", test), model, model.scores(test), size))
        return Backtest(
            company=self.company,
            family=self.family,
            by_time=False,
            tables=dict(versions),
            folds=tuple(tested),
            honest=_means([fold.measures for fold in tested]),
        )

    def _fitted(
        self, rows: pl.DataFrame, later: pl.DataFrame, *, rows_at_most: int, versions: Mapping[str, int]
    ) -> FoldModel:
        """A model as the platform makes it: fitted on rows, calibrated on later ones, with the most profitable threshold there."""
        by_role = {TRAIN: _sampled(rows, rows_at_most, self.settings.training.seed), SELECT: later}
        fitted = fit_family(
            self.family,
            pl.concat(of_role.with_columns(role=pl.lit(role)) for role, of_role in by_role.items()),
            self.features,
            self.settings,
            data=TableVersion(versions["customer_features"]),
        )
        return FoldModel(Scorer(fitted.model, fitted.signature), fitted.threshold)


def _named(roles: Roles, rows: pl.DataFrame) -> TestRows:
    return TestRows(
        roles.judge[0].isoformat(),
        rows,
        (roles.train[0].isoformat(), roles.train[-1].isoformat()),
        tuple(snapshot.isoformat() for snapshot in roles.select),
    )


def _snapshots(roles: Roles) -> tuple[date, ...]:
    return (*roles.train, *roles.select, *roles.judge)


def _pooled(rows: Snapshots, snapshots: Sequence[date]) -> pl.DataFrame:
    return pl.concat(rows[snapshot] for snapshot in snapshots)


def _sampled(rows: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """A sample of at most so many rows, in their order."""
    if rows.height <= most:
        return rows
    return rows.with_row_index("place").sample(most, seed=seed).sort("place").drop("place")


def _churned(rows: pl.DataFrame) -> Labels:
    labels: Labels = rows["churned"].to_numpy()
    return labels


def _means(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([of_fold[name] for of_fold in measures])) for name in measures[0]}
