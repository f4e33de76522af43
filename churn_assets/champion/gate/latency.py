"""Whether the candidate answers quickly enough: a single prediction, beside the champion's, in the same process.

The two take turns in many short rounds, so that whatever else the machine does befalls both.
"""

import time
from collections.abc import Callable
from statistics import median

import polars as pl

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_store.model.scorer import Scorer

ROUNDS = 150
PREDICTIONS = 5
"""Of each model in a round, one after the other."""


def latency(case: Evidence, greatest: float) -> RuleResult:
    """The median time of a single prediction in those of the champion.

    Args:
        case: the evidence, with a champion.
        greatest: largest ratio that is allowed.
    """
    allowed = f"at most {greatest:g} times the champion's (gate.latency_ratio)"
    if case.champion is None:
        return RuleResult(True, "no champion yet", allowed)
    _ = case.champion_scores  # says in a sentence why the champion can't score these rows, where it can't
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
    """A prediction of a single row, as the service makes it from plain values."""
    row = rows.select(scorer.signature.names).row(0, named=True)
    return lambda: scorer.score_rows([row])


def interleaved(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of one call of each, taken in turns; who begins changes from round to round."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 else (1, 0):
            call = (ours, theirs)[which]
            began = time.perf_counter()
            for _ in range(PREDICTIONS):
                call()
            taken[which].append((time.perf_counter() - began) / PREDICTIONS)
    return median(taken[0]), median(taken[1])
