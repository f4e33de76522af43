"""A large company's champion beside scikit-learn's gradient boosting with its defaults: quality, time and memory in one run.

Both get the same training and selecting rows, and one thread. Time is that of the processor, so that a busy machine does not decide: of
ours the search and the fit of every family, of the other its fit alone. Does not belong here: where the rows come from (``models``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import polars as pl
from labelled import Company
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OneHotEncoder

from churn_assets.champion.candidate import best_family
from churn_assets.evaluation.intervals import auc_difference_interval, paired_difference
from churn_assets.evaluation.measures import Scores, auc, log_losses
from churn_assets.evaluation.profit import expected_maximum_profit
from churn_assets.tables import JUDGE
from churn_assets.training.fitting import Fitted, one_thread
from churn_assets.training.peak_memory import peak_memory_mib
from churn_assets.training.tuning import search_and_fit
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases.manifest import TableVersion

CONFIDENCE = 0.95
T = TypeVar("T")


@dataclass(frozen=True)
class BesideUntuned:
    """The champion beside the untuned model.

    Attributes:
        family: family of the champion.
        auc: AUC of both on the judging rows, ours first.
        log_loss: log loss of both.
        auc_gain: ours less the other's, and its one-sided lower bound.
        log_loss_gain: the other's less ours, and its one-sided lower bound.
        seconds: processor seconds of each family.
        untuned_seconds: likewise, of the untuned model.
        peak_mib: most memory of the process.
    """

    family: str
    auc: tuple[float, float]
    log_loss: tuple[float, float]
    auc_gain: tuple[float, float]
    log_loss_gain: tuple[float, float]
    seconds: dict[str, float]
    untuned_seconds: float
    peak_mib: float

    @property
    def ratio(self) -> float:
        """All families' time in that of the untuned model."""
        return sum(self.seconds.values()) / self.untuned_seconds


def beside_untuned(company: Company, rows: pl.DataFrame, *, seed: int) -> BesideUntuned:
    """Fit both on the rows that do not judge, and measure them on those that do."""
    # The first call imports its library, which takes seconds of no model.
    expected_maximum_profit(np.array([True, False]), np.array([0.9, 0.1]), company.settings.profit)
    families: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    for family in company.settings.training.families:
        families[family], seconds[family] = _timed(partial(_ours, family, company, rows))
        print(
            f"  {family:<24}{seconds[family]:>8.1f} s  selecting log loss {families[family].measures['log_loss']:.5f}",
            flush=True,
        )
    chosen = best_family(list(families.values()))
    judging = rows.filter(role=JUDGE)
    theirs, untuned_seconds = _untuned(rows, chosen.signature, seed=seed)
    ours = Scorer(chosen.model, chosen.signature).score_frame(judging)
    churned, customers = judging["churned"].to_numpy(), judging["customer_id"]
    low, _ = auc_difference_interval(churned, ours, theirs, customers.to_numpy(), seed=seed, confidence=2 * CONFIDENCE - 1)
    losses = [log_losses(churned, scores) for scores in (ours, theirs)]
    less = paired_difference(losses[1], losses[0], customers, confidence=CONFIDENCE)
    aucs = auc(churned, ours), auc(churned, theirs)
    return BesideUntuned(
        chosen.family,
        aucs,
        (float(losses[0].mean()), float(losses[1].mean())),
        (aucs[0] - aucs[1], low),
        (less.mean, less.low),
        seconds,
        untuned_seconds,
        peak_memory_mib(),
    )


def show(title: str, found: BesideUntuned) -> None:
    """Print both, and what each took."""
    print(f"\n{title}; ours is {found.family}")
    print(f"  {'':<30}{'AUC':>10}{'log loss':>12}{'CPU s':>10}")
    print(
        f"  {'ours, all families':<30}{found.auc[0]:>10.4f}{found.log_loss[0]:>12.4f}{sum(found.seconds.values()):>10.1f}"
    )
    print(
        f"  {'untuned gradient boosting':<30}{found.auc[1]:>10.4f}{found.log_loss[1]:>12.4f}{found.untuned_seconds:>10.1f}"
    )
    print(f"  {'ours is better by':<30}{found.auc_gain[0]:>+10.4f}{found.log_loss_gain[0]:>+12.4f}{found.ratio:>9.1f}x")
    print(f"  {'  at least (95 %, one-sided)':<30}{found.auc_gain[1]:>+10.4f}{found.log_loss_gain[1]:>+12.4f}")
    print(f"  peak memory {found.peak_mib:,.0f} MiB")


def _ours(family: str, company: Company, rows: pl.DataFrame) -> Fitted:
    return search_and_fit(family, rows, company.features, company.settings.fitting, data=TableVersion(0))


def _untuned(rows: pl.DataFrame, signature: Signature, *, seed: int) -> tuple[Scores, float]:
    known, judging = rows.filter(pl.col("role") != JUDGE), rows.filter(role=JUDGE)
    (numbers, words), (asked, asked_words) = (signature.frame_tensors(part) for part in (known, judging))
    if signature.categories:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32).fit(words)
        numbers = np.hstack([numbers, encoder.transform(words)])
        asked = np.hstack([asked, encoder.transform(asked_words)])
    churned = known["churned"].to_numpy()
    model, seconds = _timed(lambda: HistGradientBoostingClassifier(random_state=seed).fit(numbers, churned))
    return model.predict_proba(asked)[:, 1], seconds


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and its processor seconds with one thread."""
    with one_thread():
        began = time.process_time()
        done = work()
        return done, time.process_time() - began
