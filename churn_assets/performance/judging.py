"""The rows of ``performance_history`` for one snapshot: each release that was served, its arms and its segments.

Belongs here: which series there are, and why one can't be judged. Does not belong here: where the rows come from (``evidence``), the
figures (``measured``, ``excess``), and the verdict over time (``verdicts``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import polars as pl

from churn_assets.evaluation.measures import Weights
from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.performance.degradation import Point, Rule, Series
from churn_assets.performance.evidence import Evidence
from churn_assets.performance.excess import NORMAL_REACH, GateFigure, excess_log_loss
from churn_assets.performance.history import Details, Row
from churn_assets.performance.measured import OF_PARTS, SHOWN, bands, called, measures
from churn_assets.periods import Cadence
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.label import Label
from churn_assets.settings.performance import PerformanceSettings
from churn_assets.settings.profit import Profit
from churn_assets.treatments.weights import kish
from churn_store.errors import ChurnError
from churn_store.monitoring.facts import Measured
from churn_store.releases.manifest import Evaluation, Manifest

NOTHING_SERVED: Final = "nothing was served for this snapshot: neither the service nor churn_scores has a prediction from before its window closed"
GATE_SHOWN: Final = (*SHOWN, "base_rate")


@dataclass(frozen=True)
class Judging:
    """What a snapshot is judged by.

    Attributes:
        performance: section ``performance``.
        evaluation: section ``evaluation``.
        profit: section ``profit``.
        rule: rule of degradation.
        seed: seed of the bootstrap.
    """

    performance: PerformanceSettings
    evaluation: EvaluationSettings
    profit: Profit
    rule: Rule
    seed: int


@dataclass(frozen=True)
class JudgedBy:
    """The sections of the settings that a snapshot is judged by.

    Attributes:
        seed: seed of the bootstrap.
    """

    performance: PerformanceSettings
    evaluation: EvaluationSettings
    profit: Profit
    seed: int

    def judging(self, cadence: Cadence, label: Label) -> Judging:
        """What a snapshot is judged by, with the rule that follows from the calendar and the label's window."""
        rule = Rule.of(
            false_alarms=self.performance.false_alarms,
            margin=self.performance.margin,
            cadence=cadence,
            horizon_days=label.horizon_days,
        )
        return Judging(self.performance, self.evaluation, self.profit, rule, self.seed)


@dataclass(frozen=True)
class Snapshot:
    """What is known of a snapshot.

    Attributes:
        key: key of the snapshot.
        horizon_days: days that its labels look ahead.
        labels: sha256 of its published labels.
        evidence: predictions with outcomes.
        words: categories of each customer at risk, with ``customer_id``.
        manifests: manifest of each release that was served, or why it can't be read.
        weights: weight of each customer, 0 for who was treated: ``customer_id``, ``weight``; ``None`` where nobody was treated.
        unweighed: why the treated customers can't be made up for; empty where they can.
    """

    key: str
    horizon_days: int
    labels: str
    evidence: Evidence
    words: pl.DataFrame
    manifests: Mapping[str, Manifest | str]
    weights: pl.DataFrame | None = None
    unweighed: str = ""


def unjudged(key: str, why: str, judging: Judging, *, labels: str = "", details: Details | None = None) -> Row:
    """The one row of a snapshot of which nothing can be judged."""
    return Row(
        snapshot=key, series=Series("", None, None), rows=0, effective_rows=0.0, lacking=why, promised=None, seen=None, point=None,
        measures={}, details=details or Details(), labels=labels, rule=judging.rule,
    )  # fmt: skip


def judge(snapshot: Snapshot, judging: Judging) -> list[Row]:
    """The rows of a snapshot.

    Args:
        snapshot: what is known of it.
        judging: what it is judged by.
    """
    evidence = snapshot.evidence
    details = Details(counts=evidence.counts, notes=evidence.notes)
    rows = evidence.rows
    if snapshot.weights is not None:
        rows = rows.join(snapshot.weights, on="customer_id", how="left", maintain_order="left")
        rows = rows.with_columns(pl.col("weight").fill_null(1.0))
    else:
        rows = rows.with_columns(weight=pl.lit(1.0))
    if not rows.height:
        return [unjudged(snapshot.key, NOTHING_SERVED, judging, labels=snapshot.labels, details=details)]
    found = []
    for release in rows["release"].unique().sort().to_list():
        of_release = rows.filter(pl.col("release") == release)
        manifest = snapshot.manifests[release]
        for series, part in _series(of_release, release, manifest, snapshot, judging):
            of_series = details if series.is_whole else Details()
            try:
                found.append(_row(part, series, manifest, snapshot, judging, of_series))
            except Exception as error:  # what can't be measured must never look fine, and must not hide the other series
                why = str(error) if isinstance(error, ChurnError) else f"measuring failed ({type(error).__name__}: {error})"
                found.append(_lacking(part, series, why, snapshot, judging, of_series))
    return found


