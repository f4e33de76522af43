"""A release that has served for months, with scores and outcomes whose truth is known: what the tests of performance begin with.

Customers get a probability, and leave by it; what happens to them can be spoilt as a competitor would.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl
import sqlalchemy as sa

from churn_assets.evaluation.measures import log_losses, measures
from churn_assets.lake.lake import Lake
from churn_assets.performance.degradation import Rule
from churn_assets.performance.gathering import FEATURES, SCORES, Stores, rows_of
from churn_assets.performance.history import Row, as_frame
from churn_assets.performance.judging import Judging
from churn_assets.periods import epoch_s
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.performance import PerformanceSettings
from churn_assets.settings.profit import Profit
from churn_store.clock import DAY_S
from churn_store.database.schema import outcomes, prediction_log, treatments
from churn_store.outcomes.published_labels import Published
from churn_store.releases.manifest import Evaluation, Interval
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import publish
from tests.release_factory import Candidate, release

LATER_S = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
GATE = ("2025-12-01", "2026-01-01")
RULE = Rule.of(false_alarms=0.05, margin=0.01, cadence="monthly", horizon_days=30)
JUDGING = Judging(PerformanceSettings(), EvaluationSettings(draws=100), Profit(), RULE, 1)


def months(count: int) -> list[str]:
    """Keys of snapshots, the first a month after the release was published."""
    return [date(2026 + (2 + at) // 12, (2 + at) % 12 + 1, 1).isoformat() for at in range(count)]


def probabilities(count: int, seed: int) -> "np.typing.NDArray[np.float64]":
    """Probabilities of churn of some customers, 7 % on average."""
    return np.asarray(1 / (1 + np.exp(-np.random.default_rng(seed).normal(-3.1, 1.2, count))))


def drawn(scores: "np.typing.NDArray[np.float64]", seed: int) -> "np.typing.NDArray[np.bool_]":
    """Whether each customer leaves, by its probability."""
    return np.asarray(np.random.default_rng(seed + 10_000).random(len(scores)) < scores)


def proven(candidate: Candidate, **changes: Any) -> Candidate:
    """A candidate with the figures that a gate finds of calibrated scores."""
    scores = probabilities(20_000, 99)
    churned = drawn(scores, 99)
    found = measures(churned, scores, threshold=0.2)
    assert isinstance(candidate.manifest.evaluation, Evaluation)
    slope = found["calibration_slope"]
    evaluation = msgspec.structs.replace(
        candidate.manifest.evaluation,
        intervals={"auc": Interval(found["auc"], found["auc"] - 0.02, found["auc"] + 0.02), "calibration_slope": Interval(slope, slope - 0.06, slope + 0.06)},
    )  # fmt: skip
    told = {
        "metrics": found,
        "judging_rows": len(scores),
        "judged_on": GATE,
        "evaluation": evaluation,
        "threshold": 0.2,
        **changes,
    }
    return Candidate(msgspec.structs.replace(candidate.manifest, **told), candidate.contents, candidate.pipeline)


@dataclass
class Company:
    """A company whose release has served."""

    lake: Lake
    engine: sa.Engine
    files: DigestStore
    candidate: Candidate
    release: str = ""
    labels: dict[str, Published] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Any, engine: sa.Engine, files: DigestStore, candidate: Candidate, **changes: Any) -> "Company":
        """Release a candidate."""
        made = cls(Lake(str(folder / "lake")), engine, files, proven(candidate, **changes))
        made.release = release(engine, files, made.candidate).champion
        return made

    def month(
        self,
        key: str,
        *,
        count: int = 4_000,
        shift: float = 0.0,
        is_spoilt: bool = False,
        is_scored: bool = True,
        release: str | None = None,
        left_on_day: int | None = None,
        kept: "np.typing.NDArray[np.int64] | None" = None,
    ) -> tuple["np.typing.NDArray[np.float64]", "np.typing.NDArray[np.bool_]"]:
        """A mature snapshot: scores by the release, labels by the truth.

        Args:
            key: key of the snapshot.
            count: number of customers.
            shift: what the season adds to the log odds of everyone, which the model does not know.
            is_spoilt: whether others leave than before.
            is_scored: whether ``churn_scores`` has it.
            release: release that scored; default: the one that serves.
            left_on_day: day of the window on which those who leave do so; default: it is not known.
            kept: numbers of customers whom an offer keeps, so that they stay.
        """
        seed = int(key.replace("-", ""))
        scores = probabilities(count, seed)
        truth = 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + shift)))
        churned = drawn(np.random.default_rng(seed).permutation(truth) if is_spoilt else truth, seed)
        if kept is not None:
            churned[kept] = False
        ids = [f"c{number}" for number in range(count)]
        if is_scored:
            frame = pl.DataFrame(
                {"customer_id": ids, "release": release or self.release, "probability": scores, "churn": scores >= 0.2}
            )
            self.lake.replace(SCORES, {key: frame}, run_id="test")
        plans = [("basic", "plus", "pro")[number % 3] for number in range(count)]
        self.lake.replace(FEATURES, {key: pl.DataFrame({"customer_id": ids, "plan": plans})}, run_id="test")
        snapshot_s = epoch_s(date.fromisoformat(key))
        moment = True if left_on_day is None else float(snapshot_s + left_on_day * DAY_S + 60)
        self.labels[key] = publish(
            self.files, {one: moment if left else False for one, left in zip(ids, churned, strict=True)}, snapshot_s=snapshot_s
        )  # fmt: skip
        return scores, churned

    def stores(self, *, now_s: int = LATER_S) -> Stores:
        """Where a snapshot is read from."""
        tables = [table for table in (FEATURES, SCORES) if self.lake.has(table)]
        return Stores(self.lake, self.lake.versions(tables), self.engine, self.files, now_s)

    def judged(self, key: str, *, now_s: int = LATER_S, judging: Judging = JUDGING) -> list[Row]:
        """The rows of a snapshot."""
        return rows_of(key, self.stores(now_s=now_s), judging)

    def write(self, rows: list[Row]) -> None:
        """Write the rows of a snapshot to the lake."""
        key = rows[0].snapshot
        self.lake.replace(
            "performance_history", {key: as_frame(rows, snapshot_s=epoch_s(date.fromisoformat(key)))}, run_id="test"
        )

    def asked(self, key: str, numbers: Iterable[int], *, day: float = 2.0, **more: Any) -> None:
        """The service answers about customers by the features of a snapshot."""
        snapshot_s = epoch_s(date.fromisoformat(key))
        rows = [
            {
            "request_id": f"{key}-{number}-{day}-{more.get('arm')}", "item": 0, "answered_s": snapshot_s + day * DAY_S, "customer_id": f"c{number}",
            "release": self.release, "epoch": 1, "role": "champion", "probability": 0.1, "churn": False, "threshold": 0.2,
            "snapshot_s": snapshot_s, "features": {}, "latency_us": 1_000, **more,
            }
            for number in numbers
        ]  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(prediction_log.insert(), rows)

    def posts(self, key: str, customer_id: str, *, churned: bool, version: int = 1, **more: Any) -> None:
        """A company posts an outcome, after the window has closed."""
        snapshot_s = epoch_s(date.fromisoformat(key))
        row = {
            "customer_id": customer_id, "snapshot_s": snapshot_s, "version": version, "churned": churned, "occurred_s": None,
            "received_s": snapshot_s + 40 * DAY_S, "key_id": "test", "request_id": "test", **more,
        }  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(outcomes.insert(), [row])

    def treats(
        self, key: str, numbers: Iterable[int], *, treated: bool, propensity: float | None, day: float = 1.0
    ) -> None:
        """A campaign calls customers, or holds them out."""
        assigned_s = int(epoch_s(date.fromisoformat(key)) + day * DAY_S)
        rows = [
            {
                "customer_id": f"c{number}", "assigned_s": assigned_s, "channel": "phone", "offer": "month", "version": 1, "treated": treated,
                "propensity": propensity, "received_s": assigned_s, "key_id": "test", "request_id": "test",
            }
            for number in numbers
        ]  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(treatments.insert(), rows)


def whole(rows: list[Row]) -> Row:
    """The row of all customers of the only release."""
    [row] = [row for row in rows if row.series.is_whole]
    return row


def mean_log_loss(scores: "np.typing.NDArray[np.float64]", churned: "np.typing.NDArray[np.bool_]") -> float:
    """The log loss."""
    return float(log_losses(churned, scores).mean())
