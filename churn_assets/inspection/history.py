"""Settles what the rows of a history say: its first day, the roles of its events, what churn is, and which snapshots there can be.

Belongs here: decisions from canonical rows. The functions of ingest, of the labels and of the split say whether they work. Does not belong
here: the mapping of columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from churn_assets.automation.due import first_snapshot
from churn_assets.inspection.draft import Draft
from churn_assets.inspection.event_roles import roles_of
from churn_assets.inspection.series import least, most
from churn_assets.periods import Cadence, Calendar, day_of
from churn_assets.preflight.event_types import MOST_TYPES
from churn_assets.preflight.rates import mature_snapshots, rate_at
from churn_assets.preflight.report import SnapshotRate
from churn_assets.preflight.type_choice import proposed_types, type_choices
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label
from churn_assets.settings.training import Training
from churn_assets.training.split import roles_by_time
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

HORIZONS = (30, 60, 90, 180)
"""Lengths of the window in which who does nothing has left."""

GAP_QUANTILE = 0.8
"""So many of the gaps between a customer's active days are shorter than the window, so that a pause is not taken for the end."""

LOW, HIGH = 0.02, 0.9
"""The churn rate by inactivity lies between; other windows are tried where it does not."""

COME_BACK = 0.2
"""Where more than this share of those who cancelled are seen afterwards, customers come back."""

FEW_DAYS = 3

WHILE_IT_RUNS = 36_500
"""Days of activity to look back where only a contract's start and end are known: a customer is at risk until it ends."""

OUTLIER = 0.001


@dataclass(frozen=True)
class Plan:
    """Settings under which there are enough snapshots.

    Attributes:
        label: definition of churn.
        at_risk: definition of who is at risk.
        features: with the first snapshot.
        training: how many snapshots judge and select.
        cadence: distance of snapshots.
        mature: its snapshots with mature labels.
    """

    label: Label
    at_risk: AtRisk
    features: Features
    training: Training
    cadence: Cadence
    mature: list[date]


def first_day(frames: Mapping[Table, pl.DataFrame], end: date) -> date:
    """The first day from which on there are events as well as payments; a thousandth of the rows may be earlier, which is dirt.

    What is older counts as known by then. Where the younger table begins in the second half of the time, the older one decides.
    """
    days = [_first_of(frame["occurred_s"].drop_nulls()) for name, frame in frames.items() if name != "customers"]
    return max(days) if max(days) - min(days) <= (end - min(days)) / 2 else min(days)


def _first_of(times: pl.Series) -> date:
    first, low = int(least(times)), int(times.quantile(OUTLIER, interpolation="lower") or 0)
    return day_of(first if low - first < 366 * DAY_S else low)


def last_day(frames: Mapping[Table, pl.DataFrame], now_s: int) -> date:
    """The day after the newest row that is known by now."""
    newest = max((int(most(frame.filter(pl.col("known_s") < now_s)["known_s"])) for frame in frames.values()), default=0)
    return day_of(newest) + timedelta(days=1)


def settle(draft: Draft, frames: Mapping[Table, pl.DataFrame], *, now_s: int) -> None:
    """Fill the sections of a history.

    Args:
        draft: with the mapping of all tables.
        frames: canonical rows by table.
        now_s: current time.
    """
    end = last_day(frames, now_s)
    start = first_day(frames, end)
    draft.sections.clear()
    draft.source["start"] = start
    draft.why["source.start"] = "the first day from which on every table has rows" + (
        f"; the last one is {end - timedelta(days=1)}" if end else ""
    )
    cancelled = _roles(draft, frames)
    grace = _grace_days(draft, frames)
    plan = _plan(frames, cancelled, grace, start, end, only_contracts=_has_only_contracts(draft))
    _write(draft, frames, plan, cancelled)


