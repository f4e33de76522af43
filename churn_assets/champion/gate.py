"""The gate: whether a candidate may serve. It fails closed.

Every rule is judged on its own; a rule that raises has failed, with the error as what was found. A candidate is accepted
only if every rule passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from churn_assets.evaluation.intervals import auc_difference_interval
from churn_assets.periods import day_of
from churn_assets.settings import Gate
from churn_assets.training.families import inputs
from churn_store.manifest import GOLDEN_TOLERANCE, Blessing, Rule, decode_golden
from churn_store.releases import Bundle, replay
from churn_store.scoring import Scorer

RULES = (
    "golden_rows_repeat",
    "export_equals_pipeline",
    "judging_rows_are_later",
    "auc_above_floor",
    "auc_plausible",
    "not_worse_than_champion",
)
"""The gate's rules, each an asset check of ``model_blessing``."""


@dataclass(frozen=True)
class Case:
    """What the gate looks at.

    Attributes:
        pipeline: the trained pipeline; it predicts here only to be compared with its export.
        scorer: the export, which will serve.
        golden: the bytes of ``golden.json``.
        judging: rows with ``churned`` that are later than every label that the candidate or the champion was trained on.
        judging_from: T of the first judging snapshot, in epoch seconds; none where data has no time.
        candidate_trained_until: the end of the last label window that the candidate was trained on, in epoch seconds.
        champion: the release that serves; none before the first.
        champion_trained_until: likewise, of the champion.
        split: how the candidate's judging rows were kept apart, in words.
        champion_split: likewise, of the champion.
    """

    pipeline: Pipeline
    scorer: Scorer
    golden: bytes
    judging: pl.DataFrame
    judging_from: int | None
    candidate_trained_until: int | None
    champion: Bundle | None
    champion_trained_until: int | None
    split: str
    champion_split: str | None


def judge(case: Callable[[], Case], *, candidate: str, rules: Gate, seed: int, actor: str, now_s: int) -> Blessing:
    """Judge a candidate by every rule.

    Args:
        case: reads what the gate looks at; if that fails, every rule has failed.
        candidate: digest of the candidate.
        rules: the bounds.
        seed: of the bootstrap.
        actor: the run that asks.
        now_s: by the clock.
    """
    try:
        looked_at = case()
    except Exception as error:  # whatever it is, it must not promote
        results = [Rule(name, False, _said(error), "inputs that can be read") for name in RULES]
    else:
        results = [_judged(name, rule) for name, rule in _rules(looked_at, rules, seed).items()]
    accepted = {rule.name for rule in results if rule.passed} == set(RULES)
    return Blessing(
        candidate=candidate,
        verdict="accepted" if accepted else "rejected",
        rules=tuple(results),
        actor=actor,
        decided_s=now_s,
    )


def _rules(case: Case, bounds: Gate, seed: int) -> dict[str, Callable[[], Rule]]:
    return {
        "golden_rows_repeat": lambda: _golden_rows_repeat(case),
        "export_equals_pipeline": lambda: _export_equals_pipeline(case),
        "judging_rows_are_later": lambda: _judging_rows_are_later(case),
        "auc_above_floor": lambda: _auc_above_floor(case, bounds.auc_floor),
        "auc_plausible": lambda: _auc_plausible(case, bounds.auc_plausible),
        "not_worse_than_champion": lambda: _not_worse_than_champion(case, seed),
    }


def _judged(name: str, rule: Callable[[], Rule]) -> Rule:
    try:
        return rule()
    except Exception as error:  # whatever it is, it must not promote
        return Rule(name, False, _said(error), "a rule that can be judged")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _golden_rows_repeat(case: Case) -> Rule:
    difference = replay(case.scorer, decode_golden(case.golden))
    return Rule(
        "golden_rows_repeat", difference <= GOLDEN_TOLERANCE, f"{difference:.1e}", f"at most {GOLDEN_TOLERANCE:.0e}"
    )


def _export_equals_pipeline(case: Case) -> Rule:
    exported = case.scorer.score_frame(case.judging)
    trained = case.pipeline.predict_proba(inputs(case.judging, case.scorer.signature))[:, 1]
    difference = float(np.max(np.abs(exported - trained)))
    return Rule(
        "export_equals_pipeline",
        difference <= GOLDEN_TOLERANCE,
        f"{difference:.1e} on {case.judging.height} judging rows",
        f"at most {GOLDEN_TOLERANCE:.0e}",
    )


def _judging_rows_are_later(case: Case) -> Rule:
    name, allowed = (
        "judging_rows_are_later",
        "every label that a model was trained on ends before the first judging snapshot",
    )
    if case.judging_from is None:
        return _held_out_from_both(case, name)
    ends = {"candidate": case.candidate_trained_until}
    if case.champion is not None:
        ends["champion"] = case.champion_trained_until
    late = [who for who, until in ends.items() if until is None or until > case.judging_from]
    said = ", ".join(f"{who} until {'unknown' if until is None else day_of(until)}" for who, until in ends.items())
    return Rule(name, not late, f"judging from {day_of(case.judging_from)}, trained: {said}", allowed)


def _held_out_from_both(case: Case, name: str) -> Rule:
    """Data without time: the champion must have held out the same customers, or it was trained on who judges now."""
    allowed = (
        "the champion's split; another one judges on rows that the champion was trained on, so set training.seed and "
        "training.held_out_share back"
    )
    found = f"split {case.split}; the data has no time, so its order can't be checked"
    if case.champion is None or case.champion_split == case.split:
        return Rule(name, True, found, allowed)
    return Rule(name, False, f"{found}; the champion's split {case.champion_split}", allowed)


def _auc_above_floor(case: Case, floor: float) -> Rule:
    auc = _auc(case.scorer, case.judging)
    return Rule("auc_above_floor", auc >= floor, f"{auc:.4f}", f"at least {floor}")


def _auc_plausible(case: Case, bound: float) -> Rule:
    auc = _auc(case.scorer, case.judging)
    return Rule("auc_plausible", auc <= bound, f"{auc:.4f}", f"at most {bound}; more is taken for a leak")


def _not_worse_than_champion(case: Case, seed: int) -> Rule:
    name = "not_worse_than_champion"
    if case.champion is None:
        return Rule(name, True, "no champion yet", "the first model needs none")
    ours = case.scorer.score_frame(case.judging)
    theirs = case.champion.scorer.score_frame(case.judging)
    churned = case.judging["churned"].to_numpy()
    difference = float(roc_auc_score(churned, ours) - roc_auc_score(churned, theirs))
    low, high = auc_difference_interval(
        churned, ours, theirs, case.judging["customer_id"].to_numpy().astype(str), seed=seed
    )
    found = f"AUC {difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}) on {case.judging.height} rows"
    if bool(np.array_equal(ours, theirs)):
        return Rule(name, False, "the same scores as the champion", "another model; a tie keeps the champion")
    return Rule(name, difference > 0, found, "more than +0.0000 on the same rows; a tie keeps the champion")


def _auc(scorer: Scorer, judging: pl.DataFrame) -> float:
    return float(roc_auc_score(judging["churned"].to_numpy(), scorer.score_frame(judging)))


def failed(blessing: Blessing) -> Sequence[Rule]:
    """The rules that a candidate did not pass."""
    return [rule for rule in blessing.rules if not rule.passed]
