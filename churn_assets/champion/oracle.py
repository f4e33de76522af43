"""The simulator's probabilities of churn: the best that anyone can reach from the tables, and those of the hidden state."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import Scores
from churn_assets.settings.events import ENDS
from churn_assets.settings.label import Label
from churn_assets.tables import Source
from churn_store.clock import DAY_S

ProbabilityFunction = Callable[[list[str], int, int], Scores]


def reachable_probabilities(source: Source, rows: pl.DataFrame, *, label: Label) -> Scores | None:
    """The probability of churn of each row, given every row of the tables that was known before its snapshot.

    No honest model ranks the rows better, except by chance.

    Args:
        source: source of the raw tables; only a synthetic one has these probabilities.
        rows: rows with ``customer_id`` and ``snapshot_s``.
        label: definition of churn. Only the probability of leaving is known, not that of inactivity.

    Returns:
        One probability for each row, in their order; `None` if the source does not have them.
    """
    return _at_each_snapshot(getattr(source, "filtered_probability_of_leaving", None), rows, label)


def hidden_state_probabilities(source: Source, rows: pl.DataFrame, *, label: Label) -> Scores | None:
    """The probability of churn of each row, given the hidden state of the customer: no table shows it, so nobody reaches this.

    Arguments and result are those of ``reachable_probabilities``.
    """
    return _at_each_snapshot(getattr(source, "probability_of_leaving", None), rows, label)


def best_measures(source: Source, judging: pl.DataFrame, *, label: Label) -> dict[str, float]:
    """The measures of the best that anyone can reach on the judging rows, and the AUC of the hidden state.

    Args:
        source: source of the raw tables.
        judging: judging rows with ``customer_id``, ``snapshot_s`` and ``churned``.
        label: definition of churn.

    Returns:
        ``auc_reachable``, ``log_loss_reachable`` and ``auc_hidden_state``; empty if the source does not have the probabilities.
    """
    reachable = reachable_probabilities(source, judging, label=label)
    hidden = hidden_state_probabilities(source, judging, label=label)
    if reachable is None or hidden is None:
        return {}
    from sklearn.metrics import log_loss, roc_auc_score  # noqa: PLC0415 - seconds of import that only training pays

    churned = judging["churned"].to_numpy()
    return {
        "auc_reachable": float(roc_auc_score(churned, reachable)),
        "log_loss_reachable": float(log_loss(churned, reachable)),
        "auc_hidden_state": float(roc_auc_score(churned, hidden)),
    }


def best_auc(metrics: Mapping[str, float]) -> float:
    """The best AUC that a release can reach without knowing the future; 1 if it is unknown.

    Releases from before ``auc_reachable`` have the hidden state's AUC alone, as ``auc_ceiling``.
    """
    return metrics.get("auc_reachable", metrics.get("auc_ceiling", 1.0))


def best_in_words(metrics: Mapping[str, float]) -> str | None:
    """The simulator's best measures on a release's judging rows, for people; `None` for a company's own tables."""
    if "auc_reachable" in metrics:
        return (
            f"AUC {metrics['auc_reachable']:.3f}, log loss {metrics['log_loss_reachable']:.4f}; nobody reaches the hidden state's AUC of "
            f"{metrics['auc_hidden_state']:.3f}"
        )
    if "auc_ceiling" in metrics:
        return f"not measured when this release was made; nobody reaches the hidden state's AUC of {metrics['auc_ceiling']:.3f}"
    return None


def _at_each_snapshot(probability: ProbabilityFunction | None, rows: pl.DataFrame, label: Label) -> Scores | None:
    if probability is None or label.kind != "event" or label.event != ENDS:
        return None
    probabilities = np.empty(rows.height)
    seconds = rows["snapshot_s"].to_numpy()
    for snapshot_s in np.unique(seconds):
        at_snapshot = seconds == snapshot_s
        customers = rows["customer_id"].filter(pl.Series(at_snapshot)).to_list()
        probabilities[at_snapshot] = probability(customers, int(snapshot_s), label.horizon_days * DAY_S)
    return probabilities
