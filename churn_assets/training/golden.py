"""The golden rows of a release: a sample of rows that do not judge, with the trained pipeline's probabilities.

Does not belong here: replaying them (``churn_store.releases.bundles``).
"""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from churn_assets.tables import JUDGE
from churn_assets.training.families import inputs
from churn_store.model.signature import Signature
from churn_store.releases.manifest import GOLDEN_ROWS, Golden

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SAMPLED_ROWS = 20_000
"""Greatest size of the sample that golden rows are taken from."""


def sampled(training_set: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """At most ``SAMPLED_ROWS`` rows that do not judge, shuffled; the same ones for the same seed.

    The judging rows are not used: they are later than every label that was read.
    """
    rows = training_set.filter(pl.col("role") != JUDGE)
    return rows.sample(min(SAMPLED_ROWS, rows.height), seed=seed, shuffle=True)


def golden_rows(pipeline: "Pipeline", signature: Signature, rows: pl.DataFrame) -> Golden:
    """The first ``GOLDEN_ROWS`` rows without ids, with the trained pipeline's probabilities; numbers as the model sees them."""
    rows = rows.head(GOLDEN_ROWS)
    if rows.height < GOLDEN_ROWS:
        repeats = -(-GOLDEN_ROWS // rows.height)
        rows = pl.concat([rows] * repeats).head(GOLDEN_ROWS)
    numbers, categories = signature.frame_tensors(rows)
    probabilities = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    return Golden(
        rows=[
            {
                **{
                    name: None if np.isnan(value) else float(value)
                    for name, value in zip(signature.numbers, numbers[row], strict=True)
                },
                **dict(zip(signature.categories, categories[row], strict=True)),
            }
            for row in range(rows.height)
        ],
        probabilities=[float(value) for value in probabilities],
    )
