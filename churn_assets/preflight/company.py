"""Examines the whole company: each table, the tables together, the churn rates, and whether the settings can work.

A table that can't be read is a finding, and the others are still examined.
"""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from churn_assets.automation.due import first_snapshot
from churn_assets.features.contracts import LABEL_RATE, nobody_labelled
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import company_features, features_in_use
from churn_assets.features.snapshot import features_of_table
from churn_assets.periods import day_of
from churn_assets.preflight.event_types import look_at_event_types
from churn_assets.preflight.rates import SNAPSHOTS, mature_snapshots, rate_at, rate_of_table
from churn_assets.preflight.report import Report, SnapshotRate, TableFindings
from churn_assets.preflight.table import examine
from churn_assets.settings.company import Features, Settings, SourceSettings, Training
from churn_assets.simulator.source import SyntheticSettings
from churn_assets.tables import EVER_S, LABEL, Source
from churn_assets.training.equal_rows import equal_rows
from churn_assets.training.split import roles_by_customer, roles_by_id, roles_by_time
from churn_assets.training.training_set import check_enough, joined
from churn_store.errors import ChurnError, InputError
from churn_store.mapping.foreign_keys import would_match
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.tables import Delivery, Table

STRANGERS = 0.5
"""The share of customers missing in ``customers`` above which the ids are taken to be written in two ways."""


def validate(settings: Settings, source: Source, *, now_s: int) -> Report:
    """Examine everything that a source has; nothing is written.

    Args:
        settings: settings of the company.
        source: source of its rows.
        now_s: time by the platform's clock, in epoch seconds.
    """
    report = Report(settings.company, day_of(now_s).isoformat())
    kept: dict[Table, pl.DataFrame] = {}
    for table in settings.tables:
        try:
            delivery = _all_of(settings.source, source, table, now_s=now_s)
        except ChurnError as error:  # wrong, or away
            report.tables.append(TableFindings(table, findings=[str(error)]))
            continue
        seen, kept[table] = examine(
            source,
            table,
            delivery,
            described=settings.source,
            timeline=settings.timeline,
            raw=settings.raw,
            now_s=now_s,
        )
        report.tables.append(seen)
    _compare_customers(report, kept)
    features = _features_in_use(report, source, settings.source, settings.features)
    if settings.has_time and "events" in kept:
        look_at_event_types(
            next(seen for seen in report.tables if seen.table == "events"),
            kept["events"],
            roles=settings.events.roles,
            label=settings.label,
            at_risk=settings.at_risk,
            features=features,
        )
    if unread := [table for table in settings.tables if table not in kept]:
        report.notes.append(f"the churn rate is not known before {', '.join(unread)} can be read")
    else:
        _rates(report, settings, kept, now_s=now_s)
    if features and not settings.has_time and "customers" in kept:
        _judge_split(report, kept["customers"], features, settings.training)
    return report


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
        if len(strange) <= STRANGERS * len(active):
            seen.notes.append(f"{message}; nothing is computed for them")
            continue
        advice = would_match(strange, known) or (
            f"look at which columns `customer_id` is mapped to in source.customers and source.{seen.table}"
        )
        seen.findings.append(f"{message}; expected the same ids in both: {advice}")


def _features_in_use(report: Report, source: Source, described: SourceSettings, choice: Features) -> tuple[Feature, ...]:
    try:
        return features_in_use(company_features(source, described, choice), choice)
    except InputError as error:
        report.findings.append(str(error))
        return ()


def _judge_split(report: Report, customers: pl.DataFrame, features: tuple[Feature, ...], training: Training) -> None:
    """Find what a training set of data without time would be refused for, and note rows that are equal."""
    labelled = customers.drop_nulls(LABEL)
    if labelled[LABEL].n_unique() < 2:  # noqa: PLR2004 - the rate is a finding already
        return
    rows = joined(features_of_table(labelled, features), labelled.select("customer_id", LABEL))
    roles = roles_by_customer(rows, training)
    try:
        check_enough(rows.with_columns(role=roles), training)
    except InputError as error:
        report.findings.append(str(error))
    if said := str(equal_rows(rows, own=roles_by_id(rows["customer_id"], training), roles=roles)):
        report.notes.append(said)


def _rates(report: Report, settings: Settings, kept: Mapping[Table, pl.DataFrame], *, now_s: int) -> None:
    calendar, tables, label = settings.timeline, settings.tables, settings.label
    if calendar is None:
        report.rates = [rate_of_table(kept["customers"])]
        counts = LabelCounts.of(kept["customers"][LABEL])
        if counts.labelled:
            _judge_rates(report)
        elif counts.unlabelled:
            report.findings.append(f"customers: {nobody_labelled(counts).found}")
        return
    # After the last row nobody would be active, so the rates end there. The tables' findings say if the clock is ahead of the data.
    newest = max(
        (int(frame.filter(pl.col("known_s") < now_s)["known_s"].max() or 0) for frame in kept.values()),  # type: ignore[arg-type]
        default=0,
    )
    ends = calendar.ceil(day_of(newest) + timedelta(days=1))
    as_of = min(day_of(now_s), ends)
    first = first_snapshot(calendar.start, tables, at_risk=settings.at_risk, features=settings.features)
    mature = mature_snapshots(calendar, label, as_of, first=first)
    if as_of < day_of(now_s):
        report.notes.append(f"the rates are those of {as_of}, the end of the data, and not of {day_of(now_s)}")
    report.rates = [rate_at(kept, snapshot, at_risk=settings.at_risk, label=label) for snapshot in mature[-SNAPSHOTS:]]
    try:
        roles_by_time(mature, horizon=label.horizon, training=settings.training)
    except InputError as error:
        report.findings.append(str(error))
    _judge_rates(report)


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
