"""Which settings would let training begin where it can't: each is applied to the same rows, and only what helps is named.

Belongs here: the settings that are tried, and their values. Does not belong here: what training demands (``training.readiness``).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from churn_assets.preflight.rehearsal import Rehearsal, labelled_snapshots, roles_of
from churn_assets.preflight.report import Remedy
from churn_assets.settings.company import Settings
from churn_assets.settings.training import LEAST_ROWS
from churn_assets.tables import SELECT
from churn_store.errors import InputError

Change = Mapping[str, Any]
"""Values by the name of the setting, such as ``label.grace_days``."""

SHORTEST_HORIZON = 7
"""A shorter window than this is not proposed: it would ask another question."""

FINER = {"monthly": ("weekly", "daily"), "weekly": ("daily",), "daily": ()}

MOST = 5
"""At most so many settings are named."""

PERIODS_AHEAD = 120
"""So many periods ahead is looked for the day on which the data is long enough."""


def remedies(
    settings: Settings, found: Rehearsal, rehearse: Callable[[Settings], Rehearsal], *, as_of: date
) -> list[Remedy]:
    """The settings that let training begin on the same rows.

    One setting is preferred to two. None where nothing helps, such as where all customers stayed.

    Args:
        settings: settings of the company.
        found: what training refuses now.
        rehearse: makes the training set under other settings.
        as_of: today's date, or the end of the data; not used where the data has no time.
    """
    helping: list[Remedy] = []
    for changes in (_single(settings, found, as_of), _double(settings, as_of)):
        for change in changes:
            tried = rehearse(changed(settings, change))
            if not tried.refusals:
                helping.append(Remedy(_as_yaml(change), tuple(tried.roles)))
            if len(helping) == MOST:
                break
        if helping:
            break
    return helping


def long_enough_on(settings: Settings, as_of: date) -> date | None:
    """The day up to which the data must reach for enough snapshots, with the settings as they are; `None` for no day soon."""
    day = as_of
    for _ in range(PERIODS_AHEAD):
        if _has_roles(settings, day):
            return day
        day = settings.calendar.next(settings.calendar.floor(day))
    return None


def changed(settings: Settings, change: Change) -> Settings:
    """Settings with other values.

    Raises:
        InputError: a value is not allowed.
    """
    for name, value in change.items():
        section, _, key = name.rpartition(".")
        if not section:
            settings = settings.model_copy(update={key: value})
            continue
        old = getattr(settings, section)
        settings = settings.model_copy(update={section: old.model_copy(update={key: value})})
    return settings


def _single(settings: Settings, found: Rehearsal, as_of: date) -> Iterator[Change]:
    """One other value each, nearest to the present one, with which there are enough snapshots."""
    if settings.has_time:
        yield from _nearest(settings, as_of, "features.first_snapshot", _earlier(settings, as_of))
        label, training = settings.label, settings.training
        yield from _nearest(settings, as_of, "label.grace_days", range(label.grace_days - 1, -1, -1))
        yield from _nearest(settings, as_of, "training.judging_snapshots", range(training.judging_snapshots - 1, 0, -1))
        yield from _nearest(settings, as_of, "training.selecting_snapshots", range(training.selecting_snapshots - 1, 0, -1))
        if settings.features.first_snapshot is None:  # it says itself when snapshots begin
            active = min(settings.at_risk.active_days, (as_of - settings.calendar.start).days)
            yield from _nearest(settings, as_of, "at_risk.active_days", range(active - 1, 6, -1))
            yield from _nearest(
                settings, as_of, "at_risk.signed_up_days", range(settings.at_risk.signed_up_days - 1, -1, -1)
            )
        yield from _nearest(settings, as_of, "cadence", FINER[settings.cadence])
        yield from _nearest(settings, as_of, "label.horizon_days", range(label.horizon_days - 1, SHORTEST_HORIZON - 1, -1))
    if found.roles:
        enough = min(role.rows * 2 + 1 if role.role == SELECT else role.rows for role in found.roles)
        if LEAST_ROWS <= enough < settings.training.minimum_rows:
            yield {"training.minimum_rows": enough}


def _double(settings: Settings, as_of: date) -> Iterator[Change]:
    """The first snapshot as early as some customer may be at risk, and another value."""
    if not settings.has_time:
        return
    early = next(iter(reversed(_earlier(settings, as_of))), None)
    if early is None:
        return
    first = {"features.first_snapshot": early}
    for change in _single(changed(settings, first), Rehearsal(), as_of):
        yield {**first, **change}


def _nearest(settings: Settings, as_of: date, name: str, values: Any) -> Iterator[Change]:
    """The first of some values with which there are enough snapshots, where the present one has too few; else nothing that can't help."""
    if _has_roles(settings, as_of):
        return
    now = len(labelled_snapshots(settings, as_of))
    for value in values:
        other = changed(settings, {name: value})
        if name.startswith("at_risk.") and len(labelled_snapshots(other, as_of)) == now:
            continue  # it moves no snapshot
        if _has_roles(other, as_of):
            yield {name: value}
            return


def _earlier(settings: Settings, as_of: date) -> list[date]:
    """Earlier first snapshots at which somebody may be at risk, the latest first."""
    calendar = settings.calendar
    first = min(labelled_snapshots(settings, as_of), default=as_of)
    somebody = calendar.start + timedelta(days=max(settings.at_risk.signed_up_days, 1))
    return [day for day in reversed(calendar.keys(first, first=somebody)) if day < first]


def _has_roles(settings: Settings, as_of: date) -> bool:
    try:
        roles_of(settings, as_of)
    except InputError:
        return False
    return True


def _as_yaml(change: Change) -> str:
    """The change as lines of churn.yaml."""
    sections: dict[str, list[str]] = {}
    for name, value in change.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, []).append(f"{key}: {value}")
    return ", ".join(
        f"{section}: {{{', '.join(entries)}}}" if section else ", ".join(entries) for section, entries in sections.items()
    )
