"""A standing scorer that loads its model and then answers nothing: at its first rows it hangs, as a model might."""

import sys
import time

from churn_store.model.scorer import Scorer
from churn_store.releases import standing_scorer


class SilentScorer(Scorer):
    """A scorer that never ends."""

    def score_rows(self, rows):  # type: ignore[no-untyped-def]
        """Hang."""
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    standing_scorer.Scorer = SilentScorer  # type: ignore[attr-defined]
    standing_scorer.main()
    sys.exit(1)
