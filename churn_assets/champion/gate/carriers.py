"""Finds the columns that carry a model's ranking: a single column, a group of correlated ones, or a pair of groups.

A leak has few carriers: one column that was recorded after the label, copies of it under several names, or two columns that tell the label
together. Each set of columns is fitted alone and measured on the judging rows. An AUC is converted to the squared distance d'^2 between two
normal classes (Simpson and Fitter 1973, "What is the best index of detectability?", Psychological Bulletin 80), as independent columns add
up in d'^2 but not in the AUC.

Belongs here: the groups, and the AUC of each set. Does not belong here: from which AUC on carriers are sought (``plausible``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.evaluation.measures import Labels, auc
from churn_assets.tables import JUDGE
from churn_store.errors import InputError
from churn_store.model.signature import Signature

CARRIED = 0.6
"""Least share of the model's squared distance that a set of columns must reach alone to carry it. Of three equally good columns a pair
has 0.67 and is taken for a leak; of four a pair has 0.5."""

CORRELATED = 0.7
"""Least absolute rank correlation of two columns of one group."""

MOST_ROWS = 3_000
"""Greatest number of rows to fit on, and to measure on; more rows improve the figures little."""

TREES, LEAF_ROWS = 10, 20
"""A small forest finds interactions and any direction, and needs no threads. It is bad at sums of columns."""

MOST_PAIRS = 1_500
"""Greatest number of pairs of groups; with more the rule fails."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Carrier:
    """A set of columns, and the AUC that it reaches alone.

    Attributes:
        columns: names of the columns.
        auc: AUC on the judging rows.
        share: squared distance between the classes, relative to that of the model.
    """

    columns: tuple[str, ...]
    auc: float
    share: float

    def __str__(self) -> str:
        """The columns by name."""
        return " + ".join(self.columns)


@dataclass(frozen=True)
class Carriers:
    """The strongest set of columns.

    Attributes:
        strongest: strongest set of the smallest kind with a carrier (column, group, pair); without a carrier, the strongest of all sets.
        carry: whether it carries the model's ranking.
        groups: number of groups of correlated columns.
    """

    strongest: Carrier
    carry: bool
    groups: int


def carriers(training_set: pl.DataFrame, signature: Signature, *, auc: float, seed: int) -> Carriers:
    """Find the set of columns that comes closest to a model by itself.

    Args:
        training_set: training set with the rows of every role.
        signature: inputs of the model.
        auc: AUC of the model on the judging rows.
        seed: seed of the sample and of the fits.

    Raises:
        InputError: there are too many pairs of groups, or no columns.
    """
    fitting, judging = (
        _sampled(training_set.filter(role), seed) for role in (pl.col("role") != JUDGE, pl.col("role") == JUDGE)
    )
    fit, measured = _encoded(fitting, signature), _encoded(judging, signature)
    churned, judged = fitting["churned"].to_numpy(), judging["churned"].to_numpy()
    groups = grouped(fit)
    pairs = list(combinations(groups, 2))
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"AUC {auc:.4f} is above gate.auc_plausible, and {len(groups)} groups of columns make {len(pairs):,} pairs, more than the "
            f"{MOST_PAIRS:,} that are looked at for a leak; exclude columns (features.exclude), or raise gate.auc_plausible"
        )
    columns: list[tuple[str, ...]] = [(name,) for name in fit]
    kinds = (columns, [group for group in groups if len(group) > 1], [first + second for first, second in pairs])
    whole = separation(auc)
    strongest: Carrier | None = None
    for sets in kinds:
        for carrier in _measured_alone(sets, fit, churned, measured, judged, whole, seed):
            strongest = carrier if strongest is None or carrier.share > strongest.share else strongest
        if strongest is not None and strongest.share >= CARRIED:
            break
    if strongest is None:
        raise InputError("the model has no column that could carry its order; expected at least one")
    return Carriers(strongest, strongest.share >= CARRIED, len(groups))


def separation(auc: float) -> float:
    """The squared distance between two normal classes of equal spread that gives an AUC; 0 for an AUC of chance or worse."""
    return max(0.0, float(np.sqrt(2) * scipy.stats.norm.ppf(min(auc, 1 - 1e-6)))) ** 2


def grouped(encoded: dict[str, Numbers]) -> list[tuple[str, ...]]:
    """Groups of columns whose ranks are correlated, directly or through other columns of the group.

    Args:
        encoded: arrays by column name (``_encoded``), whose parts are correlated.
    """
    names = list(encoded)
    owner = np.repeat(np.arange(len(names)), [encoded[name].shape[1] for name in names])
    values = np.hstack([encoded[name] for name in names])
    ranks = scipy.stats.rankdata(np.where(np.isnan(values), -np.inf, values), axis=0)
    spread = ranks - ranks.mean(axis=0)
    length = np.sqrt((spread**2).sum(axis=0))
    varying = length > 0
    unit = spread[:, varying] / length[varying]
    linked = np.abs(unit.T @ unit) >= CORRELATED
    owners = owner[varying]
    between = np.zeros((len(names), len(names)), dtype=bool)
    first, second = np.nonzero(linked)
    between[owners[first], owners[second]] = True
    _, labels = scipy.sparse.csgraph.connected_components(between, directed=False)
    return [
        tuple(name for name, of_column in zip(names, labels, strict=True) if of_column == label)
        for label in np.unique(labels)
    ]


def _measured_alone(
    sets: list[tuple[str, ...]],
    fit: dict[str, Numbers],
    churned: Labels,
    measured: dict[str, Numbers],
    judged: Labels,
    whole: float,
    seed: int,
) -> Iterator[Carrier]:
    """The AUC of each set of columns alone, by the better of logistic regression and a small forest."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - seconds of import that only training pays
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    for names in sets:
        known, asked = (np.hstack([arrays[name] for name in names]) for arrays in (fit, measured))
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF_ROWS, max_features=None, n_jobs=1, random_state=seed)
        by_forest = forest.fit(known, churned).predict_proba(asked)[:, 1]
        middle, spread = np.nan_to_num(np.nanmean(known, axis=0)), np.nanstd(known, axis=0)
        wide = np.where(spread > 0, spread, 1.0)
        scaled, asked_scaled = (np.nan_to_num((values - middle) / wide) for values in (known, asked))
        by_sum = LogisticRegression(solver="newton-cholesky").fit(scaled, churned).decision_function(asked_scaled)
        alone = max(auc(judged, by_forest), auc(judged, by_sum))
        yield Carrier(names, alone, separation(alone) / whole if whole else 1.0)


def _sampled(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    return rows if rows.height <= MOST_ROWS else rows.sample(MOST_ROWS, seed=seed)


def _encoded(rows: pl.DataFrame, signature: Signature) -> dict[str, Numbers]:
    """Arrays by column name: numbers and whether they are missing, or a 0/1 column for each word."""
    numbers, words = signature.frame_tensors(rows)
    encoded: dict[str, Numbers] = {}
    for position, name in enumerate(signature.numbers):
        values = numbers[:, position].astype(np.float64)
        encoded[name] = np.column_stack([values, np.isnan(values)])
    categories = {column.name: column.categories for column in signature.columns}
    for position, name in enumerate(signature.categories):
        encoded[name] = np.column_stack([words[:, position] == word for word in categories[name]]).astype(np.float64)
    return encoded
