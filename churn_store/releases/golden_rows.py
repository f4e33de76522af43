"""The golden rows replayed: a model must give them the probabilities that the trained pipeline gave.

Belongs here: the comparison. Does not belong here: reading the rows (``manifest``), and in which process they are replayed (``trial``).
"""

import numpy as np

from churn_store.errors import ReleaseError
from churn_store.model.scorer import Scorer
from churn_store.releases.manifest import GOLDEN_TOLERANCE, Golden


def replay(scorer: Scorer, golden: Golden) -> float:
    """Score the golden rows again.

    Returns:
        The greatest difference in probability.

    Raises:
        ReleaseError: if a row does not fit the model's signature, gets no probability, or the difference exceeds
            ``GOLDEN_TOLERANCE``.
    """
    try:
        again = scorer.score_rows(golden.rows)
    except ReleaseError as error:
        raise ReleaseError(f"golden.json: its rows can't be scored: {error}") from error
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise ReleaseError(
            f"golden.json: its rows can't be scored ({type(error).__name__}); they or the model do not fit the signature"
        ) from error
    if again.shape != (len(golden.rows),):
        raise ReleaseError(
            f"the model gives {again.shape} probabilities for the {len(golden.rows)} golden rows; expected one each"
        )
    difference = float(np.max(np.abs(again - np.asarray(golden.probabilities))))
    if not difference <= GOLDEN_TOLERANCE:
        raise ReleaseError(
            f"the model gives other probabilities than the trained pipeline on the golden rows: "
            f"greatest difference {difference:.2e}, allowed {GOLDEN_TOLERANCE:.0e}"
        )
    return difference
