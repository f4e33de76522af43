"""The verdict: runs every rule on its own, and combines the results. It fails closed.

A rule that raises, takes longer than ``gate.rule_seconds``, or has inputs that can't be read, has failed; its finding says so. A candidate is
accepted only if every rule has passed. If no rule has failed but some are undecided, the candidate is undecided: the champion stays, and
without a champion the candidate may be the first (``churn_store.releases.manifest.Blessing.releasable``).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from churn_assets.champion.gate.calibrated import calibrated
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.champion.gate.export import export_equals_pipeline, golden_rows_repeat
from churn_assets.champion.gate.floor import auc_above_floor
from churn_assets.champion.gate.latency import latency
from churn_assets.champion.gate.plausible import auc_plausible
from churn_assets.champion.gate.profit import more_profit_than_champion, profit_not_negative
from churn_assets.champion.gate.provenance import data_quality_green, judging_rows_are_later
from churn_assets.champion.gate.quality import baselines_beaten
from churn_assets.champion.gate.segments import no_segment_worse
from churn_assets.champion.gate.untuned import not_worse_than_untuned
from churn_assets.settings.judging import JudgingSettings
from churn_store.releases.manifest import Blessing, Rule

Judging = Callable[[Evidence, JudgingSettings, int], RuleResult]

RULES: Mapping[str, Judging] = {
    "data_quality_green": lambda case, settings, now_s: data_quality_green(case, settings.label, now_s=now_s),
    "judging_rows_are_later": lambda case, _settings, _now_s: judging_rows_are_later(case),
    "golden_rows_repeat": lambda case, _settings, _now_s: golden_rows_repeat(case),
    "export_equals_pipeline": lambda case, _settings, _now_s: export_equals_pipeline(case),
    "baselines_beaten": lambda case, settings, _now_s: baselines_beaten(case, settings.gate, seed=settings.seed),
    "not_worse_than_untuned": lambda case, settings, _now_s: not_worse_than_untuned(
        case, settings.gate, seed=settings.seed
    ),
    "auc_above_floor": lambda case, settings, _now_s: auc_above_floor(case, settings.gate.auc_floor),
    "auc_plausible": lambda case, settings, _now_s: auc_plausible(case, settings.gate, seed=settings.seed),
    "calibrated": lambda case, settings, _now_s: calibrated(case, settings.gate),
    "profit_not_negative": lambda case, settings, _now_s: profit_not_negative(case, settings.gate, settings.profit),
    "more_profit_than_champion": lambda case, settings, _now_s: more_profit_than_champion(
        case, settings.gate, settings.profit
    ),
    "no_segment_worse": lambda case, settings, _now_s: no_segment_worse(
        case, settings.gate, settings.profit, settings.evaluation
    ),
    "latency": lambda case, settings, _now_s: latency(case, settings.gate.latency_ratio),
}
"""The gate's rules, each an asset check of ``model_blessing``."""

ERROR_LENGTH = 600
"""Greatest length of an error's message in a finding."""

T = TypeVar("T")


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the result of each rule."""

    blessing: Blessing
    results: Mapping[str, RuleResult]


def judge(
    read: Callable[[], Evidence],
    *,
    candidate: str,
    settings: JudgingSettings,
    actor: str,
    now_s: int,
    rules: Mapping[str, Judging] = RULES,
) -> Judgement:
    """Judge a candidate by every rule.

    Args:
        read: function that reads the evidence; if it fails, every rule has failed.
        candidate: digest of the candidate.
        settings: settings of the gate.
        actor: name of the run that asks, for the record.
        now_s: time by the platform's clock, in epoch seconds.
        rules: rules by name.

    Returns:
        The verdict: ``accepted`` if every rule passed, ``undecided`` if none failed but some are undecided, else ``rejected``.
    """
    case, error = _attempt(read, settings.gate.reading_seconds, "gate.reading_seconds")
    if case is None:
        unread = dict.fromkeys(rules, RuleResult(False, error, "inputs that can be read"))
        return Judgement(_blessing(unread, candidate, actor, now_s, epoch=0), unread)
    results = {name: _judged(rule, case, settings, now_s) for name, rule in rules.items()}
    return Judgement(_blessing(results, candidate, actor, now_s, epoch=case.epoch), results)


def failed(blessing: Blessing) -> Sequence[Rule]:
    """The rules that a candidate did not pass."""
    return [rule for rule in blessing.rules if not rule.passed]


def _judged(rule: Judging, case: Evidence, settings: JudgingSettings, now_s: int) -> RuleResult:
    result, error = _attempt(lambda: rule(case, settings, now_s), settings.gate.rule_seconds, "gate.rule_seconds")
    if isinstance(result, RuleResult) and isinstance(result.passed, bool | np.bool_):
        return result
    answer = result.passed if isinstance(result, RuleResult) else result
    return RuleResult(False, error or f"a rule that says {answer!r}", "a rule that can be judged")


def _blessing(results: Mapping[str, RuleResult], candidate: str, actor: str, now_s: int, *, epoch: int) -> Blessing:
    rules = tuple(
        Rule(
            name, bool(result.passed), result.found, result.allowed, undecided=bool(result.undecided) and not result.passed
        )
        for name, result in results.items()
    )
    money = results.get("more_profit_than_champion")
    return Blessing(
        candidate=candidate,
        verdict=_verdict(rules),
        rules=rules,
        actor=actor,
        decided_s=now_s,
        epoch=epoch,
        gain=None if money is None else money.numbers.get("gain"),
    )


def _verdict(rules: Sequence[Rule]) -> Literal["accepted", "undecided", "rejected"]:
    if {rule.name for rule in rules if rule.passed} == set(RULES):
        return "accepted"
    if {rule.name for rule in rules if rule.passed or rule.undecided} == set(RULES):
        return "undecided"
    return "rejected"


def _attempt(work: Callable[[], T], seconds: float, setting: str) -> tuple[T | None, str]:
    """The result of some work, or why there is none.

    The work runs in a thread of its own, which is left behind if it takes too long, as Python can't end threads.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # no error of any kind may promote a candidate
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        return None, _in_words(errors[0])
    if results:
        return results[0], ""
    return None, f"took longer than the {seconds:g} seconds of {setting}"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:ERROR_LENGTH]}"
