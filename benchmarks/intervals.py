"""How often the intervals that the product prints hold the truth: ``make bench-intervals``, or ``python benchmarks/intervals.py [--quick]``.

Each interval is made by the product's own function, on many samples of customers of whom the truth is known (``interval_samples``), by
size, by rate of churn, with one row and four rows a customer, and over all of these. An interval is short where the share of samples in which it held the truth is
proven to lie below what is allowed: its nominal confidence less ``ALLOWED``. Wide is one that holds the truth more often than it says; it is named
and fails nothing, as bounds of few rows are meant to be careful.

Beside them stand methods that must be short, or the samples could not show a bad interval: rows taken for customers, and Wald's
interval of a share. Then: how often a sound model is passed, undecided or rejected by the rule ``calibrated`` (``calibrated_splits``).

The exit status is 1 if an interval is short, or one that must be is not.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from calibrated_splits import print_calibrated
from interval_samples import POPULATION, PROFIT, Cell, Sample, draw, population, threshold
from scipy.stats import beta

from churn_assets.backtest import clustered_variance
from churn_assets.backtest.ageing import quality_by_age
from churn_assets.evaluation.evaluate import intervals, measured, reliability
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import Scores, auc, log_losses
from churn_assets.evaluation.profit import largest_difference, profit_by_row
from churn_assets.evaluation.shares import share_intervals, wilson
from churn_assets.periods import Calendar
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.training.equal_rows import merge_copies
from churn_assets.training.leakage import ENOUGH_ROWS, Auc
from churn_assets.training.split import Roles
from churn_store.releases.manifest import Interval

NOMINAL, ALLOWED = 0.95, 0.03
SURE = 0.99
"""Confidence of what is said of an interval by the samples."""

CELLS = [Cell(size, rows, percent) for rows in (1, 4) for percent in (2, 10, 30) for size in (300, 1_000, 5_000)]
QUICK = {Cell(300, 1, 2): 40, Cell(300, 4, 10): 50, Cell(1_000, 4, 30): 60}
SHORT = "SHORT"
MUST_FAIL = ("rate of churn, rows taken for customers", "precision, by Wald")
MONTHS = Calendar("monthly", date(2025, 1, 1))
"""The snapshots of a sample are months."""


@dataclass(frozen=True)
class Column:
    """A model whose scores of a table of rows stand in one of its columns."""

    name: str
    threshold: float

    def scores(self, rows: pl.DataFrame) -> Scores:
        """The probabilities of some rows."""
        return rows[self.name].to_numpy()


def held(sample: Sample, every: Sample, truths: Mapping[str, float], *, seed: int) -> Iterator[tuple[str, bool]]:
    """By the name of an interval whether it holds the truth; of one that is printed several times, several times.

    Args:
        sample: the rows that the intervals are made of.
        every: the rows of all customers, which are the truth.
        truths: the measures of all customers.
        seed: seed of what is drawn.
    """
    at = threshold()
    churned, customers = sample.churned, sample.customers
    made = intervals(
        churned, sample.scores, customers, threshold=at, profit=PROFIT, seed=seed, draws=EvaluationSettings().draws
    )
    yield from ((name.replace("_", " "), interval.low <= truths[name] <= interval.high) for name, interval in made.items())
    for part in reliability(churned, sample.scores):
        interval = wilson(part.observed, part.rows, confidence=NOMINAL)
        yield "rate of churn, of equal scores", interval.low <= part.predicted <= interval.high
    low, high = auc_difference_interval(
        churned, sample.scores, sample.other, customers.cast(pl.String).to_numpy(), seed=seed, confidence=NOMINAL
    )
    difference = truths["auc"] - auc(every.churned, every.other)
    yield "AUC above another's", low <= difference <= high
    yield from _paired(sample, every)
    yield from _of_a_table(sample, truths)
    if sample.snapshots.max() > 0:
        yield from _through_time(sample, every)
        rows = pl.Series(np.arange(len(churned)))
        taken = share_intervals(churned, sample.scores, rows, threshold=at, confidence=NOMINAL)["base_rate"]
        yield MUST_FAIL[0], taken.low <= truths["base_rate"] <= taken.high
    wald = _wald(churned[sample.scores >= at])
    yield MUST_FAIL[1], wald.low <= truths["precision"] <= wald.high


def _paired(sample: Sample, every: Sample) -> Iterator[tuple[str, bool]]:
    """The gate's one-sided bounds: profit and log loss above those of another model."""
    for name, largest, values_of in (
        ("profit above another's", largest_difference(PROFIT), _profits),
        ("log loss below another's", None, _losses),
    ):
        ours, theirs = values_of(sample)
        truth = float(np.subtract(*values_of(every)).mean())
        found = paired_difference(ours, theirs, sample.customers, confidence=NOMINAL, largest=largest)
        yield f"{name}, lower bound", found.low <= truth
        yield f"{name}, upper bound", truth <= found.high


def _profits(sample: Sample) -> tuple[Scores, Scores]:
    ours, theirs = (profit_by_row(sample.churned, given >= threshold(), PROFIT) for given in (sample.scores, sample.other))
    return ours, theirs


def _losses(sample: Sample) -> tuple[Scores, Scores]:
    return log_losses(sample.churned, sample.other), log_losses(sample.churned, sample.scores)


