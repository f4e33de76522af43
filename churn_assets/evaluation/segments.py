"""The quality of a model on segments: the customers with one word of a category.

Belongs here: which segments there are, and the measures of each. Does not belong here: how much worse a segment may become
(``champion.gate``).
"""

from collections.abc import Sequence

import polars as pl

from churn_assets.evaluation.intervals import mean_interval
from churn_assets.evaluation.measures import Scores, auc
from churn_assets.evaluation.profit import largest_difference, most_profitable_threshold, profit_by_row
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.profit import Profit
from churn_store.errors import InputError
from churn_store.model.signature import MISSING_CATEGORY, Signature
from churn_store.releases.manifest import Segment


def segment_columns(signature: Signature, judging: pl.DataFrame, settings: EvaluationSettings) -> tuple[str, ...]:
    """The categories whose words make segments.

    Args:
        signature: signature of the model, with the words of the training rows.
        judging: judging rows, perhaps with words that the training rows did not have.
        settings: names of the categories, or the greatest number of words.

    Raises:
        InputError: a name is no category of the model.
    """
    if unknown := [name for name in settings.segments if name not in signature.categories]:
        raise InputError(
            f"evaluation.segments names {', '.join(unknown)}, which is no category of the model; expected some of "
            f"{', '.join(signature.categories) or 'none, as the model has no category: leave it out'}"
        )
    if settings.segments:
        return settings.segments
    known = {
        column.name: {word for word in column.categories if word != MISSING_CATEGORY}
        for column in signature.columns
        if column.kind == "category"
    }
    return tuple(
        name
        for name, words in known.items()
        if len(words) <= settings.segment_words and len(words | set(judging[name].drop_nulls().unique())) > 1
    )


def segments_of(
    judging: pl.DataFrame, columns: Sequence[str], settings: EvaluationSettings
) -> list[tuple[str, str, pl.Series]]:
    """The segments with enough rows.

    Args:
        judging: judging rows with the columns.
        columns: names of categories.
        settings: least number of rows of a segment.

    Returns:
        Column, word (empty for a missing value) and a mask of the rows; columns in their order, words in alphabetical order.
    """
    segments = []
    for column in columns:
        words = judging[column].fill_null(MISSING_CATEGORY)
        for word in words.unique().sort().to_list():
            inside = words == word
            if int(inside.sum()) >= settings.segment_rows:
                segments.append((column, word, inside))
    return segments


def segments(
    judging: pl.DataFrame,
    scores: Scores,
    signature: Signature,
    *,
    threshold: float,
    profit: Profit,
    evaluation: EvaluationSettings,
    confidence: float,
) -> tuple[Segment, ...]:
    """The quality of a model on each segment with enough judging rows.

    Args:
        judging: judging rows with ``customer_id``, ``churned`` and the categories.
        scores: score of each row.
        signature: signature of the model.
        threshold: decision threshold of the model.
        profit: costs and values of a decision.
        evaluation: settings of the segments.
        confidence: confidence of the interval of the profit.

    Raises:
        InputError: ``evaluation.segments`` has a name that is no category of the model.
    """
    churned = judging["churned"].to_numpy()
    profits = profit_by_row(churned, scores >= threshold, profit)
    results = []
    columns = segment_columns(signature, judging, evaluation)
    for column, word, rows in segments_of(judging, columns, evaluation):
        inside = rows.to_numpy()
        labels, segment_scores = churned[inside], scores[inside]
        results.append(
            Segment(
                column=column,
                word=word,
                rows=len(labels),
                base_rate=float(labels.mean()),
                auc=auc(labels, segment_scores) if labels.any() and not labels.all() else None,
                calibration=float(segment_scores.mean() - labels.mean()),
                profit=mean_interval(
                    profits[inside],
                    judging["customer_id"].filter(rows),
                    confidence=confidence,
                    largest=largest_difference(profit),
                ),
                threshold=most_profitable_threshold(labels, segment_scores, profit),
            )
        )
    return tuple(results)
