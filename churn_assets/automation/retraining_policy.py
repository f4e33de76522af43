"""The retraining policy: when a retraining is requested, and why.

Belongs here: the decision, from facts that are given. Does not belong here: where the facts come from
(``orchestration.run_history``) and how a run is requested (``retraining_sensor``). Nothing here promotes anything: a retraining
makes a candidate, and the gate decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from churn_assets.periods import Calendar
from churn_assets.settings.label import Label, matures_on
from churn_assets.settings.retraining import Retraining
from churn_assets.settings.training import Training
from churn_assets.training.split import Roles, roles_by_time
from churn_store.errors import InputError


@dataclass(frozen=True)
class DriftReport:
    """A drift report, as read from its metadata.

    Attributes:
        event: id of its materialization, which becomes the cause of a retraining.
        alert: whether it asks for a retraining.
        drifted: drifted features, in words.
        release: digest of the release that was compared.
    """

    event: int
    alert: bool
    drifted: str
    release: str


@dataclass(frozen=True)
class Staleness:
    """How old the champion may become.

    Attributes:
        read_until: newest snapshot that it was trained or calibrated on.
        limit: number of periods by which it may be older than a new model; with as many it is stale.
        said_by: source of the limit, in words.
    """

    read_until: date
    limit: int
    said_by: str


@dataclass(frozen=True)
class Decision:
    """Whether to retrain.

    Attributes:
        retrain: whether to retrain.
        reason: reason in words, with the numbers.
        cause: parts of the request's key.
    """

    retrain: bool
    reason: str
    cause: tuple[str, ...] = ()


def decide(
    *,
    timeline: Calendar | None,
    label: Label,
    training: Training,
    retraining: Retraining,
    today: date,
    serving: str | None,
    labelled: list[str],
    labels_digest: str,
    report: DriftReport | None,
    last_trained: date | None,
    staleness: Staleness | None = None,
) -> Decision:
    """Decide whether a retraining is due: for the first model, for drift, for age, in this order.

    Args:
        timeline: calendar of a history; `None` where the data has no time.
        label: definition of churn, by which a snapshot matures.
        training: section ``training``, by which a training set is cut.
        retraining: section ``retraining``: the cooldown, and whether a retraining begins by itself.
        today: today's date by the platform's clock.
        serving: digest of the serving release; `None` before the first.
        labelled: snapshots that have labels.
        labels_digest: digest of those labels; the first training is requested again only when it changes.
        report: newest drift report.
        last_trained: ``as_of`` of the newest candidate.
        staleness: limit of the champion's age; `None` if no limit is known.
    """

    def roles() -> Roles:
        """The snapshots that a training today would read, by role."""
        days = [date.fromisoformat(key) for key in labelled]
        mature = [day for day in days if matures_on(day, label) <= today]
        return roles_by_time(mature, horizon=label.horizon, training=training)

    if serving is None:
        asked = _first(timeline, roles, labelled=labelled, labels_digest=labels_digest)
    else:
        drift = _for_drift(report, serving)
        aged = _for_age(timeline, roles, staleness, serving)
        asked = drift if drift.retrain or not aged.retrain else aged
    cooled = None if last_trained is None else last_trained + timedelta(days=retraining.cooldown_days)
    if serving is not None and asked.retrain and cooled is not None and today < cooled:
        return Decision(False, f"{asked.reason}, but the last training was on {last_trained}; cooling down until {cooled}")
    if asked.retrain and retraining.start == "manual":
        return Decision(
            False, f"a retraining is due ({asked.reason}); retraining.start is manual: run the job retrain to let it begin"
        )
    return asked


def _for_drift(report: DriftReport | None, serving: str) -> Decision:
    if report is None:
        return Decision(False, "no drift report yet")
    if not report.alert:
        return Decision(False, "the newest drift report has no alert")
    if report.release != serving:
        return Decision(False, f"the drift alert is about release {report.release[:12]}, which no longer serves")
    return Decision(True, f"drift: {report.drifted}", ("drift", str(report.event)))


def _for_age(timeline: Calendar | None, roles: Callable[[], Roles], staleness: Staleness | None, serving: str) -> Decision:
    """Decide by the champion's age: retrain when it reaches the limit, and again at each multiple of the limit.

    A candidate that was not proved better at the limit may be so later.
    """
    if staleness is None or timeline is None:
        return Decision(False, "no staleness limit is known")
    try:
        newest = roles().select[-1]
    except InputError as error:
        return Decision(False, f"not enough to train on: {error}")
    age = len(timeline.keys(newest, first=staleness.read_until)) - 1
    if age < staleness.limit:
        return Decision(False, f"the champion is {max(age, 0)} periods older than a new model would be")
    return Decision(
        True,
        f"age: the champion has read up to {staleness.read_until}, {age} periods less than a new model would; {staleness.said_by} "
        f"allows less than {staleness.limit}",
        ("age", serving, str(age // staleness.limit)),
    )


def _first(timeline: Calendar | None, roles: Callable[[], Roles], *, labelled: list[str], labels_digest: str) -> Decision:
    if timeline is not None:
        try:
            roles()
        except InputError as error:
            return Decision(False, f"no release yet, and not enough to train on: {error}")
    elif not labelled:
        return Decision(False, "no release yet, and no labels to train on")
    return Decision(True, "no release yet", ("first", labels_digest))