def _of_a_table(sample: Sample, truths: Mapping[str, float]) -> Iterator[tuple[str, bool]]:
    """Of one row a customer: the lower bound of the rule of leaks, where a class has few rows; and a table that holds some rows three times."""
    if sample.snapshots.max() > 0:
        return
    churned, scores = sample.churned, sample.scores
    classes = sorted((int(churned.sum()), int((~churned).sum())))
    if classes[0] < ENOUGH_ROWS:
        yield "AUC of one feature, lower bound", not Auc(auc(churned, scores), *classes).above(truths["auc"])
    copied = np.repeat(np.arange(len(churned)), np.where(np.arange(len(churned)) % 3 == 0, 3, 1))
    table = pl.DataFrame({"customer_id": np.arange(len(copied)), "seen": scores[copied]})
    whose = merge_copies(table)["customer_id"]
    found = share_intervals(churned[copied], scores[copied], whose, threshold=threshold(), confidence=NOMINAL)["base_rate"]
    yield "rate of churn, of a table with copies", found.low <= truths["base_rate"] <= found.high


def _through_time(sample: Sample, every: Sample) -> Iterator[tuple[str, bool]]:
    """The backtest's intervals, whose folds test one snapshot each: nothing changes with time, and aged models are all worse alike."""
    rows = pl.DataFrame(
        {
            "customer_id": sample.customers,
            "snapshot": sample.snapshots,
            "churned": sample.churned,
            "fresh": sample.scores,
            "aged": sample.other,
        }
    )
    tests = rows.partition_by("snapshot", maintain_order=True)
    if any(test["churned"].n_unique() < 2 for test in tests):
        return
    fresh = [test["fresh"].to_numpy() for test in tests]
    aucs = [
        clustered_variance.auc(test["churned"].to_numpy(), scores, test["customer_id"])
        for test, scores in zip(tests, fresh, strict=True)
    ]
    _, low, high = clustered_variance.slope(aucs, list(range(len(tests))), confidence=NOMINAL)
    yield "trend of the AUC", low <= 0 <= high
    months = MONTHS.keys(date(2026, 1, 1))
    folds = [Roles((months[place],), (months[place + 1],), (months[place + 2],)) for place in range(len(tests))]
    ages = quality_by_age(folds, [Column("aged", threshold())] * len(tests), tests, fresh, MONTHS, PROFIT, ages=len(tests))
    excess = float(np.subtract(*_losses(every)).mean())
    yield "excess log loss of an age, all bounds", all(age.low <= excess for age in ages)


def _wald(churned: np.ndarray) -> Interval:
    """A share with two standard errors: a point where all of a few churned, or none."""
    if not len(churned):
        return Interval(0.0, 0.0, 0.0)
    share = float(churned.mean())
    reach = 1.96 * float(np.sqrt(share * (1 - share) / len(churned)))
    return Interval(share, share - reach, share + reach)


def counted(cell: Cell, samples: int) -> dict[str, list[float]]:
    """By interval the share of those that held the truth, sample by sample."""
    every = population(cell.percent, cell.snapshots)
    truths = measured(every.churned, every.scores, threshold=threshold(), profit=PROFIT)
    generator = np.random.default_rng([cell.customers, cell.snapshots, cell.percent])
    counts: dict[str, list[float]] = defaultdict(list)
    for seed in range(samples):
        by_name: dict[str, list[bool]] = defaultdict(list)
        for name, holds in held(draw(cell, generator), every, truths, seed=seed):
            by_name[name].append(holds)
        for name, found in by_name.items():
            counts[name].append(float(np.mean(found)))
    return counts


def print_table(heading: str, counts: Mapping[str, list[float]]) -> set[str]:
    """The table of a cell or of all; the intervals that are short."""
    print(f"\n{heading}\n  {'interval':<42}{'samples':>9}{'nominal':>9}{'seen':>9}{'error':>9}")
    short = set()
    for name, found in counts.items():
        seen, error, said = (
            float(np.mean(found)),
            float(np.std(found)) / np.sqrt(len(found)),
            verdict(sum(found), len(found)),
        )
        print(f"  {name:<42}{len(found):>9}{NOMINAL:>9.1%}{seen:>9.1%}{error:>9.1%}  {said}", flush=True)
        short |= {name} if said == SHORT else set()
    return short


def verdict(hits: float, of: int) -> str:
    """Whether an interval is proven to hold the truth too seldom, or more often than it says, by Clopper and Pearson."""
    tail = (1 - SURE) / 2
    low = float(beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return SHORT if high < NOMINAL - ALLOWED else "wide" if low > NOMINAL else ""


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three cells, fewer samples")
    parser.add_argument("--samples", type=int, default=300, help="of each cell (default %(default)s)")
    given = parser.parse_args()
    begun = time.process_time()
    print(
        f"An interval is SHORT where it is proven ({SURE:.0%}) to hold the truth in less than {NOMINAL - ALLOWED:.0%} of samples; "
        f"the truth is that of {POPULATION:,} customers."
    )
    cells = QUICK if given.quick else dict.fromkeys(CELLS, given.samples)
    short: set[str] = set()
    pooled: dict[str, list[float]] = defaultdict(list)
    for cell, samples in cells.items():
        counts = counted(cell, samples)
        short |= print_table(str(cell), counts)
        for name, found in counts.items():
            pooled[name] += found
    short |= print_table("All of them", pooled)
    wrong = sorted(short - set(MUST_FAIL))
    unseen = [name for name in MUST_FAIL if name not in short]
    print(f"\nShort: {', '.join(wrong) or 'none'}. Must be short, and is not: {', '.join(unseen) or 'none'}.")
    print_calibrated(sizes=(1_000,) if given.quick else (500, 1_000, 3_000), splits=10 if given.quick else 60)
    print(f"\n{time.process_time() - begun:.0f} CPU s")
    return 1 if wrong or unseen else 0


if __name__ == "__main__":
    sys.exit(main())
