"""The scores of rows, as files and the lake have them.

Belongs here: probability, decision and release of rows that have a model's inputs. Does not belong here: where rows come from
(``score_file``, ``churn_assets.scoring``).
"""

import polars as pl

from churn_store.model.scorer import NoProbabilityError
from churn_store.releases.bundles import Bundle

PROBABILITY, CHURN, RELEASE = "probability", "churn", "release"


def scores_of(bundle: Bundle, rows: pl.DataFrame) -> pl.DataFrame:
    """The scores of rows that have the signature's columns: ``probability``, ``churn``, ``release``, in their order.

    A probability that the model does not give, or gives below 0 or above 1, is not a number here.
    """
    try:
        given = bundle.scorer.score_frame(rows)
    except NoProbabilityError as error:
        given = error.given
    probability = pl.Series(PROBABILITY, given, dtype=pl.Float64)
    return pl.DataFrame([probability, (probability >= bundle.manifest.threshold).alias(CHURN)]).with_columns(
        pl.lit(bundle.digest).alias(RELEASE)
    )
