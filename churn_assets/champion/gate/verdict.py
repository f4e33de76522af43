"""The verdict: every rule on its own, and what follows from all of them together. It fails closed.

A rule that raises, that takes longer than ``gate.rule_seconds``, or whose inputs can't be read, has failed with that as what was
found. A candidate is accepted only if every rule has passed. One of which none has failed, but some could not be decided, is undecided: the
champion stays, and where there is none it may be the first (``churn_store.releases.manifest.Blessing.releasable``).
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
from churn_assets.settings.company import JudgingSettings
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

SAID = 600
"""So many letters of an error are kept."""

T = TypeVar("T")


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what each rule found with its numbers."""

    blessing: Blessing
    found: Mapping[str, RuleResult]


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
        read: reads what the gate looks at; if that fails, every rule has failed.
        candidate: digest of the candidate.
        settings: the bounds, the costs, the segments, the definition of churn, the seed.
        actor: id of the run that asks.
        now_s: time by the platform's clock, in epoch seconds.
        rules: rules by name.

    Returns:
        ``accepted`` if every rule passed; ``undecided`` if none failed, but there was too little to decide by; else ``rejected``.
    """
    case, error = _attempt(read, settings.gate.reading_seconds, "gate.reading_seconds")
    if case is None:
        found = dict.fromkeys(rules, RuleResult(False, error, "inputs that can be read"))
        return Judgement(_blessing(found, candidate, actor, now_s, epoch=0), found)
    found = {name: _judged(rule, case, settings, now_s) for name, rule in rules.items()}
    return Judgement(_blessing(found, candidate, actor, now_s, epoch=case.epoch), found)


def failed(blessing: Blessing) -> Sequence[Rule]:
    """The rules that a candidate did not pass."""
    return [rule for rule in blessing.rules if not rule.passed]


def _judged(rule: Judging, case: Evidence, settings: JudgingSettings, now_s: int) -> RuleResult:
    found, error = _attempt(lambda: rule(case, settings, now_s), settings.gate.rule_seconds, "gate.rule_seconds")
    if isinstance(found, RuleResult) and isinstance(found.passed, bool | np.bool_):
        return found
    said = found.passed if isinstance(found, RuleResult) else found
    return RuleResult(False, error or f"a rule that says {said!r}", "a rule that can be judged")


def _blessing(found: Mapping[str, RuleResult], candidate: str, actor: str, now_s: int, *, epoch: int) -> Blessing:
    rules = tuple(
        Rule(name, bool(one.passed), one.found, one.allowed, undecided=bool(one.undecided) and not one.passed)
        for name, one in found.items()
    )
    money = found.get("more_profit_than_champion")
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
    """What some work gives, or why it gave nothing.

    It works in a thread of its own, which is left behind if it takes too long: Python can't end it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # whatever it is, it must not promote
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        return None, _said(errors[0])
    if results:
        return results[0], ""
    return None, f"took longer than the {seconds:g} seconds of {setting}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SAID]}"
