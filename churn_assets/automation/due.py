"""Which periods are due: the plain arithmetic behind the sensors.

Each function takes the periods that exist, and returns those that are missing and can be made now. Nothing here asks Dagster or
the clock.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta

from churn_assets.coverage import unbroken_until
from churn_assets.features.catalogue import CATALOGUE
from churn_assets.features.feature import longest_window_days
from churn_assets.periods import Calendar, epoch_s, text
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label, matures_on
from churn_store.mapping.tables import Table


def raw_due(calendar: Calendar, as_of: date, have: Collection[str]) -> list[str]:
    """Raw periods that have ended and are missing."""
    return [text(key) for key in calendar.complete(as_of) if text(key) not in have]


def first_snapshot(start: date, tables: Collection[Table], *, at_risk: AtRisk, features: Features) -> date:
    """The day from which on there are snapshots: by default the first whose windows all lie inside the data.

    Args:
        start: first day with data.
        tables: raw tables of the company.
        at_risk: definition of who is at risk, with the days that it looks back.
        features: section ``features``, with the configured first snapshot.
    """
    windows = [longest_window_days(CATALOGUE, table) for table in tables]
    return features.first_snapshot or start + timedelta(days=max(at_risk.signed_up_days, at_risk.active_days, *windows))


def features_due(calendar: Calendar, as_of: date, *, first: date, raw: Collection[str], have: Collection[str]) -> list[str]:
    """Missing snapshots whose T has come and whose raw periods are all stored.

    Args:
        calendar: periods of the company.
        as_of: today's date by the platform's clock.
        first: first snapshot, from ``first_snapshot``.
        raw: periods that every raw table has.
        have: snapshots that have features.
    """
    until = unbroken_until(calendar, raw)
    return [key for key in map(text, calendar.keys(as_of, first=first)) if key not in have and key <= until]


def labels_due(
    calendar: Calendar,
    label: Label,
    as_of: date,
    *,
    raw: Collection[str],
    features: Collection[str],
    have: Collection[str],
) -> list[str]:
    """Snapshots with features but without labels, which are mature and have every raw period up to maturity.

    Args:
        calendar: periods of the company.
        label: definition of churn, by which a snapshot matures.
        as_of: today's date by the platform's clock.
        raw: periods that every raw table has.
        features: snapshots that have features.
        have: snapshots that have labels.
    """
    until = unbroken_until(calendar, raw)
    due = []
    for key in sorted(set(features) - set(have)):
        matured = matures_on(date.fromisoformat(key), label)
        if matured <= as_of and text(calendar.ceil(matured)) <= until:
            due.append(key)
    return due


def arrived_into(
    calendar: Calendar, label: Label, *, labels: Collection[str], happened: Mapping[str, tuple[int, int]]
) -> dict[str, list[str]]:
    """The raw periods after maturity that may hold rows of a labelled snapshot's window, by snapshot.

    Snapshots without such periods are left out.

    Args:
        calendar: periods of the company.
        label: definition of churn, with its window and the time to maturity.
        labels: snapshots that are labelled.
        happened: times of the earliest and the latest row of each raw period, in epoch seconds.
    """
    late_periods = {}
    for key in sorted(labels):
        snapshot = date.fromisoformat(key)
        start_s, end_s = epoch_s(snapshot), epoch_s(snapshot + label.horizon)
        matured = text(calendar.floor(matures_on(snapshot, label)))
        late = [
            period
            for period, (first_s, last_s) in happened.items()
            if period >= matured and first_s < end_s and last_s >= start_s
        ]
        if late:
            late_periods[key] = sorted(late)
    return late_periods


def labels_to_restate(
    label: Label, late: Mapping[str, Sequence[str]], *, known_until: Mapping[str, str], until: str
) -> list[str]:
    """Labelled snapshots whose window has got late rows: a customer labelled as gone may have been active.

    Args:
        label: definition of churn, by which a snapshot matures.
        late: raw periods with late rows by snapshot, as ``arrived_into`` returns them.
        known_until: day up to which arrivals count in the labels, by snapshot; default: the day of maturity.
        until: end of the unbroken stretch of raw periods; later periods wait.
    """
    to_restate = []
    for key, periods in late.items():
        matured = text(matures_on(date.fromisoformat(key), label))
        if any(known_until.get(key, matured) <= period < until for period in periods):
            to_restate.append(key)
    return to_restate


def labels_to_publish(made: Mapping[str, str], published: Mapping[str, str]) -> list[str]:
    """Labelled snapshots whose labels are not published, or in another version, as those of an older platform or after a restore.

    Args:
        made: version of the labels, by snapshot.
        published: version of the labels that are published, by snapshot.
    """
    return sorted(key for key, version in made.items() if published.get(key) != version)


def performance_due(published: Mapping[str, str], judged: Mapping[str, str]) -> list[str]:
    """Snapshots whose published labels nothing was judged by yet: new ones, restated ones, and those of an older platform.

    Args:
        published: version of the published labels, by snapshot.
        judged: version of the labels that performance was judged by, by snapshot.
    """
    return sorted(key for key, version in published.items() if judged.get(key) != version)


def newest_due(features: Collection[str], *, release: str | None, done: tuple[str, str] | None) -> str | None:
    """The newest snapshot, if the serving release has not processed it yet.

    Args:
        features: snapshots that have features.
        release: digest of the serving release; `None` before the first.
        done: snapshot and release that were processed last.
    """
    if not features or release is None:
        return None
    newest = max(features)
    return None if done == (newest, release) else newest


def contiguous(calendar: Calendar, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The first and last key of each unbroken stretch of periods; each stretch becomes one run."""
    first = last = None
    for key in sorted(keys):
        if first is None or last is None:
            first = last = key
        elif text(calendar.next(date.fromisoformat(last))) == key:
            last = key
        else:
            yield first, last
            first = last = key
    if first is not None and last is not None:
        yield first, last
