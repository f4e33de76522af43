"""What an experiment has shown so far: whether the assignment can be trusted, then the effect, then the decision in words.

All of it may be looked at every day (``inference``). Belongs here: what is tested in which order, and the sentence. Does not belong here: which
customers count (``exposures``), and the formulas.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from churn_store.database.lenient import AsideRow
from churn_store.experiments.exposures import ArmUnits, Exposures, exposures
from churn_store.experiments.history import is_served
from churn_store.experiments.inference import (
    LEAST_ARM,
    RATE_CONCENTRATION,
    RATIO_CONCENTRATION,
    Moments,
    difference,
    least_arm,
    multinomial_p,
)
from churn_store.experiments.lake_labels import LakeLabels
from churn_store.experiments.plan import ARMS, CONTROL, TREATMENT, Arm, Experiment, GuardMetric, GuardRail, Subject
from churn_store.experiments.record import Event, Record, UnreadableExperimentError
from churn_store.storage.digest_store import DigestStore

RATIO_ALPHA: Final = 0.005
"""Chance of a false alarm of each of the two sample ratios: of those who were assigned, and of those whose outcome is known."""

CROSSED_AT_MOST: Final = 0.01
"""Share of units in both arms above which the assignment is broken."""

KNOWN_AT_LEAST: Final = 0.9
"""Share of the closed windows with an outcome below which the result says what it rests on."""

LEFT_OUT: Final = "Published labels of the lake could not be read, so customers are left out; the notes say which."
"""What is added to the words of such results."""

KEPT: Final = "Predictions are removed since (service.keep_days), so this is the result as it was before."
"""What is noted beside a result that was kept."""

Verdict = Literal[
    "not_started", "assignment_broken", "outcomes_broken", "too_early", "harmful", "better", "worse", "undecided"
]

_BETTER_IS_LESS: Final = frozenset({"log_loss", "latency_ms"})
_WORDS: Final[dict[GuardMetric, str]] = {
    "log_loss": "log loss",
    "profit": "profit per matured customer",
    "retention": "retention",
    "latency_ms": "latency in milliseconds",
}


_TREATED: Final[dict[Subject, str]] = {"models": "The challenger", "actions": "Acting by score"}
_WHY_SO_MANY: Final = ", as few customers make most of the difference"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of each unit's request, of those that asked for one prediction; rows of a batch don't count."""

    mean: float
    p50: float
    p95: float


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """The units of an arm.

    Attributes:
        units: all that were asked about, each once.
        open: those whose window has not closed yet.
        asked_late: those whose window had closed before they were first asked about; they don't count.
        gone: those who had left before they were first asked about; they don't count.
        unknown: those whose window has closed without an outcome.
        matured: those with an outcome that counts.
        posted, labelled: of these, those whose outcome was posted, and those of whom only the lake's labels say it.
        strayed: those that the other arm's release answered; they count where they were assigned.
        mean: mean of the metric; null as long as no effect is shown.
        latency_ms: null without units.
    """

    arm: Arm
    units: int
    open: int
    asked_late: int
    gone: int
    unknown: int
    matured: int
    posted: int
    labelled: int
    strayed: int
    mean: float | None
    latency_ms: Latency | None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment less control, in the unit of the measure, with an interval for all looks together.

    Attributes:
        low, high: ends of the interval; null where it is not bounded yet.
    """

    estimate: float
    low: float | None
    high: float | None


class GuardRailResult(msgspec.Struct, frozen=True, kw_only=True):
    """A guard-rail.

    Attributes:
        is_broken: whether more than the allowed loss is proven.
    """

    metric: GuardMetric
    worst: float
    effect: Effect
    is_broken: bool


class OutcomeSources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the outcomes of both arms come from.

    Attributes:
        posted: matured customers whose outcome was posted.
        labelled: matured customers of whom only the labels say it, which the graph publishes of the lake.
        both: those of the posted who have a label too.
        differing: those of whom the two say something else; the posted outcome counts.
        unread: published labels that could not be read, a sentence each.
        left_out: customers who have no outcome because of that.
    """

    posted: int
    labelled: int
    both: int
    differing: int
    unread: tuple[str, ...]
    left_out: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment has shown so far.

    Attributes:
        verdict: ``better`` or ``worse`` is the treatment, proven; ``harmful``: a guard-rail is broken; ``undecided``: nothing is proven yet;
            ``too_early``: fewer matured customers than the minimum, or one arm has too few; ``assignment_broken``, ``outcomes_broken``: no effect is shown.
        words: the decision in words.
        matured: customers of both arms with an outcome that counts.
        sources: where these outcomes come from.
        assigned_p: p value of the sample ratio of all units; below 0.005 the assignment is broken.
        known_p: the same of the matured ones; below 0.005 outcomes reach one arm more often than the other.
        p: p value of equal retention; null for other metrics, whose interval decides.
        crossed: units in both arms, which count in neither.
        cautions: what else has to be known to read it.
    """

    name: str
    state: str
    metric: str
    verdict: Verdict
    words: str
    matured: int
    sources: OutcomeSources
    minimum_size: int
    planned_size: int
    assigned_p: float
    known_p: float
    effect: Effect | None
    p: float | None
    arms: list[ArmResult]
    guard_rails: list[GuardRailResult]
    crossed: int
    cautions: list[str]
    as_of: datetime


def results(engine: sa.Engine, files: Callable[[], DigestStore], record: Record, *, now_s: float) -> Result:
    """The results of an experiment.

    Args:
        engine: the serving database.
        files: function that opens the release files, beside which the labels of the lake are published.
        record: the experiment and what was decided about it.
        now_s: time by the platform's clock, in epoch seconds.

    Raises:
        UnreadableExperimentError: if its result is kept and can't be read.
    """
    if record.kept is not None:
        return kept_result(record.kept)
    labels = LakeLabels(files, horizon_days=record.experiment.horizon_days, now_s=now_s)
    try:
        found = exposures(engine, record.experiment, labels, now_s=now_s)
    finally:
        labels.close()
    is_interrupted = record.state == "running" and record.experiment.subject == "models" and not is_served(engine, record)
    return judged(record, found, now_s=now_s, is_interrupted=is_interrupted)


def kept_result(event: Event) -> Result:
    """The result that was kept before predictions were removed.

    Raises:
        UnreadableExperimentError: if the row is not what this code writes.
    """
    try:
        found = msgspec.json.decode(event.found, type=Result)
    except msgspec.DecodeError as error:
        place = f"{event.experiment}, decision {event.number}"
        raise UnreadableExperimentError(
            event.experiment, AsideRow("experiment_events", place, "its kept result is not what this code writes")
        ) from error
    return msgspec.structs.replace(found, cautions=[*found.cautions, KEPT])


def judged(record: Record, found: Exposures, *, now_s: float, is_interrupted: bool = False) -> Result:
    """What the units of both arms prove."""
    plan = record.experiment
    arms = [found.arms[arm] for arm in ARMS]
    known = [len(arm.of(plan.metric)) for arm in arms]
    assigned_p, known_p = (
        multinomial_p(counts, plan.shares, concentration=RATIO_CONCENTRATION)
        for counts in ([arm.units for arm in arms], known)
    )

    @cache
    def moments(metric: GuardMetric) -> Sequence[Moments]:
        return [Moments.of(arm.of(metric)) for arm in arms]

    effect, p = None, None
    rails: list[GuardRailResult] = []
    lacking: list[str] = []
    if record.state == "created":
        verdict: Verdict = "not_started"
    elif assigned_p <= RATIO_ALPHA or found.crossed > CROSSED_AT_MOST * max(1, sum(arm.units for arm in arms)):
        verdict = "assignment_broken"
    elif known_p <= RATIO_ALPHA:
        verdict = "outcomes_broken"
    elif sum(known) < plan.minimum_size or (lacking := _lacking(plan, *moments(plan.metric))):
        verdict = "too_early"
    else:
        effect = _effect(plan, plan.metric, plan.alpha, *moments(plan.metric))
        rails = [_rail(plan, rail, *moments(rail.metric)) for rail in plan.guard_rails]
        p = _retention_p(plan, arms) if plan.metric == "retention" else None
        verdict = _verdict(plan, effect, p, rails)
    if verdict in {"outcomes_broken", "too_early"}:  # latency needs no outcome
        rails = [_rail(plan, rail, *moments(rail.metric)) for rail in plan.guard_rails if rail.metric == "latency_ms"]
        verdict = "harmful" if any(rail.is_broken for rail in rails) else verdict
    if verdict == "harmful":
        words = _stopped(plan, rails)
    elif effect is None:
        words = _unshown(plan, verdict, [arm.units for arm in arms], known, found.crossed, lacking)
    else:
        words = _shown(plan, verdict, effect, known)
    return Result(
        name=plan.name,
        state=record.state,
        metric=plan.metric,
        verdict=verdict,
        words=f"{words} {LEFT_OUT}" if found.left_out else words,
        matured=sum(known),
        sources=_sources(arms, found),
        minimum_size=plan.minimum_size,
        planned_size=plan.planned_size,
        assigned_p=assigned_p,
        known_p=known_p,
        effect=effect,
        p=p,
        arms=[_arm(arm, found.arms[arm], plan, is_shown=effect is not None) for arm in ARMS],
        guard_rails=rails,
        crossed=found.crossed,
        cautions=_cautions(plan, arms, known, found, is_interrupted=is_interrupted),
        as_of=datetime.fromtimestamp(now_s, UTC),
    )


def _sources(arms: Sequence[ArmUnits], found: Exposures) -> OutcomeSources:
    posted, labelled = (sum(arm.sources[source] for arm in arms) for source in ("posted", "labelled"))
    return OutcomeSources(
        posted=posted,
        labelled=labelled,
        both=found.both,
        differing=found.differing,
        unread=found.unread,
        left_out=found.left_out,
    )


def _lacking(plan: Experiment, control: Moments, treated: Moments) -> list[str]:
    """What an arm lacks for a verdict, in sentences. The exact test of retention holds for any number of those who leave, so it asks for units only."""
    least = least_arm(control, treated, is_skewed=plan.metric != "retention")
    named = ((CONTROL, control), (TREATMENT, treated))
    found = [
        f"The {name} has {arm.count:,} matured customers and needs {least:,}{_WHY_SO_MANY if least > LEAST_ARM else ''}."
        for name, arm in named
        if arm.count < least
    ]
    if found or plan.metric == "retention":
        return found
    return [
        f"All {arm.count:,} of the {name} have the same {_WORDS[plan.metric]}." for name, arm in named if arm.variance <= 0
    ]


def _effect(plan: Experiment, metric: GuardMetric, alpha: float, control: Moments, treated: Moments) -> Effect:
    found = difference(control, treated, alpha=alpha, tightest_at=plan.planned_size, is_skewed=metric != "latency_ms")
    low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
    return Effect(estimate=found.estimate, low=low, high=high)


def _retention_p(plan: Experiment, arms: Sequence[ArmUnits]) -> float:
    left = [sum(value == 0 for value in arm.of("retention")) for arm in arms]
    return multinomial_p(left, plan.shares, concentration=RATE_CONCENTRATION)


def _rail(plan: Experiment, rail: GuardRail, control: Moments, treated: Moments) -> GuardRailResult:
    """A guard-rail; of several each is looked at with its part of ``alpha``."""
    effect = _effect(plan, rail.metric, plan.alpha / len(plan.guard_rails), control, treated)
    if rail.metric in _BETTER_IS_LESS:
        is_broken = effect.low is not None and effect.low > rail.worst
    else:
        is_broken = effect.high is not None and effect.high < -rail.worst
    return GuardRailResult(metric=rail.metric, worst=rail.worst, effect=effect, is_broken=is_broken)


def _verdict(plan: Experiment, effect: Effect, p: float | None, rails: Sequence[GuardRailResult]) -> Verdict:
    if any(rail.is_broken for rail in rails):
        return "harmful"
    if p is not None:
        is_proven = p <= plan.alpha
    else:
        is_proven = effect.low is not None and effect.high is not None and (effect.low > 0 or effect.high < 0)
    if not is_proven:
        return "undecided"
    return "better" if (effect.estimate < 0) == (plan.metric in _BETTER_IS_LESS) else "worse"


def _unshown(
    plan: Experiment, verdict: Verdict, units: Sequence[int], known: Sequence[int], crossed: int, lacking: Sequence[str]
) -> str:
    """The words of a verdict that shows no effect."""
    if verdict == "not_started":
        return "Nothing is known: the experiment was never started."
    if verdict == "assignment_broken":
        wanted = " to ".join(f"{share:.0%}" for share in plan.shares)
        return (
            f"The assignment is broken, so no effect is shown: {units[0]:,} units in the control and {units[1]:,} in the treatment, where "
            f"{wanted} were planned, and {crossed:,} in both. Look for requests that reach one arm only; stop the experiment and begin another."
        )
    if verdict == "outcomes_broken":
        return (
            f"Outcomes reach one arm more often than the other, so no effect is shown: {known[0]:,} are known in the control and "
            f"{known[1]:,} in the treatment. Post the outcomes of both arms alike."
        )
    if lacking:
        return f"Too early: {' '.join(lacking)[:1].lower()}{' '.join(lacking)[1:]}"
    return f"Too early: {sum(known):,} matured customers, and there is no verdict before {plan.minimum_size:,}."


def _stopped(plan: Experiment, rails: Sequence[GuardRailResult]) -> str:
    """The words of a guard-rail that is broken."""
    broken = " and ".join(_WORDS[rail.metric] for rail in rails if rail.is_broken)
    return (
        f"Stop: {_TREATED[plan.subject].lower()} makes {broken} worse than the guard-rail allows, whatever else it brings."
    )


def _shown(plan: Experiment, verdict: Verdict, effect: Effect, known: Sequence[int]) -> str:
    """The words of a verdict about an effect."""
    treated = _TREATED[plan.subject]
    matured = sum(known)
    ends = "" if effect.low is None or effect.high is None else f" ({effect.low:+.4g} to {effect.high:+.4g})"
    found = f"{_WORDS[plan.metric]} {effect.estimate:+.4g}{ends} against the control, {matured:,} matured customers"
    if verdict == "better":
        return f"{treated} is better: {found}.{' It may be promoted.' if plan.subject == 'models' else ''}"
    if verdict == "worse":
        return f"{treated} is worse: {found}. Keep the control."
    if matured < plan.planned_size:
        return f"Undecided: {found}; the effect that was planned for would be seen at {plan.planned_size:,}."
    is_excluded = (
        effect.low is not None and effect.high is not None and -plan.effect < effect.low <= effect.high < plan.effect
    )
    unlikely = f", so an effect of {plan.effect:g} is unlikely" if is_excluded else ""
    return f"Undecided: {found}; the planned {plan.planned_size:,} are there{unlikely}."


def _cautions(
    plan: Experiment, arms: Sequence[ArmUnits], known: Sequence[int], exposed: Exposures, *, is_interrupted: bool
) -> list[str]:
    found = []
    if is_interrupted:
        found.append("Another row of releases serves than the one it rides on, so nobody is assigned any more; stop it.")
    closed = sum(known) + sum(arm.states["unknown"] for arm in arms)
    if sum(known) < KNOWN_AT_LEAST * closed:
        found.append(
            f"Of {closed:,} customers whose window has closed, {sum(known):,} have an outcome; those without may differ from these."
        )
    timed = sum(len(arm.latencies_ms) for arm in arms)
    if timed < sum(arm.units for arm in arms) and any(rail.metric == "latency_ms" for rail in plan.guard_rails):
        found.append(
            f"Latency is that of {timed:,} requests for one prediction; rows of a batch share a time and don't count."
        )
    if exposed.early:
        found.append(
            f"{exposed.early:,} were posted as staying before their window closed, which says nothing of it yet; post them again after it."
        )
    found += exposed.words
    if exposed.differing:
        found.append(
            f"Of {exposed.both:,} customers with a posted outcome and a label of the lake, {exposed.differing:,} differ; the posted outcome counts."
        )
    posted = [arm.sources["posted"] for arm in arms]
    is_uneven = multinomial_p(posted, plan.shares, concentration=RATIO_CONCENTRATION) <= RATIO_ALPHA
    if is_uneven and any(arm.sources["labelled"] for arm in arms):
        found.append(
            f"Outcomes were posted for one arm more often than for the other ({posted[0]:,} in the control, {posted[1]:,} in the treatment), and "
            "the lake tells of the rest: where the two differ, so do the arms. Post the outcomes of both arms alike, or of neither."
        )
    if strayed := sum(arm.strayed for arm in arms):
        found.append(f"{strayed:,} were answered by the other arm's release; they count where they were assigned.")
    if exposed.crossed:
        found.append(f"{exposed.crossed:,} were in both arms and count in neither.")
    if plan.subject == "models" and plan.metric == "log_loss":
        found.append("Log loss takes nobody to be treated: who was called and stayed counts as a wrong alarm.")
    if plan.subject == "models" and "profit" in {plan.metric, *(rail.metric for rail in plan.guard_rails)}:
        found.append(
            "Profit is that expected of an offer, by whether a customer leaves without one; it takes nobody to be treated."
        )
    return found


def _arm(arm: Arm, units: ArmUnits, plan: Experiment, *, is_shown: bool) -> ArmResult:
    values = units.of(plan.metric)
    return ArmResult(
        arm=arm,
        units=units.units,
        open=units.states["open"],
        asked_late=units.states["late"],
        gone=units.states["gone"],
        unknown=units.states["unknown"],
        matured=len(values),
        posted=units.sources["posted"],
        labelled=units.sources["labelled"],
        strayed=units.strayed,
        mean=sum(values) / len(values) if is_shown and values else None,
        latency_ms=_latency(units.latencies_ms),
    )


def _latency(milliseconds: Sequence[float]) -> Latency | None:
    if not milliseconds:
        return None
    ranked = sorted(milliseconds)

    def quantile(share: float) -> float:
        return ranked[min(len(ranked) - 1, math.ceil(share * len(ranked)) - 1)]

    return Latency(mean=sum(ranked) / len(ranked), p50=quantile(0.5), p95=quantile(0.95))


def words_of(event: Event) -> str:
    """What the results said at a decision, in words; nothing where a kept result can't be read, so that the other decisions are shown."""
    if event.kind != "kept":
        return event.found
    try:
        return kept_result(event).words
    except UnreadableExperimentError:
        return ""
