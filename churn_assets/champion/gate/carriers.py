"""Which columns carry the order of a model: one of them, a group of correlated ones, or a pair of groups.

A leak is known by its few carriers: one column that was written down after the label, the same under several names, or two that say
it together. Each set is fitted alone and measured on the judging rows. How far an AUC parts the classes is measured by the squared
distance d'^2 of two normal classes that have it (Simpson and Fitter 1973, "What is the best index of detectability?", Psychological
Bulletin 80): independent columns add up in it, as they do not in the AUC.

Belongs here: the groups, and what each set reaches. Does not belong here: what AUC asks for it (``plausible``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats
from scipy.sparse.csgraph import connected_components
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from churn_assets.evaluation.measures import Labels, auc
from churn_assets.tables import JUDGE
from churn_store.errors import InputError
from churn_store.model.signature import Signature

CARRIED = 0.6
"""A set that alone parts the classes by this share of what the whole model does carries it. Of three columns that tell equally much a
pair has 0.67 and is taken for a leak; of four it has 0.5."""

CORRELATED = 0.7
"""Columns whose ranks correlate by this much or more, in either direction, are one group."""

MOST_ROWS = 3_000
"""So many rows are fitted on, and so many measured; more sharpen the figures by little."""

TREES, LEAF_ROWS = 10, 20
"""A small forest sees interactions and any direction, and needs no threads. What is a sum of columns it sees badly."""

MOST_PAIRS = 1_500
"""More pairs of groups than this are not looked at: nothing is said of them, and the rule fails."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Carrier:
    """Columns, and what they reach alone.

    Attributes:
        columns: names of the columns; of a pair of groups those of both.
        auc: AUC on the judging rows.
        share: its squared distance of the classes, in that of the model.
    """

    columns: tuple[str, ...]
    auc: float
    share: float

    def __str__(self) -> str:
        """The columns by name."""
        return " + ".join(self.columns)


@dataclass(frozen=True)
class Carriers:
    """The set of columns that reaches the most.

    Attributes:
        strongest: of those that carry the order the smallest kind, a column before a group before a pair; else the one that reaches the most.
        carry: whether it carries the order.
        groups: number of groups of correlated columns.
    """

    strongest: Carrier
    carry: bool
    groups: int


def carriers(training_set: pl.DataFrame, signature: Signature, *, auc: float, seed: int) -> Carriers:
    """What each column, each group of correlated columns and each pair of groups reaches by itself.

    Args:
        training_set: rows of every role: the signature's columns and ``churned``.
        signature: inputs of the model.
        auc: AUC of the model on the judging rows.
        seed: seed of the sample and of the fits.

    Raises:
        InputError: there are too many pairs to look at.
    """
    known, judging = (
        _sampled(training_set.filter(rows), seed) for rows in (pl.col("role") != JUDGE, pl.col("role") == JUDGE)
    )
    fit, measured = _encoded(known, signature), _encoded(judging, signature)
    churned, judged = known["churned"].to_numpy(), judging["churned"].to_numpy()
    groups = grouped(fit)
    pairs = list(combinations(groups, 2))
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"AUC {auc:.4f} is above gate.auc_plausible, and {len(groups)} groups of columns make {len(pairs):,} pairs, more than the "
            f"{MOST_PAIRS:,} that are looked at for a leak; exclude columns (features.exclude), or raise gate.auc_plausible"
        )
    columns: list[tuple[str, ...]] = [(name,) for name in fit]
    kinds = (columns, [group for group in groups if len(group) > 1], [one + other for one, other in pairs])
    whole = separation(auc)
    strongest: Carrier | None = None
    for sets in kinds:
        for found in _reached(sets, fit, churned, measured, judged, whole, seed):
            strongest = found if strongest is None or found.share > strongest.share else strongest
        if strongest is not None and strongest.share >= CARRIED:
            break
    if strongest is None:
        raise InputError("the model has no column that could carry its order; expected at least one")
    return Carriers(strongest, strongest.share >= CARRIED, len(groups))


def separation(auc: float) -> float:
    """The squared distance of two normal classes of equal spread that an AUC is of; 0 for chance or worse."""
    return max(0.0, float(np.sqrt(2) * stats.norm.ppf(min(auc, 1 - 1e-6)))) ** 2


def grouped(encoded: dict[str, Numbers]) -> list[tuple[str, ...]]:
    """The columns in groups: those that are linked by correlated ranks, directly or through others, are together.

    Args:
        encoded: what is correlated of each column: its numbers, whether one is missing, whether it is a certain word.
    """
    names = list(encoded)
    owner = np.repeat(np.arange(len(names)), [encoded[name].shape[1] for name in names])
    values = np.hstack([encoded[name] for name in names])
    ranks = stats.rankdata(np.where(np.isnan(values), -np.inf, values), axis=0)
    spread = ranks - ranks.mean(axis=0)
    length = np.sqrt((spread**2).sum(axis=0))
    told = length > 0
    unit = spread[:, told] / length[told]
    linked = np.abs(unit.T @ unit) >= CORRELATED
    owners = owner[told]
    between = np.zeros((len(names), len(names)), dtype=bool)
    first, second = np.nonzero(linked)
    between[owners[first], owners[second]] = True
    _, labels = connected_components(between, directed=False)
    return [tuple(name for name, own in zip(names, labels, strict=True) if own == label) for label in np.unique(labels)]


def _reached(
    sets: list[tuple[str, ...]],
    fit: dict[str, Numbers],
    churned: Labels,
    measured: dict[str, Numbers],
    judged: Labels,
    whole: float,
    seed: int,
) -> Iterator[Carrier]:
    """What each set of columns reaches when nothing else is seen: the better of a sum of them and a small forest."""
    for names in sets:
        seen, asked = (np.hstack([part[name] for name in names]) for part in (fit, measured))
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF_ROWS, max_features=None, n_jobs=1, random_state=seed)
        by_forest = forest.fit(seen, churned).predict_proba(asked)[:, 1]
        middle, spread = np.nan_to_num(np.nanmean(seen, axis=0)), np.nanstd(seen, axis=0)
        wide = np.where(spread > 0, spread, 1.0)
        scaled, asked_scaled = (np.nan_to_num((part - middle) / wide) for part in (seen, asked))
        by_sum = LogisticRegression(solver="newton-cholesky").fit(scaled, churned).decision_function(asked_scaled)
        alone = max(auc(judged, by_forest), auc(judged, by_sum))
        yield Carrier(names, alone, separation(alone) / whole if whole else 1.0)


def _sampled(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    return rows if rows.height <= MOST_ROWS else rows.sample(MOST_ROWS, seed=seed)


def _encoded(rows: pl.DataFrame, signature: Signature) -> dict[str, Numbers]:
    """By column its numbers with a mark where they are missing, or a mark for each of its words."""
    numbers, words = signature.frame_tensors(rows)
    found: dict[str, Numbers] = {}
    for place, name in enumerate(signature.numbers):
        values = numbers[:, place].astype(np.float64)
        found[name] = np.column_stack([values, np.isnan(values)])
    known = {column.name: column.categories for column in signature.columns}
    for place, name in enumerate(signature.categories):
        found[name] = np.column_stack([words[:, place] == word for word in known[name]]).astype(np.float64)
    return found
