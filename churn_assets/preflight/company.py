"""Examines the whole company: each table, the tables together, the churn rates, and whether the settings can work.

A table that can't be read is a finding, and the others are still examined.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from churn_assets.automation.due import first_snapshot
from churn_assets.features.contracts import LABEL_RATE, nobody_labelled
from churn_assets.features.feature import Feature
from churn_assets.periods import day_of
from churn_assets.preflight.attributes import KnowsRelease, ages, features_that_can_be
from churn_assets.preflight.event_types import look_at_event_types
from churn_assets.preflight.rates import SNAPSHOTS, mature_snapshots, rate_at, rate_of_table
from churn_assets.preflight.rehearsal import Rehearsal, rehearse_history, rehearse_table, roles_of
from churn_assets.preflight.remedies import long_enough_on, remedies
from churn_assets.preflight.report import Report, SnapshotRate, TableFindings
from churn_assets.preflight.table import examine
from churn_assets.settings.company import Settings
from churn_assets.settings.source import SourceSettings
from churn_assets.simulator.source import SyntheticSettings
from churn_assets.tables import EVER_S, LABEL, Source
from churn_store.errors import ChurnError, InputError
from churn_store.mapping.foreign_keys import would_match
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.tables import Delivery, Table

STRANGERS = 0.5
"""The share of customers missing in ``customers`` above which the ids are taken to be written in two ways."""


def validate(settings: Settings, source: Source, *, now_s: int, serving: KnowsRelease | None = None) -> Report:
    """Examine everything that a source has; nothing is written.

    Args:
        settings: settings of the company.
        source: source of its rows.
        now_s: time by the platform's clock, in epoch seconds.
        serving: the release that serves, asked where a feature is protected; default: there is none.
    """
    report = Report(settings.company, day_of(now_s).isoformat())
    seen = _Seen(source)
    for table in settings.raw_tables:
        try:
            report.tables.append(seen.examine(settings, table, now_s=now_s))
        except ChurnError as error:  # wrong, or away
            report.tables.append(TableFindings(table, findings=[str(error)]))
    kept = seen.kept
    _compare_customers(report, kept)
    features = features_that_can_be(report, settings.source, settings.features, settings.events.types, source, serving)
    if settings.has_time and "events" in kept:
        look_at_event_types(
            next(one for one in report.tables if one.table == "events"),
            kept["events"],
            settings=settings.events,
            label=settings.label,
            at_risk=settings.at_risk,
            features=features,
            protected=settings.features.protected,
        )
    if "customers" in kept:
        report.questions += ages(kept["customers"], features, settings.source, settings.features)
    if unread := [table for table in settings.tables if table not in kept]:
        report.notes.append(f"the churn rate is not known before {', '.join(unread)} can be read")
    else:
        _rehearse(report, settings, seen, features, now_s=now_s)
    return report


@dataclass
class _Seen:
    """The rows of a source: as delivered, and those that keep their contracts."""

    source: Source
    delivered: dict[Table, Delivery] = field(default_factory=dict)
    kept: dict[Table, pl.DataFrame] = field(default_factory=dict)

    def examine(self, settings: Settings, table: Table, *, now_s: int) -> TableFindings:
        """Read a table, unless it was read, and examine it."""
        if table not in self.delivered:
            self.delivered[table] = _all_of(settings.source, self.source, table, now_s=now_s)
        found, self.kept[table] = examine(
            self.source,
            table,
            self.delivered[table],
            described=settings.source,
            timeline=settings.timeline,
            raw=settings.raw,
            now_s=now_s,
        )
        return found

    def refused_by(self, settings: Settings, *, now_s: int) -> list[str]:
        """What the tables would be refused for under other settings, such as another cadence."""
        return [sentence for table in self.kept for sentence in self.examine(settings, table, now_s=now_s).findings]


def _all_of(described: SourceSettings, source: Source, table: Table, *, now_s: int) -> Delivery:
    if described.shape == "table":
        return source.read(table, 0, 0)
    # The synthetic company has rows for ever; every other source has a last row.
    return source.read(table, -EVER_S, now_s if isinstance(described, SyntheticSettings) else EVER_S)


def _compare_customers(report: Report, kept: Mapping[Table, pl.DataFrame]) -> None:
    """Note customers who have activity but no record in ``customers``: no features can be computed for them."""
    if "customers" not in kept:
        return
    known = kept["customers"]["customer_id"].unique()
    for seen in report.tables:
        if seen.table == "customers" or seen.table not in kept:
            continue
        active = kept[seen.table]["customer_id"].unique()  # type: ignore[index]
        strange = active.filter(~active.is_in(known.implode()))
        seen.strangers = len(strange)
        if not len(strange):
            continue
        message = f"{len(strange):,} of {len(active):,} customers in {seen.table} are not in customers"
        if seen.table == "treatments":
            seen.notes.append(f"{message}; above 1 % of a list, labels in whose windows it lies can't be judged")
            continue
        if len(strange) <= STRANGERS * len(active):
            seen.notes.append(f"{message}; nothing is computed for them")
            continue
        advice = would_match(strange, known) or (
            f"look at which columns `customer_id` is mapped to in source.customers and source.{seen.table}"
        )
        seen.findings.append(f"{message}; expected the same ids in both: {advice}")


def _rehearse(report: Report, settings: Settings, seen: _Seen, features: tuple[Feature, ...], *, now_s: int) -> None:
    """Find the churn rates, and everything that training would refuse."""
    kept, calendar = seen.kept, settings.timeline
    if calendar is None:
        customers = kept["customers"]
        report.rates = [rate_of_table(customers)]
        counts = LabelCounts.of(customers[LABEL])
        if not counts.labelled:
            if counts.unlabelled:
                report.findings.append(f"customers: {nobody_labelled(counts).found}")
            return
        _judge_rates(report)
        if features and customers.drop_nulls(LABEL)[LABEL].n_unique() > 1:  # else the rate is a finding already
            _take(report, settings, lambda other: rehearse_table(customers, features, other), as_of=day_of(now_s))
        return
    # After the last row nobody would be active, so the rates end there. The tables' findings say if the clock is ahead of the data.
    newest = max(
        (int(frame.filter(pl.col("known_s") < now_s)["known_s"].max() or 0) for frame in kept.values()),  # type: ignore[arg-type]
        default=0,
    )
    ends = calendar.ceil(day_of(newest) + timedelta(days=1))
    as_of = min(day_of(now_s), ends)
    if as_of < day_of(now_s):
        report.notes.append(f"the rates are those of {as_of}, the end of the data, and not of {day_of(now_s)}")
    first = first_snapshot(calendar.start, settings.tables, at_risk=settings.at_risk, features=settings.features)
    mature = mature_snapshots(calendar, settings.label, as_of, first=first)[-SNAPSHOTS:]
    report.rates = [rate_at(kept, snapshot, at_risk=settings.at_risk, label=settings.label) for snapshot in mature]
    if features:

        def rehearse(other: Settings) -> Rehearsal:
            if other.cadence != settings.cadence and (refused := seen.refused_by(other, now_s=now_s)):
                return Rehearsal(refusals=refused)
            return rehearse_history(kept, features, other, as_of=as_of)

        _take(report, settings, rehearse, as_of=as_of)
    else:
        try:
            roles_of(settings, as_of)
        except InputError as error:
            report.findings.append(str(error))
    _judge_rates(report)


def _take(report: Report, settings: Settings, rehearse: Callable[[Settings], Rehearsal], *, as_of: date) -> None:
    """Add what training would see and refuse, and what would help."""
    found = rehearse(settings)
    report.roles, report.constant, report.words = found.roles, found.constant, found.words
    report.findings += found.refusals
    report.notes += found.notes
    if not found.refusals:
        return
    report.remedies = remedies(settings, found, rehearse, as_of=as_of)
    if settings.has_time and not found.roles and (day := long_enough_on(settings, as_of)):
        report.enough_on = day.isoformat()


def _judge_rates(report: Report) -> None:
    low, high = LABEL_RATE
    nobody = [rate.snapshot for rate in report.rates if rate.at_risk == 0 and rate.labelled is None]
    if nobody:
        report.findings.append(
            f"nobody is at risk at {_listed(nobody)}; expected some. Look at `at_risk` in churn.yaml and at the raw tables"
        )
    wrong = [rate for rate in report.rates if rate.churn_rate is not None and not low <= rate.churn_rate <= high]
    if wrong:
        report.findings.append(
            f"{_worst(wrong)} churned at {_listed([rate.snapshot for rate in wrong])}; expected {low:.1%} to {high:.0%}. Look at "
            "`label` in churn.yaml: it does not fit the data"
        )


def _worst(rates: list[SnapshotRate]) -> str:
    shares = sorted({f"{rate.churn_rate:.2%}" for rate in rates})
    return shares[0] if len(shares) == 1 else f"{shares[0]} to {shares[-1]}"


def _listed(snapshots: list[str]) -> str:
    return "all customers" if snapshots == ["all"] else ", ".join(snapshots)