def _series(
    rows: pl.DataFrame, release: str, manifest: Manifest | str, snapshot: Snapshot, judging: Judging
) -> Iterator[tuple[Series, pl.DataFrame]]:
    """The series of a release: all its customers, then each arm and each segment with enough rows."""
    whole = rows.filter(pl.col("arm") == "")
    yield Series(release, None, None), whole
    for arm in rows["arm"].unique().sort().to_list():
        if arm:
            yield Series(release, arm, None), rows.filter(pl.col("arm") == arm)
    if isinstance(manifest, str):
        return
    names = [name for name in manifest.signature.categories if name in snapshot.words.columns]
    worded = whole.join(snapshot.words.select("customer_id", *names), on="customer_id", how="left", maintain_order="left")
    wanted = judging.evaluation.segments
    chosen = (
        tuple(name for name in wanted if name in names)
        if wanted
        else tuple(
            name
            for name in segment_columns(manifest.signature, _all_categories(worded, manifest), judging.evaluation)
            if name in names
        )
    )
    for column, word, inside in segments_of(worded, chosen, judging.evaluation):
        yield Series(release, None, f"{column}={word or 'missing'}"), worded.filter(inside)


def _all_categories(rows: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    absent = [name for name in manifest.signature.categories if name not in rows.columns]
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)


def _row(
    rows: pl.DataFrame, series: Series, manifest: Manifest | str, snapshot: Snapshot, judging: Judging, details: Details
) -> Row:
    if isinstance(manifest, str):
        return _lacking(
            rows, series, f"release {series.release[:12]} can't be read: {manifest}", snapshot, judging, details
        )
    churned, scores = rows["churned"].to_numpy(), rows["probability"].to_numpy()
    weights = rows["weight"].to_numpy()
    if (why := _why_not(rows, weights, manifest, snapshot, judging)) is not None:
        return _lacking(rows, series, why, snapshot, judging, details)
    gate = GateFigure.of(manifest)
    customers = rows["customer_id"]
    excess = excess_log_loss(churned, scores, customers, gate, weights=weights)
    found = measures(
        churned, scores, customers, weights=weights, threshold=manifest.threshold, profit=judging.profit,
        names=SHOWN if series.is_whole else OF_PARTS, seed=judging.seed, draws=judging.evaluation.draws,
    )  # fmt: skip
    reach = NORMAL_REACH * excess.variance**0.5
    found |= {
        "excess_log_loss": Measured(value=excess.value, low=excess.value - reach, high=excess.value + reach),
        "promised_log_loss": Measured(value=excess.promised, low=None, high=None),
        "log_loss_by_base_rate": Measured(value=excess.by_shift, low=None, high=None),
    }
    if series.is_whole:
        details = msgspec.structs.replace(
            details,
            gate=gate_figures(manifest),
            bands=bands(churned, scores, weights, manifest),
            called=called(churned, scores, rows["called"].to_numpy(), weights),
        )
    return Row(
        snapshot=snapshot.key,
        series=series,
        rows=int((weights > 0).sum()),
        effective_rows=kish(weights),
        lacking="",
        promised=float(np.average(scores, weights=weights)),
        seen=float(np.average(churned, weights=weights)),
        point=Point(excess.value, excess.variance, excess.promised, excess.gate_error),
        measures=found,
        details=details,
        labels=snapshot.labels,
        rule=judging.rule,
    )


def _why_not(rows: pl.DataFrame, weights: Weights, manifest: Manifest, snapshot: Snapshot, judging: Judging) -> str | None:
    """Why a series can't be judged; ``None`` where it can."""
    if manifest.horizon_days != snapshot.horizon_days:
        return f"the release predicts {manifest.horizon_days} days ahead and the labels look {snapshot.horizon_days} days ahead"
    if snapshot.unweighed:
        return f"can't be judged, as customers were treated: {snapshot.unweighed}"
    counted = rows.filter(pl.Series(weights > 0))
    left, effective = int(counted["churned"].sum()), kish(weights)
    stayed, least = counted.height - left, judging.performance
    if effective < least.least_rows:
        return f"{counted.height:,} customers have a prediction and an outcome, worth {effective:,.0f} equal rows; expected at least {least.least_rows:,}"
    if min(left, stayed) < least.least_churners:
        return f"{left:,} customers left and {stayed:,} stayed; expected at least {least.least_churners:,} of each"
    return None


def _lacking(rows: pl.DataFrame, series: Series, why: str, snapshot: Snapshot, judging: Judging, details: Details) -> Row:
    weights = rows["weight"].to_numpy()
    return Row(
        snapshot=snapshot.key, series=series, rows=rows.height, effective_rows=0.0 if snapshot.unweighed else kish(weights), lacking=why,
        promised=None, seen=None, point=None, measures={}, details=details, labels=snapshot.labels, rule=judging.rule,
    )  # fmt: skip


def gate_figures(manifest: Manifest) -> dict[str, Measured]:
    """The figures of the gate that have a counterpart here, with the intervals that the manifest has."""
    intervals = manifest.evaluation.intervals if isinstance(manifest.evaluation, Evaluation) else {}
    return {
        name: Measured(
            value=manifest.metrics[name],
            low=intervals[name].low if name in intervals else None,
            high=intervals[name].high if name in intervals else None,
        )
        for name in GATE_SHOWN
        if name in manifest.metrics
    }
