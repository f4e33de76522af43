"""Which inputs a model leans on: by how much its AUC falls when one of them is shuffled (Breiman 2001, Machine Learning 45, section 10).

The exported model scores, as it will in service. An input that others can stand in for shows little, although the model uses it.
"""

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import auc
from churn_store.model.scorer import Scorer

ROWS = 4_000
"""So many judging rows are sampled; more sharpen the figures by little and cost as many scores for each input."""


def permutation_importance(judging: pl.DataFrame, scorer: Scorer, *, seed: int, rows: int = ROWS) -> dict[str, float]:
    """By how much the AUC on a sample of judging rows falls when an input is shuffled.

    Args:
        judging: the signature's columns and ``churned``.
        scorer: scorer of the model.
        seed: seed of the sample and of the shuffles.
        rows: number of sampled rows.

    Returns:
        By input, greatest first, equal ones by name; about 0, of either sign, for an input that says nothing. Empty where all sampled
        rows churned or stayed.
    """
    sample = judging.sample(min(rows, judging.height), seed=seed)
    churned = sample["churned"].to_numpy()
    if churned.all() or not churned.any():
        return {}
    numbers, categories = scorer.signature.frame_tensors(sample)
    generator = np.random.default_rng(seed)
    whole = auc(churned, scorer.probabilities(numbers, categories))
    found = {}
    for names, tensor in ((scorer.signature.numbers, numbers), (scorer.signature.categories, categories)):
        for place, name in enumerate(names):
            kept = tensor[:, place].copy()
            tensor[:, place] = generator.permutation(kept)
            found[name] = whole - auc(churned, scorer.probabilities(numbers, categories))
            tensor[:, place] = kept
    return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0])))
