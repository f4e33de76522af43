"""When a retraining is asked for, and why.

Belongs here: the decision from what is known. Does not belong here: how it is known (``state``) and how a run is requested
(``sensors``). Nothing here promotes anything: a retraining makes a candidate, and the gate decides.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from churn_assets.features.labels import matures_on
from churn_assets.settings import Settings
from churn_assets.training.split import roles_by_time
from churn_store.errors import InputError


@dataclass(frozen=True)
class DriftReport:
    """A drift report as its metadata says it.

    Attributes:
        event: id of its materialization: what caused a retraining.
        alert: whether it asks for one.
        drifted: which features, in words.
        release: digest of the release that it is about.
    """

    event: int
    alert: bool
    drifted: str
    release: str


@dataclass(frozen=True)
class Decision:
    """Whether to retrain.

    Attributes:
        retrain: yes or no.
        reason: in words, with the numbers.
        cause: what the request's key is made of.
    """

    retrain: bool
    reason: str
    cause: tuple[str, ...] = ()


def decide(
    settings: Settings,
    *,
    today: date,
    serving: str | None,
    labelled: list[str],
    labels_digest: str,
    report: DriftReport | None,
    last_trained: date | None,
) -> Decision:
    """Decide whether a retraining is due.

    Args:
        settings: the cooldown and what training needs.
        today: by the clock.
        serving: digest of the release that serves; none before the first.
        labelled: snapshots that have labels.
        labels_digest: of those labels, so that the first training is asked for again only when they have changed.
        report: the newest drift report.
        last_trained: ``as_of`` of the newest candidate.
    """
    if serving is None:
        return _first(settings, today=today, labelled=labelled, labels_digest=labels_digest)
    if report is None:
        return Decision(False, "no drift report yet")
    if not report.alert:
        return Decision(False, "the newest drift report has no alert")
    if report.release != serving:
        return Decision(False, f"the drift alert is about release {report.release[:12]}, which no longer serves")
    cooled = None if last_trained is None else last_trained + timedelta(days=settings.retraining.cooldown_days)
    if cooled is not None and today < cooled:
        return Decision(
            False, f"{report.drifted} drifted, but the last training was on {last_trained}; cooling down until {cooled}"
        )
    return Decision(True, f"drift: {report.drifted}", ("drift", str(report.event)))


def _first(settings: Settings, *, today: date, labelled: list[str], labels_digest: str) -> Decision:
    if settings.has_time:
        days = [date.fromisoformat(key) for key in labelled]
        mature = [day for day in days if matures_on(day, settings.label) <= today]
        try:
            roles_by_time(mature, horizon=settings.label.horizon, training=settings.training)
        except InputError as error:
            return Decision(False, f"no release yet, and not enough to train on: {error}")
    elif not labelled:
        return Decision(False, "no release yet, and no labels to train on")
    return Decision(True, "no release yet", ("first", labels_digest))
