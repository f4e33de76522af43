"""What the simulator knows of the probability of churn: the best that anyone can reach, and the hidden state that nobody sees."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from sklearn.metrics import log_loss, roc_auc_score

from churn_assets.evaluation.measures import Scores
from churn_assets.settings.company import ENDS, Label
from churn_assets.tables import Source
from churn_store.clock import DAY_S

Asked = Callable[[list[str], int, int], Scores]


def reachable_probabilities(source: Source, rows: pl.DataFrame, *, label: Label) -> Scores | None:
    """The probability of churn of each row, given every row of the tables that was known before its snapshot.

    No honest model orders the rows better, but for chance.

    Args:
        source: a synthetic one knows; of others nobody does.
        rows: ``customer_id`` and ``snapshot_s``.
        label: what churn is. Only that of a customer who leaves is known, not that of one who is silent for a while.

    Returns:
        One a row, in their order; `None` where the source does not know.
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
        source: as of ``reachable_probabilities``.
        judging: ``customer_id``, ``snapshot_s`` and ``churned``.
        label: what churn is.

    Returns:
        ``auc_reachable``, ``log_loss_reachable`` and ``auc_hidden_state``; nothing where the source does not know.
    """
    reachable = reachable_probabilities(source, judging, label=label)
    hidden = hidden_state_probabilities(source, judging, label=label)
    if reachable is None or hidden is None:
        return {}
    churned = judging["churned"].to_numpy()
    return {
        "auc_reachable": float(roc_auc_score(churned, reachable)),
        "log_loss_reachable": float(log_loss(churned, reachable)),
        "auc_hidden_state": float(roc_auc_score(churned, hidden)),
    }


def best_auc(metrics: Mapping[str, float]) -> float:
    """The AUC above which a release must know the future; 1 where nobody knows it.

    Releases from before ``auc_reachable`` have the hidden state's AUC alone, as ``auc_ceiling``.
    """
    return metrics.get("auc_reachable", metrics.get("auc_ceiling", 1.0))


def best_in_words(metrics: Mapping[str, float]) -> str | None:
    """What the simulator knows of a release's judging rows, for a person; `None` for a company's own tables."""
    if "auc_reachable" in metrics:
        return (
            f"AUC {metrics['auc_reachable']:.3f}, log loss {metrics['log_loss_reachable']:.4f}; nobody reaches the hidden state's AUC of "
            f"{metrics['auc_hidden_state']:.3f}"
        )
    if "auc_ceiling" in metrics:
        return f"not measured when this release was made; nobody reaches the hidden state's AUC of {metrics['auc_ceiling']:.3f}"
    return None


def _at_each_snapshot(known: Asked | None, rows: pl.DataFrame, label: Label) -> Scores | None:
    if known is None or label.kind != "event" or label.event != ENDS:
        return None
    found = np.empty(rows.height)
    seconds = rows["snapshot_s"].to_numpy()
    for snapshot_s in np.unique(seconds):
        inside = seconds == snapshot_s
        asked = rows["customer_id"].filter(pl.Series(inside)).to_list()
        found[inside] = known(asked, int(snapshot_s), label.horizon_days * DAY_S)
    return found
