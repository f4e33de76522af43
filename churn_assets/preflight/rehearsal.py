"""Trains nothing and asks all that training asks: which snapshots would be labelled, which rows would have which role, what is refused.

The rows are made in memory by the graph's own functions from the rows of a source that keep their contracts. Belongs here: making
these rows. Does not belong here: what training demands of them (``training.readiness``), and what would help (``remedies``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import narwhals as nw
import polars as pl

from churn_assets.automation.due import features_due, first_snapshot, labels_due
from churn_assets.coverage import arrivals_until
from churn_assets.features.feature import Feature
from churn_assets.features.labels import churn_labels
from churn_assets.features.lookback import lookback_days
from churn_assets.features.snapshot import features_at, features_of_table
from churn_assets.periods import epoch_s, text
from churn_assets.preflight.report import RoleRows
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, LABEL, SELECT, TRAIN
from churn_assets.training.equal_rows import equal_rows
from churn_assets.training.preconditions import constant_features
from churn_assets.training.readiness import refusals
from churn_assets.training.split import Roles, roles_by_customer, roles_by_id, roles_by_time
from churn_assets.training.training_set import joined
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

Rows = Mapping[Table, pl.DataFrame]


@dataclass
class Rehearsal:
    """What training would see, and every sentence with which it would refuse it.

    Attributes:
        roles: rows by role.
        constant: features that would be the same in all training rows, and no inputs.
        words: number of words of each category in the training rows, the most first.
        refusals: sentences with which a step would refuse.
        notes: further remarks.
    """

    roles: list[RoleRows] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def labelled_snapshots(settings: Settings, as_of: date) -> list[date]:
    """The snapshots that would have labels by a day, in the order of time: as the sensors ask.

    Args:
        settings: settings of a company with a history.
        as_of: today's date, or the end of the data.
    """
    calendar = settings.calendar
    raw = {text(key) for key in calendar.complete(as_of)}
    first = first_snapshot(calendar.start, settings.tables, at_risk=settings.at_risk, features=settings.features)
    features = features_due(calendar, as_of, first=first, raw=raw, have=())
    labels = labels_due(calendar, settings.label, as_of, raw=raw, features=features, have=())
    return [date.fromisoformat(key) for key in labels]


def roles_of(settings: Settings, as_of: date) -> Roles:
    """The role of each snapshot.

    Raises:
        InputError: they are too few; the sentence of ``training_set``.
    """
    mature = labelled_snapshots(settings, as_of)
    return roles_by_time(mature, horizon=settings.label.horizon, training=settings.training)


def rehearse_history(kept: Rows, features: tuple[Feature, ...], settings: Settings, *, as_of: date) -> Rehearsal:
    """Make the training set of a history.

    Args:
        kept: rows that keep their contracts, by table.
        features: features that models see.
        settings: settings of the company.
        as_of: today's date, or the end of the data.
    """
    try:
        roles = roles_of(settings, as_of)
    except InputError as error:
        return Rehearsal(refusals=[str(error)])
    raw = {text(key) for key in settings.calendar.complete(as_of)}
    parts = []
    for snapshot in (*roles.train, *roles.select, *roles.judge):
        until = arrivals_until(settings.calendar, settings.label, snapshot, raw=raw)
        rows = labelled_rows(kept, features, settings, snapshot=snapshot, known_until=until)
        parts.append(rows.with_columns(role=pl.lit(roles.of(snapshot))))
    return _judged(pl.concat(parts), features, settings)


def rehearse_table(customers: pl.DataFrame, features: tuple[Feature, ...], settings: Settings) -> Rehearsal:
    """Make the training set of a table without time, of which some rows have a label.

    Args:
        customers: rows that keep their contract.
        features: features that models see.
        settings: settings of the company.
    """
    labelled = customers.drop_nulls(LABEL)
    rows = joined(features_of_table(labelled, features), labelled.select("customer_id", LABEL))
    roles = roles_by_customer(rows, settings.training)
    found = _judged(rows.with_columns(role=roles), features, settings)
    equal = equal_rows(rows, by_id=roles_by_id(rows["customer_id"], settings.training), roles=roles)
    if said := str(equal):
        found.notes.append(said)
    return found


def labelled_rows(
    kept: Rows, features: tuple[Feature, ...], settings: Settings, *, snapshot: date, known_until: date
) -> pl.DataFrame:
    """The features and labels of a snapshot.

    Args:
        kept: rows that keep their contracts, by table.
        features: features that models see.
        settings: settings of the company.
        snapshot: day T of the snapshot.
        known_until: day before which a row must have become known to count for the labels.
    """
    start_s, rule = epoch_s(snapshot), settings.at_risk
    lazy = {
        table: _looked_back(table, frame, lookback_days(table, features, rule), start_s, rule.endings)
        for table, frame in kept.items()
    }
    frame = features_at(lazy, features, start_s, rule, settings.events.roles)

    def arrived(table: Table) -> nw.LazyFrame[pl.LazyFrame] | None:
        # Rows known before T decided who is at risk; only rows that became known later can say who left.
        return nw.from_native(kept[table].lazy().filter(pl.col("known_s") >= start_s)) if table in kept else None

    labels = churn_labels(
        frame,
        arrived("events"),
        arrived("payments"),
        snapshot=snapshot,
        label=settings.label,
        rule=rule,
        known_until=known_until,
    ).labels
    return joined(frame, labels)


def _looked_back(
    table: Table, rows: pl.DataFrame, days: int | None, start_s: int, endings: tuple[str, ...]
) -> pl.LazyFrame:
    """The rows of a table that can matter to a snapshot: leaving out all others changes no feature."""
    known = rows.lazy().filter(pl.col("known_s") < start_s)
    if days is None:
        return known
    recent = pl.col("occurred_s") >= start_s - days * DAY_S
    return known.filter(recent | pl.col("event_type").is_in(endings) if table == "events" and endings else recent)


def _judged(rows: pl.DataFrame, features: tuple[Feature, ...], settings: Settings) -> Rehearsal:
    training = rows.filter(pl.col("role") == TRAIN)
    words = {
        feature.name: training[feature.name].drop_nulls().n_unique() for feature in features if feature.kind == "category"
    }
    return Rehearsal(
        roles=[RoleRows.of(role, rows.filter(pl.col("role") == role)) for role in (TRAIN, SELECT, JUDGE)],
        constant=list(constant_features(training, features)) if training.height else [],
        words=dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))),
        refusals=refusals(rows, features, settings.fitting) if rows.height else ["no customer has a label; expected some"],
    )
