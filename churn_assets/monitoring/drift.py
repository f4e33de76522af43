"""Drift of a window against the release's reference: which features moved, and whether that matters.

A feature has drifted in a window if two conditions hold. A test says so after correction for the number of judged features
(Benjamini and Hochberg 1995). And the move is material: its bias-corrected population stability index (PSI) exceeds the feature's cut
(``drift_cuts``). An alert needs several of the newest windows to agree. Features that move with time alone, and the model's score, are
shown but not judged. What can't be compared is named, and is never fine.

Belongs here: the rule and its verdict. Does not belong here: the statistics (``drift_statistics``), what is usual (``drift_cuts``), and the
history of windows (``drift_history``).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from churn_assets.monitoring.drift_cuts import LEAST_ROWS, cut, usual_move
from churn_assets.monitoring.drift_statistics import Bins, Sample, corrected, moments, p_value
from churn_assets.settings.monitoring import Monitoring
from churn_store.errors import InputError
from churn_store.model.psi import Tally, population_stability_index
from churn_store.model.signature import MISSING_CATEGORY, Column
from churn_store.monitoring.facts import FeatureMove, State


class FeatureDrift(FeatureMove, frozen=True, kw_only=True):
    """How a feature moved in a window: what is published of it, and what only the report says.

    Attributes:
        unknown: why the feature can't be judged, in words; ``None`` where it can.
        new_words: words of a category that the baseline does not have, sorted.
    """

    unknown: str | None = None
    new_words: tuple[str, ...] = ()

    @property
    def published(self) -> FeatureMove:
        """What is published of it."""
        return FeatureMove(**{name: getattr(self, name) for name in FeatureMove.__struct_fields__})


@dataclass(frozen=True)
class Drift:
    """The verdict on the newest windows.

    Attributes:
        windows: drift of the features by window, newest last; empty for a window that can't be judged.
        needed: number of windows that must agree.
        agreeing: names of the features that drifted in at least so many windows.
        why: why a window can't be judged, in words, by its name.
        not_compared: why a feature is in no window's table, in words, by its name.
    """

    windows: dict[str, list[FeatureDrift]]
    needed: int
    agreeing: tuple[str, ...]
    why: Mapping[str, str] = field(default_factory=dict)
    not_compared: Mapping[str, str] = field(default_factory=dict)

    @property
    def alert(self) -> bool:
        """Whether retraining should be considered."""
        return bool(self.agreeing)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The windows that can't be judged, or in which no feature can."""
        return tuple(name for name, rows in self.windows.items() if not any(row.judged for row in rows))

    @property
    def judged(self) -> bool:
        """Whether the absence of an alert means no drift: the newest window was judged, and ``needed`` windows in all."""
        newest = list(self.windows)[-1]
        return newest not in self.unjudged and len(self.windows) - len(self.unjudged) >= self.needed

    @property
    def state(self) -> State:
        """What the verdict comes to."""
        return "attention" if self.alert else "fine" if self.judged else "unknown"

    @property
    def verdict(self) -> str:
        """The verdict in words, with the windows that can't be judged and why, and the features that can't be."""
        count = len(self.windows) - len(self.unjudged)
        bare = [name for name in self.unjudged if name not in self.why]
        asides = [f"not judged, as no feature can be: {', '.join(bare)}"] if bare else []
        asides += [f"not judged, {why}: {', '.join(self._unjudged_for(why))}" for why in dict.fromkeys(self.why.values())]
        asides += [f"{name} {why}" for name, why in self.not_compared.items()]
        aside = "".join(f"; {one}" for one in asides)
        if self.judged or self.alert:
            return f"{', '.join(self.agreeing) or 'no feature'} drifted in at least {self.needed} of {count} judged windows{aside}"
        return (
            f"not judged: the newest window and {self.needed} in all must be judged, each with {LEAST_ROWS} rows or more; of "
            f"{', '.join(self.windows)} {count} {'is' if count == 1 else 'are'}{aside}"
        )

    def _unjudged_for(self, why: str) -> list[str]:
        return [name for name, said in self.why.items() if said == why]


class Baseline:
    """The reference, prepared once for all windows.

    Args:
        reference: training rows with the columns, and with ``snapshot_s`` where the data has time.
        columns: columns to compare; those that the reference lacks are left out.
        usual: rows of other windows from before the release, oldest first, which tell what is usual.
    """

    def __init__(self, reference: pl.DataFrame, columns: Sequence[Column], usual: Sequence[pl.DataFrame] = ()) -> None:
        self.rows = reference.height
        self.has_time = "snapshot_s" in reference.columns
        self.columns = tuple(column for column in columns if column.name in reference.columns)
        self.samples = {column.name: Sample.of(reference[column.name], column) for column in self.columns}
        if self.rows:
            self.bins = {column.name: Bins(self.samples[column.name], column) for column in self.columns}
            self.tallies = {name: bins.tally(self.samples[name]) for name, bins in self.bins.items()}
            snapshots = reference.sort("snapshot_s").partition_by("snapshot_s") if self.has_time else []
            self.usual = {
                column.name: usual_move(
                    self.tallies[column.name], self._tallies(snapshots, column), self._tallies(usual, column)
                )
                for column in self.columns
            }

    def _tallies(self, frames: Sequence[pl.DataFrame], column: Column) -> list[Tally]:
        there = [frame[column.name] for frame in frames if column.name in frame.columns]
        return [self.bins[column.name].tally(Sample.of(rows, column)) for rows in there]


