"""The results of a backtest, as its file and the asset's metadata store them.

Belongs here: the figures and their meaning. Does not belong here: how they are computed (``rolling``, ``ageing``), and how they
are shown (``report_page``).
"""

import msgspec

from churn_store.releases.manifest import Interval

CONFIDENCE = 0.95

LEAST_ORIGINS = 3
"""Least number of models of an age from which a staleness limit is derived; ages of fewer models are only shown."""


class TestedFold(msgspec.Struct, frozen=True, kw_only=True):
    """One model that was fitted, calibrated and tested.

    Attributes:
        test: test snapshot; for data without time the number of the fold.
        trained_on: first and last snapshot of the training rows; empty if the data has no time.
        calibrated_on: snapshots of the calibrating rows.
        training_rows: number of training rows.
        rows: number of test rows.
        measures: measures on the test rows.
        intervals: intervals of the measures, clustered by customer.
    """

    test: str
    trained_on: tuple[str, ...]
    calibrated_on: tuple[str, ...]
    training_rows: int
    rows: int
    measures: dict[str, float]
    intervals: dict[str, Interval]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The slope of the folds' AUC over time, per period, with its interval."""

    slope: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval does not hold 0."""
        return self.low > 0 or self.high < 0

    @property
    def in_words(self) -> str:
        """The slope with its interval and its meaning."""
        sentence = f"AUC changes by {self.slope:+.4f} a period ({self.low:+.4f} to {self.high:+.4f}, {CONFIDENCE:.0%})"
        if not self.is_significant:
            return f"{sentence}: no significant trend"
        return f"{sentence}: the models become {'better' if self.slope > 0 else 'worse'}"


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """Models of one age compared with fresh ones on the same rows; means over the models.

    Attributes:
        periods: age in periods: how much older the newest snapshot of the aged model is than that of the fresh one.
        origins: number of models that reached this age.
        auc: AUC of the aged models.
        fresh_auc: AUC of the fresh models.
        log_loss: log loss of the aged models.
        excess: log loss of the aged models minus that of the fresh ones; positive if the aged ones are worse.
        low: one-sided lower bound of the excess, corrected for the number of ages.
        lost_profit: profit per customer of the fresh models minus that of the aged ones, each at its own threshold.
    """

    periods: int
    origins: int
    auc: float
    fresh_auc: float
    log_loss: float
    excess: float
    low: float
    lost_profit: float

    @property
    def is_stale(self) -> bool:
        """Whether the aged models are significantly worse."""
        return self.origins >= LEAST_ORIGINS and self.low > 0


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a backtest.

    Attributes:
        company: name of the company.
        family: family of all models, fitted with its default parameters.
        by_time: whether the folds follow time; if not, they are stratified, and there is no trend, random split or age.
        tables: versions of the tables that were read.
        folds: results of the folds, oldest first.
        honest: mean of each measure over the folds.
        trend: trend of the AUC over the folds.
        random_split: measures by a random split of the same rows, which has the same customers on both sides.
        ages: results by age of the models.
        staleness_limit: first age at which models are significantly worse than fresh ones; `None` if there is no such age.
    """

    company: str
    family: str
    by_time: bool
    tables: dict[str, int]
    folds: tuple[TestedFold, ...]
    honest: dict[str, float]
    trend: Trend | None = None
    random_split: dict[str, float] | None = None
    ages: tuple[Age, ...] = ()
    staleness_limit: int | None = None

    @property
    def worst(self) -> TestedFold:
        """The fold with the least AUC."""
        return min(self.folds, key=lambda fold: fold.measures["auc"])

    @property
    def followed_to(self) -> int:
        """The greatest age that enough models have reached; 0 if there is none."""
        return max((age.periods for age in self.ages if age.origins >= LEAST_ORIGINS), default=0)

    @property
    def limit_in_words(self) -> str:
        """The staleness limit, for people."""
        if not self.by_time:
            return "without time a model has no age"
        if self.staleness_limit is not None:
            return f"stale from {_periods(self.staleness_limit)} on"
        if not self.followed_to:
            return f"not known: fewer than {LEAST_ORIGINS} models reached any age"
        return f"no limit seen up to {_periods(self.followed_to)}"

    @property
    def claim_in_words(self) -> str:
        """The AUC that a random split would have claimed, compared with that by time."""
        if self.random_split is None:
            return "without time every split is a random one"
        claimed, honest = self.random_split["auc"], self.honest["auc"]
        if claimed > honest:
            return f"a random split would have claimed AUC {claimed:.3f}; by time it is {honest:.3f}: {claimed - honest:.3f} too much"
        return f"a random split would have claimed AUC {claimed:.3f}; by time it is {honest:.3f}: here it would not have flattered"


def _periods(number: int) -> str:
    return f"{number} period{'s' if number != 1 else ''}"