def _roles(draft: Draft, frames: Mapping[Table, pl.DataFrame]) -> list[str]:
    """Write the roles of the types of events, and the types with features of their own; the types by which customers leave."""
    if "events" not in frames:
        return []
    counted = (
        frames["events"]["event_type"].drop_nulls().value_counts().sort("count", "event_type", descending=[True, False])
    )
    counts = dict(counted.iter_rows())
    roles = roles_of(counts)
    draft.sections["events"] = {"roles": {role: words for role, words in roles.items() if role != "cancelled" or words}}
    listed = ", ".join(f"{word} {rows:,}" for word, rows in list(counts.items())[:12])
    draft.why["events"] = f"What the types of events mean, by the sound of their names. They are: {listed}"
    if len(counts) <= MOST_TYPES and not _has_only_contracts(draft):
        choices = type_choices(frames["events"], sessions=roles["session"], gone=roles["cancelled"], protected=())
        if types := proposed_types(choices):
            draft.sections["events"]["types"] = types
            draft.why["events.types"] = "counted each by itself as well; not all customers have them equally often"
    known = {word for words in roles.values() for word in words}
    free = next((word for word in counts if word not in known), None)
    if not roles["session"] and free is not None and not _has_only_contracts(draft):
        draft.ask(
            "no type of event sounds like a visit; the features of visits would be the same for everybody",
            f"events.roles.session: [{free}]",
        )
    return roles["cancelled"]


def _has_only_contracts(draft: Draft) -> bool:
    """Whether nothing is known of customers but when they began and ended."""
    return "payments" not in draft.tables and "event_times" in draft.tables["events"].described