def require_columns(windows: Mapping[str, pl.DataFrame], columns: Sequence[Column]) -> None:
    """Refuse windows that can't be compared.

    Raises:
        InputError: if a window lacks a column that the release was trained on.
    """
    for name, rows in windows.items():
        if lacking := [column.name for column in columns if column.name not in rows.columns]:
            raise InputError(
                f"customer_features {name} has no {', '.join(lacking)}, which the serving release was trained on; train and "
                "release a model of the present features first"
            )


def judge_windows(
    reference: pl.DataFrame | None,
    windows: Mapping[str, pl.DataFrame],
    columns: Sequence[Column],
    shown: Collection[str],
    rule: Monitoring,
    *,
    usual: Sequence[pl.DataFrame] = (),
    importances: Mapping[str, float] | None = None,
) -> Drift:
    """Compare the newest windows with the reference.

    A window that can't be judged has no vote; an alert still needs the votes of ``rule.agreeing`` others. Data without time has one
    window, which decides alone.

    Args:
        reference: training rows with the columns, and with ``snapshot_s`` where the data has time; ``None`` where the release has none.
        windows: rows by period key, in the order of time, each frame with the columns. The newest ``rule.windows`` count.
        columns: columns to compare.
        shown: names of columns that are compared but not judged.
        rule: bounds of the drift rule.
        usual: rows of other windows from before the release, oldest first, which tell what is usual; they may lack columns.
        importances: importance of each feature to the model, as a share; ``None`` where it is not known.
    """
    baseline = Baseline(pl.DataFrame() if reference is None else reference, columns, usual)
    newest = list(windows)[-rule.windows :]
    why = {name: said for name in newest if (said := why_not(baseline, windows[name])) is not None}
    compared = {
        name: [] if name in why else compare(baseline, windows[name], shown, rule, importances or {}) for name in newest
    }
    needed = rule.agreeing if baseline.has_time else 1
    votes = Counter(row.feature for rows in compared.values() for row in rows if row.drifted)
    agreeing = tuple(column.name for column in columns if votes[column.name] >= needed)
    return Drift(compared, needed, agreeing, why, _not_compared(baseline, [windows[name] for name in newest], columns))


def compare(
    baseline: Baseline,
    window: pl.DataFrame,
    shown: Collection[str],
    rule: Monitoring,
    importances: Mapping[str, float],
) -> list[FeatureDrift]:
    """How each column of a window moved from the baseline.

    Args:
        baseline: reference with at least one row.
        window: rows of the window; columns that it lacks are left out.
        shown: names of columns that are compared but not judged.
        rule: bounds of the drift rule.
        importances: importance of each feature to the model, as a share; empty where it is not known.
    """
    columns = [column for column in baseline.columns if column.name in window.columns]
    samples = {column.name: Sample.of(window[column.name], column) for column in columns}
    tallies = {name: (baseline.tallies[name], baseline.bins[name].tally(sample)) for name, sample in samples.items()}
    unknown = {name: why for name, sample in samples.items() if (why := _why_unknown(baseline.samples[name], sample))}
    p_values = {name: p_value(baseline.samples[name], sample, tallies[name]) for name, sample in samples.items()}
    judged = [name for name in samples if name not in shown and name not in unknown]
    p_values |= dict(zip(judged, corrected(np.array([p_values[name] for name in judged])).tolist(), strict=True))
    drifts = []
    for column in columns:
        name, before, now = column.name, baseline.samples[column.name], samples[column.name]
        moved, limit = (
            population_stability_index(*tallies[name]),
            cut(baseline.tallies[name], now.rows, baseline.usual[name], rule.effect),
        )
        found = moments(before, now, tallies[name])
        drifts.append(
            FeatureDrift(
                feature=name,
                rows=now.rows,
                ks=found.ks,
                welch_t=found.welch_t,
                psi=moved,
                wasserstein=found.wasserstein,
                chi_square=found.chi_square,
                jensen_shannon=found.jensen_shannon,
                p_value=p_values[name],
                cut=limit,
                mean=now.mean,
                baseline_mean=before.mean,
                mean_shift=found.mean_shift,
                missing=now.missing / now.rows,
                importance=importances.get(name),
                judged=name in judged,
                drifted=name in judged and p_values[name] < rule.significance and moved > limit,
                unknown=unknown.get(name),
                new_words=tuple(sorted(set(now.words.tolist()) - set(before.words.tolist()) - {MISSING_CATEGORY})),
            )
        )
    return drifts


def why_not(baseline: Baseline, window: pl.DataFrame) -> str | None:
    """Why a window can't be judged, in words; ``None`` where it can."""
    if not baseline.columns or not baseline.rows:
        return "as the release has no reference rows to compare with"
    if baseline.rows < LEAST_ROWS:
        return f"as the reference has {baseline.rows:,} rows, and needs {LEAST_ROWS}"
    if not window.height:
        return "as the window has no rows"
    if window.height < LEAST_ROWS:
        return f"with fewer than {LEAST_ROWS} rows"
    return None


def _why_unknown(before: Sample, now: Sample) -> str | None:
    if before.missing == before.rows and now.missing == now.rows:
        return "has no value in the reference, nor in the window"
    if before.is_constant and now.is_constant and before.mean == now.mean and set(before.words[:1]) == set(now.words[:1]):
        return "has one and the same value in all rows of the reference and of the window"
    return None


def _not_compared(baseline: Baseline, windows: Sequence[pl.DataFrame], columns: Sequence[Column]) -> dict[str, str]:
    if not baseline.columns:
        return {}
    found = {column.name: "is not in the release's reference, and is not compared" for column in columns}
    for column in baseline.columns:
        del found[column.name]
        if any(column.name not in window.columns for window in windows):
            found[column.name] = "is not in every window, and is not compared there"
    return found
