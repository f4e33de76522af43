"""The rows of windows: the customers at risk at a snapshot, and the requests that were served in its period, with the release's scores.

Belongs here: which rows a window has. Does not belong here: comparing them (``judged_windows``), and what the prediction log holds
(``served_requests``).
"""

from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa

from churn_assets.features.todays_customers import features_of_today
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.drift import require_columns
from churn_assets.monitoring.drift_cuts import sampled_window, usual_periods
from churn_assets.monitoring.judged_windows import CALLED
from churn_assets.monitoring.served_requests import served_requests
from churn_assets.periods import ALL, Calendar, day_of, text
from churn_assets.tables import EVER_S, SCORE
from churn_store.errors import InputError
from churn_store.releases.bundles import Bundle


@dataclass(frozen=True)
class WindowRows:
    """Reads windows as a release sees them.

    Attributes:
        lake: the lake.
        version: version of ``customer_features``.
        engine: the serving database.
        bundle: the release.
        timeline: calendar of a history; ``None`` where the data has no time.
    """

    lake: Lake
    version: int
    engine: sa.Engine
    bundle: Bundle
    timeline: Calendar | None

    def periods(self, key: str) -> list[str]:
        """The snapshots up to a key, the oldest first.

        Raises:
            InputError: if there is none of the key itself.
        """
        if key == ALL:
            return [ALL]
        periods = [period for period in self.lake.periods("customer_features") if period <= key]
        if key not in periods:
            raise InputError(f"customer_features has no rows of {key}; materialize that period of it first")
        return periods

    def features(self, period: str) -> pl.DataFrame:
        """The features of a snapshot, as the lake has them."""
        if period == ALL:
            return features_of_today(self.lake, version=self.version)
        return self.lake.read("customer_features", period, version=self.version)

    def snapshot(self, period: str) -> pl.DataFrame:
        """The features of a snapshot in the release's words, with ``score`` and ``called_churn``.

        Raises:
            InputError: if an input of the release is missing.
        """
        rows = self.features(period)
        require_columns({period: rows}, self.bundle.manifest.signature.columns)
        return scored(self.bundle, rows)

    def usual(self, reference: pl.DataFrame) -> list[pl.DataFrame]:
        """Rows of windows from before the release, which tell what is usual; none for data without time.

        Args:
            reference: rows that windows are compared with.
        """
        if "snapshot_s" not in reference.columns:
            return []
        trained_on = {text(day_of(second)) for second in reference["snapshot_s"].unique()}
        periods = usual_periods(self.lake.periods("customer_features"), trained_on)
        signature = self.bundle.manifest.signature
        return [signature.as_trained(sampled_window(self.features(period))) for period in periods]

    def served(self, period: str) -> pl.DataFrame:
        """The requests that the release answered in the period that begins with a snapshot; all of them where the data has no time."""
        start_s, end_s = (0, EVER_S) if self.timeline is None else self.timeline.bounds_s(period)
        signature = self.bundle.manifest.signature
        return served_requests(self.engine, self.bundle.digest, signature, start_s=start_s, end_s=end_s).rows


def scored(bundle: Bundle, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the release's words, with ``score`` and ``called_churn``."""
    scores = bundle.scorer.score_frame(rows)
    called = scores >= bundle.manifest.threshold
    return bundle.manifest.signature.as_trained(rows).with_columns(pl.Series(SCORE, scores), pl.Series(CALLED, called))
