"""Years of weekly windows in which nothing changes, each with its reference, as an installation would have them.

A year is that of a small company: the customers of a large synthetic one whose ids fall into one of several groups. Its reference and its usual
windows are those of a release, and its customers come back from week to week. Independent features are drawn beside it, for what the theory says
of them.

Belongs here: where the rows come from. Does not belong here: what is done to them (``changes``), and what rules say of them (``moves``, ``peers``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.detector.company import Company
from churn_assets.monitoring.drift import Baseline
from churn_assets.monitoring.drift_cuts import usual_periods
from churn_assets.monitoring.drift_statistics import Sample
from churn_assets.periods import epoch_s, text
from churn_assets.training.golden import SAMPLED_ROWS
from churn_store.model.signature import Column

TRAINED_ON = (*range(71, 89), 93)
"""Weeks of the training and of the selecting snapshots, as ``training`` has them by default in a company of two years."""

FIRST_SNAPSHOT = 26
WINDOWS = range(105, 157)
"""Weeks of the windows: the year after the release."""

COMES_BACK = 0.98
"""Correlation of an independent feature of a customer from one week to the next."""


EACH = 6
MARGINALS = ("normal", "exponential", "lognormal", "count")


@dataclass(frozen=True)
class Year:
    """A year of windows and the release's reference.

    Attributes:
        baseline: reference, prepared as the rule does it.
        columns: columns that the rule judges.
        windows: columns of each week, by name.
    """

    baseline: Baseline
    columns: tuple[Column, ...]
    windows: tuple[dict[str, Sample], ...]


def years(company: Company, rows: int, seed: int, *, usual: bool = True) -> Iterator[Year]:
    """Years of small companies that have no customer in common.

    Args:
        company: large company, from ``FIRST_SNAPSHOT`` to the last of ``WINDOWS``.
        rows: customers at risk of each, in the mean over the windows.
        seed: seed of the groups and of the reference's sample.
        usual: whether the lake has snapshots from before the training ones.
    """
    days = list(company.weeks)
    by_week = dict(zip(range(FIRST_SNAPSHOT, FIRST_SNAPSHOT + len(days)), days, strict=True))
    trained_on = [by_week[week] for week in TRAINED_ON]
    windows = [by_week[week] for week in WINDOWS]
    past = usual_periods(map(text, days), list(map(text, trained_on))) if usual else []
    needed = {*trained_on, *windows, *map(date.fromisoformat, past)}
    groups = max(1, round(sum(company.weeks[day].height for day in windows) / len(windows) / rows))
    parts = {
        day: company.weeks[day]
        .with_columns(group=pl.col("customer_id").hash(seed=seed) % groups)
        .partition_by("group", as_dict=True)
        for day in sorted(needed)
    }
    columns = tuple(feature.column for feature in company.features if not feature.drifts_anyway)
    for group in range(groups):
        reference = pl.concat(parts[day][(group,)].with_columns(snapshot_s=pl.lit(epoch_s(day))) for day in trained_on)
        reference = reference.sample(min(SAMPLED_ROWS, reference.height), seed=seed, shuffle=True)
        baseline = Baseline(reference, columns, [parts[date.fromisoformat(key)][(group,)] for key in past])
        yield Year(baseline, columns, tuple(samples(parts[day][(group,)], columns) for day in windows))


def samples(rows: pl.DataFrame, columns: Sequence[Column]) -> dict[str, Sample]:
    """The columns of a window, by name."""
    return {column.name: Sample.of(rows[column.name], column) for column in columns}


def independent_year(rows: int, generator: np.random.Generator, *, windows: int = len(WINDOWS)) -> Year:
    """A year of features that depend neither on each other nor on the season; the same customers come back each week.

    There are normal, exponential, log-normal and counted features, ``EACH`` of each. The reference has 20,000 other customers at 20 snapshots.
    """
    names = [f"{kind}_{number}" for kind in MARGINALS for number in range(EACH)]
    columns = tuple(Column(name=name, kind="number") for name in names)
    latent = generator.normal(size=(len(names), SAMPLED_ROWS))
    snapshots = pl.Series("snapshot_s", np.arange(SAMPLED_ROWS) % 20)
    reference = pl.DataFrame(_valued(names, latent)).with_columns(snapshots)
    now, found = generator.normal(size=(len(names), rows)), []
    for _ in range(windows):
        found.append(samples(pl.DataFrame(_valued(names, now)), columns))
        now = COMES_BACK * now + np.sqrt(1 - COMES_BACK**2) * generator.normal(size=now.shape)
    return Year(Baseline(reference, columns), columns, tuple(found))


COUNTED = np.cumsum(scipy.stats.poisson.pmf(np.arange(20), 2.0))
"""Cumulative shares of a count with a mean of 2."""


def _valued(names: Sequence[str], latent: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    return {name: _marginal(name.split("_")[0], latent[place]) for place, name in enumerate(names)}


def _marginal(kind: str, normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    match kind:
        case "exponential":
            return np.asarray(-np.log(scipy.special.ndtr(-normal)))
        case "lognormal":
            return np.asarray(np.exp(normal))
        case "count":
            return np.asarray(np.searchsorted(COUNTED, scipy.special.ndtr(normal)), dtype=np.float64)
    return normal


def weeks() -> range:
    """The weekly snapshots that ``years`` needs."""
    return range(FIRST_SNAPSHOT, WINDOWS[-1] + 1)
