"""What a backtest found, in the form in which its file and the asset's metadata keep it.

Belongs here: the figures and what each means. Does not belong here: how they come about (``rolling``, ``ageing``), and how they
are shown (``report_page``).
"""

import msgspec

from churn_store.releases.manifest import Interval

CONFIDENCE = 0.95

LEAST_ORIGINS = 3
"""An age that fewer models have reached is shown, and no limit is derived from it."""


class TestedFold(msgspec.Struct, frozen=True, kw_only=True):
    """One model that was fitted, calibrated and tested.

    Attributes:
        test: the test snapshot; of data without time the number of the fold.
        trained_on: the first and the last snapshot that it was fitted on; empty where data has no time.
        calibrated_on: the snapshots that calibrated it.
        training_rows: how many it was fitted on.
        rows: how many it was tested on.
        measures: measures on those rows.
        intervals: intervals of the measures, whole customers drawn.
    """

    test: str
    trained_on: tuple[str, ...]
    calibrated_on: tuple[str, ...]
    training_rows: int
    rows: int
    measures: dict[str, float]
    intervals: dict[str, Interval]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The slope of the folds' AUC over time, a period."""

    slope: float
    low: float
    high: float

    @property
    def is_told_from_none(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    @property
    def in_words(self) -> str:
        """The slope with its interval, and what it means."""
        said = f"AUC changes by {self.slope:+.4f} a period ({self.low:+.4f} to {self.high:+.4f}, {CONFIDENCE:.0%})"
        if not self.is_told_from_none:
            return f"{said}: not to be told from no trend"
        return f"{said}: the models become {'better' if self.slope > 0 else 'worse'}"


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """Models of one age beside fresh ones, on the same rows; the mean over the models.

    Attributes:
        periods: by how many the newest snapshot that the model has read is older than what the fresh one has read.
        origins: how many models reached it.
        auc: AUC of the aged models.
        fresh_auc: AUC of the fresh models.
        log_loss: log loss of the aged models.
        excess: log loss of the aged less that of the fresh ones; above 0 the aged ones are worse.
        low: its one-sided lower bound, corrected for the number of ages.
        lost_profit: profit per customer of the fresh ones less that of the aged ones, each at its own threshold.
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
        """Whether the aged models are worse by more than the noise."""
        return self.origins >= LEAST_ORIGINS and self.low > 0


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole backtest.

    Attributes:
        company: name of the company.
        family: family of all its models, with its default parameters.
        by_time: whether the folds follow time; else they are stratified, and what follows is none.
        tables: the versions of the tables that were read.
        folds: results of the folds in the order of time.
        trend: trend of the AUC over the folds.
        honest: the mean of each measure over the folds.
        random_split: what a random split of the same rows would have claimed of each measure: the same customers on both sides.
        ages: results by age of the model in periods.
        staleness_limit: the first age at which models are worse than fresh ones by more than the noise; none seen.
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
        """The greatest age that enough models have reached; 0 for none."""
        return max((age.periods for age in self.ages if age.origins >= LEAST_ORIGINS), default=0)

    @property
    def limit_in_words(self) -> str:
        """The staleness limit."""
        if not self.by_time:
            return "without time a model has no age"
        if self.staleness_limit is not None:
            return f"stale from {_periods(self.staleness_limit)} on"
        if not self.followed_to:
            return f"not known: fewer than {LEAST_ORIGINS} models reached any age"
        return f"no limit seen up to {_periods(self.followed_to)}"

    @property
    def claim_in_words(self) -> str:
        """What a random split would have claimed beside what is true."""
        if self.random_split is None:
            return "without time every split is a random one"
        claimed, honest = self.random_split["auc"], self.honest["auc"]
        if claimed > honest:
            return f"a random split would have claimed AUC {claimed:.3f}; by time it is {honest:.3f}: {claimed - honest:.3f} flattery"
        return f"a random split would have claimed AUC {claimed:.3f}; by time it is {honest:.3f}: here it would not have flattered"


def _periods(number: int) -> str:
    return f"{number} period{'s' if number != 1 else ''}"
