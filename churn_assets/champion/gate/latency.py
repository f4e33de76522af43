"""The rule that a single prediction takes not much longer than the champion's, in the same process.

The two models take turns in many short rounds, so that other load of the machine slows both.
"""

import time
from collections.abc import Callable
from statistics import median

import polars as pl

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_store.model.scorer import Scorer

ROUNDS = 150
PREDICTIONS = 5
"""Number of successive predictions of each model in a round."""


def latency(case: Evidence, greatest: float) -> RuleResult:
    """The median time of a single prediction is at most a multiple of the champion's.

    Args:
        case: evidence with or without a champion.
        greatest: greatest allowed ratio of the two times.
    """
    allowed = f"at most {greatest:g} times the champion's (gate.latency_ratio)"
    if case.champion is None:
        return RuleResult(True, "no champion yet", allowed)
    _ = case.champion_scores  # raises a sentence if the champion can't score these rows
    ours, theirs = interleaved(
        one_prediction(case.scorer, case.judging), one_prediction(case.champion.scorer, case.judging)
    )
    ratio = ours / theirs
    return RuleResult(
        ratio <= greatest,
        f"{'' if ratio <= greatest else 'too slow: '}{ratio:.2f} times the champion's ({ours * 1e6:.0f} against {theirs * 1e6:.0f} microseconds)",
        allowed,
        numbers={"ratio": ratio, "microseconds": ours * 1e6, "champion_microseconds": theirs * 1e6},
    )


def one_prediction(scorer: Scorer, rows: pl.DataFrame) -> Callable[[], object]:
    """A function that scores a single row from plain values, as the service does."""
    row = rows.select(scorer.signature.names).row(0, named=True)
    return lambda: scorer.score_row(row)


def interleaved(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of one call of each function, taken in turns; the first changes from round to round."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for model in (0, 1) if turn % 2 else (1, 0):
            call = (ours, theirs)[model]
            began = time.perf_counter()
            for _ in range(PREDICTIONS):
                call()
            taken[model].append((time.perf_counter() - began) / PREDICTIONS)
    return median(taken[0]), median(taken[1])
