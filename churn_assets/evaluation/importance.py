"""Permutation importance: by how much the AUC falls when an input is shuffled (Breiman 2001, Machine Learning 45, section 10).

The exported model scores, as it does in service. An input that is correlated with others has a low importance although the model uses it.
"""

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import auc
from churn_store.model.scorer import Scorer

ROWS = 4_000
"""Number of sampled judging rows; more improve the figures little, and each input costs as many scores."""


def permutation_importance(judging: pl.DataFrame, scorer: Scorer, *, seed: int, rows: int = ROWS) -> dict[str, float]:
    """The fall of the AUC on a sample of judging rows when each input is shuffled.

    Args:
        judging: judging rows with the signature's columns and ``churned``.
        scorer: scorer of the model.
        seed: seed of the sample and of the shuffles.
        rows: number of sampled rows.

    Returns:
        The fall by input, greatest first and equal ones by name; about 0, of either sign, for an uninformative input. Empty if the sample
        has a single class.
    """
    sample = judging.sample(min(rows, judging.height), seed=seed)
    churned = sample["churned"].to_numpy()
    if churned.all() or not churned.any():
        return {}
    numbers, categories = scorer.signature.frame_tensors(sample)
    generator = np.random.default_rng(seed)
    unshuffled = auc(churned, scorer.probabilities(numbers, categories))
    falls = {}
    for names, tensor in ((scorer.signature.numbers, numbers), (scorer.signature.categories, categories)):
        for position, name in enumerate(names):
            values = tensor[:, position].copy()
            tensor[:, position] = generator.permutation(values)
            falls[name] = unshuffled - auc(churned, scorer.probabilities(numbers, categories))
            tensor[:, position] = values
    return dict(sorted(falls.items(), key=lambda entry: (-entry[1], entry[0])))
