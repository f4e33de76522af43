"""Windows in their order, each with its verdict: what moved, since when, and how unusual that is.

Belongs here: what is compared with what, for all customers and for segments, and what follows from the windows before. A comparison that
fails makes a window of unknown state, never one without drift. Does not belong here: the rule for one window (``drift``), where rows come
from (``assets``, ``served_requests``) and where windows are kept (``history``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import msgspec
import polars as pl

from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.monitoring.drift import Baseline, Drift, FeatureDrift, compare, why_not
from churn_assets.monitoring.drift_history import moved_since, movement, unusual
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_assets.tables import SCORE
from churn_store.model.signature import MISSING_CATEGORY, Column, Signature
from churn_store.monitoring.facts import DriftWindow, FeatureMove

Rows = Literal["snapshot", "served"]

SCORED = Column(name=SCORE, kind="number", low=0.0, high=1.0, description="probability of churn by the serving release")
"""The release's score as a column, shown beside the features. It is no feature, so it is not judged."""

CALLED = "called_churn"
"""Whether the release called the customer a churner, in the rows of a window."""

NO_REFERENCE = "as the reference can't be read"


@dataclass(frozen=True)
class Against:
    """What windows are compared with.

    Attributes:
        release: digest of the release that is compared.
        baseline: digest of the release whose reference it is compared with.
        signature: inputs of the release.
        reference: reference rows with the inputs and ``score`` by the release, and ``snapshot_s`` where the data has time; ``None``
            where there is none.
        shown: names of features that are compared but not judged.
        importances: share of the model's importance by feature; empty where it is not known.
        rule: bounds of the drift rule.
        evaluation: settings of the segments.
        usual: rows of other windows from before the release, which tell what is usual.
    """

    release: str
    baseline: str
    signature: Signature
    reference: pl.DataFrame | None
    shown: frozenset[str]
    importances: Mapping[str, float]
    rule: Monitoring
    evaluation: EvaluationSettings
    usual: Sequence[pl.DataFrame] = ()

    @property
    def needed(self) -> int:
        """Number of windows that must agree: one decides alone where the data has no time."""
        has_time = self.reference is None or "snapshot_s" in self.reference.columns
        return self.rule.agreeing if has_time else 1

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The inputs and the score."""
        return (*self.signature.columns, SCORED)

    @cached_property
    def segments(self) -> dict[str | None, tuple[str, str] | None]:
        """Column and word of each segment with enough reference rows, by its name; all customers first, as ``None``."""
        if self.reference is None:
            return {None: None}
        columns = segment_columns(self.signature, self.reference, self.evaluation)
        found = segments_of(self.reference, columns, self.evaluation)
        return {None: None, **{f"{column}={word or 'missing'}": (column, word) for column, word, _ in found}}


@dataclass(frozen=True)
class Compared:
    """A window of one segment, compared with the baseline and not yet with the windows before it.

    Attributes:
        window: key of the period.
        of: whether the rows are those of the snapshot or of served requests.
        segment: name of the segment; ``None`` for all customers.
        rows: rows of the window.
        moves: moves of the features; empty where nothing could be judged.
        why: why nothing could be judged, in words; ``None`` where it could.
        failed: type of the error by which the comparison failed; ``None`` where it did not.
        mean_score: mean probability; ``None`` without rows.
        positive_rate: share called churners; ``None`` without rows.
    """

    window: str
    of: Rows
    segment: str | None
    rows: int
    moves: list[FeatureMove]
    why: str | None
    failed: str | None
    mean_score: float | None
    positive_rate: float | None


@dataclass
class Comparer:
    """Compares windows with one baseline, which it prepares once for each segment.

    Attributes:
        against: what they are compared with.
        failures: errors by which comparisons failed.
    """

    against: Against
    failures: list[Exception] = field(default_factory=list)
    _prepared: dict[str | None, Baseline] = field(default_factory=dict)

    def compared(self, window: str, of: Rows, rows: pl.DataFrame, *, with_segments: bool) -> Iterator[Compared]:
        """Compare a window, of all customers and of each segment.

        Args:
            window: key of its period.
            of: what its rows are of.
            rows: rows with the inputs of the release, ``score`` and ``called_churn``.
            with_segments: whether segments are compared as well.
        """
        for segment, chosen in self.against.segments.items():
            if segment is None or with_segments:
                yield self._one(window, of, segment, rows if chosen is None else _inside(rows, *chosen))

    def _one(self, window: str, of: Rows, segment: str | None, rows: pl.DataFrame) -> Compared:
        moves: list[FeatureMove] = []
        why: str | None = NO_REFERENCE
        failed = None
        try:
            if (reference := self.against.reference) is not None:
                baseline = self._baseline(segment, reference)
                why = why_not(baseline, rows)
                if why is None:
                    moves = [move.published for move in self._moves(baseline, rows)]
        except Exception as error:  # whatever goes wrong in a statistic: the window is not judged, and says so
            self.failures.append(error)
            failed, why, moves = type(error).__name__, f"as the comparison failed ({type(error).__name__})", []
        return Compared(
            window,
            of,
            segment,
            rows.height,
            moves,
            why,
            failed,
            _mean(rows, SCORE),
            _mean(rows, CALLED),
        )

    def _moves(self, baseline: Baseline, rows: pl.DataFrame) -> Sequence[FeatureDrift]:
        against = self.against
        return compare(baseline, rows, {*against.shown, SCORE}, against.rule, against.importances)

    def _baseline(self, segment: str | None, reference: pl.DataFrame) -> Baseline:
        if segment not in self._prepared:
            chosen = self.against.segments[segment]
            rows, *usual = (side if chosen is None else _inside(side, *chosen) for side in (reference, *self.against.usual))
            self._prepared[segment] = Baseline(rows, self.against.columns, usual)
        return self._prepared[segment]


def in_order(compared: Sequence[Compared], earlier: Sequence[DriftWindow], against: Against) -> list[DriftWindow]:
    """Windows with their verdicts, each of which counts the windows before it.

    Args:
        compared: windows, the oldest first.
        earlier: stored windows from before; only those of the same release and baseline count.
        against: what they were compared with.
    """
    chains: dict[tuple[str, str | None], list[DriftWindow]] = {}
    for one in earlier:
        if (one.release, one.baseline) == (against.release, against.baseline):
            chains.setdefault((one.of, one.segment), []).append(one)
    judged = []
    for new in compared:
        chain = chains.setdefault((new.of, new.segment), [])
        found = _judged(new, [one for one in chain if one.window < new.window], against)
        others = [one for one in chain if one.window != new.window]
        chains[new.of, new.segment] = sorted([*others, found], key=lambda one: one.window)
        judged.append(found)
    return judged


def _judged(new: Compared, before: Sequence[DriftWindow], against: Against) -> DriftWindow:
    newest = before[-(against.rule.windows - 1) :] if against.rule.windows > 1 else []
    moves = {one.window: _as_judged(one.features) for one in newest} | {new.window: _as_judged(new.moves)}
    votes = Counter(move.feature for found in moves.values() for move in found if move.drifted)
    agreeing = tuple(column.name for column in against.columns if votes[column.name] >= against.needed)
    drift = Drift(moves, against.needed, agreeing, {} if new.why is None else {new.window: new.why})
    state = drift.state if new.failed is None else "unknown"
    has_moved = {one.window: _moved(one.features) for one in before} | {new.window: _moved(new.moves)}
    return DriftWindow(
        window=new.window,
        of=new.of,
        segment=new.segment,
        release=against.release,
        baseline=against.baseline,
        rows=new.rows,
        state=state,
        verdict=drift.verdict
        if new.failed is None
        else f"not judged: the comparison of {new.window} failed ({new.failed})",
        since=moved_since(has_moved) if has_moved[new.window] else None,
        unusual=unusual(movement(new.moves), [movement(one.features) for one in before]),
        mean_score=new.mean_score,
        positive_rate=new.positive_rate,
        features=new.moves,
    )


def _moved(moves: Sequence[FeatureMove]) -> bool | None:
    """Whether a window moved; ``None`` where it could not be judged."""
    return any(move.drifted for move in moves) if moves else None


def _inside(rows: pl.DataFrame, column: str, word: str) -> pl.DataFrame:
    return rows.filter(pl.col(column).fill_null(MISSING_CATEGORY) == word)


def _mean(rows: pl.DataFrame, column: str) -> float | None:
    mean = rows[column].mean() if column in rows.columns else None
    return None if mean is None else float(mean)  # type: ignore[arg-type]


def _as_judged(moves: Sequence[FeatureMove]) -> list[FeatureDrift]:
    """Moves as the rule's verdict takes them."""
    return [FeatureDrift(**msgspec.structs.asdict(move)) for move in moves]