def _grace_days(draft: Draft, frames: Mapping[Table, pl.DataFrame]) -> int:
    """How long rows are under way: 99 of 100 have arrived by then; 0 where nothing tells when they came."""
    said = [name for name, table in draft.tables.items() if name != "customers" and "known" in table.columns]
    if not said:
        return 0
    delays = pl.concat((frames[name]["known_s"] - frames[name]["occurred_s"]).drop_nulls() for name in said)
    return min(30, max(FEW_DAYS, -int(-(delays.quantile(0.99) or 0) // DAY_S)))


def _plan(
    frames: Mapping[Table, pl.DataFrame], cancelled: list[str], grace: int, start: date, end: date, *, only_contracts: bool
) -> Plan:
    """The first plan that has enough snapshots and a churn rate that can be; the first of all where none has."""
    gap = WHILE_IT_RUNS if only_contracts else _gap_days(frames)
    plans = list(_plans(tuple(frames), cancelled, grace, gap, start, end))
    for plan in plans:
        try:
            roles_by_time(plan.mature, horizon=plan.label.horizon, training=plan.training)
        except InputError:
            continue
        rate = _rate(frames, plan)
        if rate.churn_rate is not None and (cancelled or LOW <= rate.churn_rate <= HIGH):
            return plan
    return plans[0]


def _plans(
    tables: tuple[Table, ...], cancelled: list[str], grace: int, gap: float, start: date, end: date
) -> Iterator[Plan]:
    active = WHILE_IT_RUNS if gap >= WHILE_IT_RUNS else next((days for days in (60, 90, 180, 365) if days >= gap), 365)
    if cancelled:
        windows = [
            (
                Label(kind="event", event=tuple(cancelled), grace_days=grace),
                AtRisk(active_days=active, cancelled_event=tuple(cancelled)),
            )
        ]
    else:
        best = next((days for days in HORIZONS if days >= gap), HORIZONS[-1])
        order = sorted(HORIZONS, key=lambda days: (days != best, abs(HORIZONS.index(days) - HORIZONS.index(best)), days))
        windows = [
            (
                Label(kind="inactivity", horizon_days=days, grace_days=grace),
                AtRisk(active_days=max(60, 2 * days), cancelled_event=None),
            )
            for days in order
        ]
    cadences: tuple[Cadence, ...] = ("monthly", "weekly")
    for cadence in cadences:
        for label, at_risk in windows:
            calendar = Calendar(cadence, start)
            later = calendar.ceil(start + timedelta(days=max(at_risk.signed_up_days, at_risk.active_days)))
            soon = calendar.ceil(start + timedelta(days=at_risk.signed_up_days))
            few = Training(judging_snapshots=1)
            from_soon = Features(first_snapshot=soon)
            full = [(Features(), Training()), (Features(), few), (Features(first_snapshot=later), few)]
            for features, training in (
                *(full if at_risk.active_days < WHILE_IT_RUNS else [(from_soon, Training())]),
                (from_soon, few),
            ):
                first = first_snapshot(start, tables, at_risk=at_risk, features=features)
                yield Plan(label, at_risk, features, training, cadence, mature_snapshots(calendar, label, end, first=first))


def _gap_days(frames: Mapping[Table, pl.DataFrame]) -> float:
    """How long customers pause between two active days: the length that ``GAP_QUANTILE`` of the pauses do not exceed."""
    acts = [
        frame.filter(pl.col("status") == "settled") if name == "payments" else frame
        for name, frame in frames.items()
        if name != "customers"
    ]
    days = pl.concat(frame.select("customer_id", day=pl.col("occurred_s") // DAY_S) for frame in acts).drop_nulls().unique()
    gaps = days.sort("customer_id", "day").select(pl.col("day").diff().over("customer_id")).to_series().drop_nulls()
    return float(gaps.quantile(GAP_QUANTILE) or 0) if gaps.len() else 0.0


def _rate(frames: Mapping[Table, pl.DataFrame], plan: Plan) -> SnapshotRate:
    return rate_at(frames, plan.mature[-1], at_risk=plan.at_risk, label=plan.label)


def _write(draft: Draft, frames: Mapping[Table, pl.DataFrame], plan: Plan, cancelled: list[str]) -> None:
    label, at_risk = plan.label, plan.at_risk
    if plan.cadence != "monthly":
        draft.cadence = plan.cadence
    said = "churn is guessed"
    if plan.mature:
        rate = _rate(frames, plan)
        said = (
            f"{rate.churn_rate or 0:.1%} of {rate.at_risk:,} customers at risk on {rate.snapshot} churned"
            if rate.at_risk
            else "nobody is at risk"
        )
    section: dict[str, Any] = {"kind": label.kind, "horizon_days": label.horizon_days, "grace_days": label.grace_days}
    draft.sections["at_risk"] = {"signed_up_days": at_risk.signed_up_days, "active_days": at_risk.active_days}
    if cancelled:
        draft.why["label"] = f"Who has an event {' or '.join(cancelled)} has left: {said}."
        if (share := _seen_afterwards(frames["events"], cancelled)) > COME_BACK:
            draft.ask(
                f"{share:.0%} of those with an event {' or '.join(cancelled)} are seen afterwards: do customers come back?",
                "at_risk.cancelled_event: null",
            )
    else:
        draft.sections["at_risk"]["cancelled_event"] = None
        draft.why["label"] = f"Whoever does nothing for {label.horizon_days} days has left: {said}."
        draft.ask(
            f"no event says that a customer leaves; whoever was active in the last {at_risk.active_days} days and then does nothing for "
            f"{label.horizon_days} days is taken for churned ({said})",
            f"label: {{kind: inactivity, horizon_days: {min(180, 2 * label.horizon_days)}}}",
        )
    draft.sections["label"] = section
    if plan.features.first_snapshot is not None:
        draft.sections["features"] = {"first_snapshot": plan.features.first_snapshot}
        draft.why["features"] = (
            "A contract is known from its start on: no snapshot needs a history before it."
            if plan.at_risk.active_days == WHILE_IT_RUNS
            else "The history is short: snapshots begin before the longest windows lie inside the data."
        )
    if plan.training.judging_snapshots != Training().judging_snapshots:
        draft.sections["training"] = {"judging_snapshots": plan.training.judging_snapshots}
        draft.why["training"] = f"The history is short: {len(plan.mature)} snapshots have mature labels."


def _seen_afterwards(events: pl.DataFrame, cancelled: list[str]) -> float:
    """The share of customers with an ending who have another event more than a day after it."""
    ends = events.filter(pl.col("event_type").is_in(cancelled)).group_by("customer_id").agg(end=pl.col("occurred_s").min())
    last = (
        events.filter(~pl.col("event_type").is_in(cancelled)).group_by("customer_id").agg(last=pl.col("occurred_s").max())
    )
    both = ends.join(last, on="customer_id", how="left")
    return float((both["last"] > both["end"] + DAY_S).fill_null(value=False).mean() or 0.0)  # type: ignore[arg-type]
