"""The catalogue: every feature that a model may see, each described once.

Adding a feature is one entry here. An entry says from which table it comes, which whole numbers are summed or counted per
customer, and how the value follows from them; the division comes last, so that equal inputs give equal features on every
engine. Does not belong here: who is at risk (``population``), how the tables are cut at a snapshot (``snapshot``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import narwhals as nw

from churn_assets.periods import DAY_S
from churn_assets.raw.source import Table
from churn_store.errors import InputError
from churn_store.signature import Column

Pii = Literal["none", "behaviour", "attribute"]


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        name: of the column; unique.
        description: what it says of a customer, in words.
        table: the raw table that it is aggregated from.
        window_days: how far it looks back; none for a fact of the customer's record.
        unit: of the value.
        pii: what kind of personal data it is.
        value: Narwhals expression over the aggregates (or over the customer's record).
        aggregates: whole-number aggregates by name, one value a customer, over rows that have ``age_s`` (seconds before the
            snapshot) besides the table's own columns. Of a customer without any row they are zero, but null for names that
            begin with ``age_of_``. A name means the same wherever it is used.
        kind: ``number`` or ``category``.
        nullable: whether "never" is an answer.
        low: the least possible value.
        high: the greatest possible value.
        grows: whether it only ever grows with time, so that drift says nothing.
        needs: columns of ``customers`` without which the feature does not exist.
        owner: the team to ask.
    """

    name: str
    description: str
    table: Table
    window_days: int | None
    unit: str
    pii: Pii
    value: nw.Expr
    aggregates: Mapping[str, nw.Expr] = field(default_factory=dict)
    kind: Literal["number", "category"] = "number"
    nullable: bool = False
    low: float | None = 0.0
    high: float | None = None
    grows: bool = False
    needs: tuple[str, ...] = ()
    owner: str = "team:data"

    @property
    def column(self) -> Column:
        """The feature as a model's input; its categories are learned in training."""
        return Column(
            name=self.name,
            kind=self.kind,
            nullable=self.nullable,
            low=self.low,
            high=self.high,
            unit=self.unit,
            description=self.description,
        )


def within(days: int) -> nw.Expr:
    """Rows of the last so many days before the snapshot."""
    return nw.col("age_s") <= days * DAY_S


def count(condition: nw.Expr) -> nw.Expr:
    """How many rows satisfy a condition."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def total(column: str, condition: nw.Expr) -> nw.Expr:
    """The sum of a whole-number column over the rows that satisfy a condition."""
    return nw.when(condition).then(nw.col(column)).otherwise(nw.lit(0)).sum()


def newest_age(condition: nw.Expr) -> nw.Expr:
    """Seconds since the newest row that satisfies a condition; null where none does."""
    return nw.when(condition).then(nw.col("age_s")).min()


def quotient(whole: nw.Expr, divisor: int) -> nw.Expr:
    """A whole-number column divided by a number, rounded once.

    Not ``whole / divisor``: Polars then multiplies by the reciprocal, but divides where a frame has one row, so that the last
    bit of a customer's feature would depend on who else is in the frame.
    """
    return whole / (whole * 0 + divisor)


SESSION = nw.col("event_type") == "session"
TICKET = nw.col("event_type") == "support_ticket"
USE = nw.col("event_type") == "feature_used"
SETTLED = nw.col("status") == "settled"
FAILED = nw.col("status") == "failed"
REFUNDED = nw.col("status") == "refunded"

_EVENTS = [
    Feature(
        "avg_sessions_7d", "sessions a day over the last week", "events", 7, "sessions per day", "behaviour",
        quotient(nw.col("sessions_in_7d"), 7), {"sessions_in_7d": count(SESSION & within(7))},
    ),
    Feature(
        "sessions_30d", "sessions in the last 30 days", "events", 30, "sessions", "behaviour",
        nw.col("sessions_in_30d"), {"sessions_in_30d": count(SESSION & within(30))},
    ),
    Feature(
        "sessions_90d", "sessions in the last 90 days", "events", 90, "sessions", "behaviour",
        nw.col("sessions_in_90d"), {"sessions_in_90d": count(SESSION & within(90))},
    ),
    Feature(
        "session_trend", "share of the last 90 days' sessions that fell into the last 30", "events", 90, "share", "behaviour",
        nw.when(nw.col("sessions_in_90d") > 0).then(nw.col("sessions_in_30d") / nw.col("sessions_in_90d")).otherwise(0.0),
        {"sessions_in_30d": count(SESSION & within(30)), "sessions_in_90d": count(SESSION & within(90))},
        high=1.0,
    ),
    Feature(
        "days_since_last_login", "days since the last session within 90 days", "events", 90, "days", "behaviour",
        quotient(nw.col("age_of_last_session_s"), DAY_S), {"age_of_last_session_s": newest_age(SESSION & within(90))},
        nullable=True, high=90.0,
    ),
    Feature(
        "events_30d", "events of any kind in the last 30 days", "events", 30, "events", "behaviour",
        nw.col("events_in_30d"), {"events_in_30d": count(within(30))},
    ),
    Feature(
        "feature_uses_30d", "uses of a product feature in the last 30 days", "events", 30, "uses", "behaviour",
        nw.col("uses_in_30d"), {"uses_in_30d": count(USE & within(30))},
    ),
    Feature(
        "tickets_30d", "support tickets opened in the last 30 days", "events", 30, "tickets", "behaviour",
        nw.col("tickets_in_30d"), {"tickets_in_30d": count(TICKET & within(30))},
    ),
    Feature(
        "tickets_90d", "support tickets opened in the last 90 days", "events", 90, "tickets", "behaviour",
        nw.col("tickets_in_90d"), {"tickets_in_90d": count(TICKET & within(90))},
    ),
    Feature(
        "days_since_last_ticket", "days since the last support ticket within 90 days", "events", 90, "days", "behaviour",
        quotient(nw.col("age_of_last_ticket_s"), DAY_S), {"age_of_last_ticket_s": newest_age(TICKET & within(90))},
        nullable=True, high=90.0,
    ),
]  # fmt: skip

_PAYMENTS = [
    Feature(
        "failed_payments_30d", "failed payments in the last 30 days", "payments", 30, "payments", "behaviour",
        nw.col("failed_in_30d"), {"failed_in_30d": count(FAILED & within(30))},
    ),
    Feature(
        "failed_payments_90d", "failed payments in the last 90 days", "payments", 90, "payments", "behaviour",
        nw.col("failed_in_90d"), {"failed_in_90d": count(FAILED & within(90))},
    ),
    Feature(
        "total_spend_90d", "settled payments of the last 90 days", "payments", 90, "cents", "behaviour",
        nw.col("spend_in_90d_cents"), {"spend_in_90d_cents": total("amount_cents", SETTLED & within(90))},
    ),
    Feature(
        "total_spend_180d", "settled payments of the last 180 days", "payments", 180, "cents", "behaviour",
        nw.col("spend_in_180d_cents"), {"spend_in_180d_cents": total("amount_cents", SETTLED & within(180))},
    ),
    Feature(
        "refunds_30d", "refunds in the last 30 days", "payments", 30, "refunds", "behaviour",
        nw.col("refunds_in_30d"), {"refunds_in_30d": count(REFUNDED & within(30))},
    ),
    Feature(
        "payments_90d", "settled payments in the last 90 days", "payments", 90, "payments", "behaviour",
        nw.col("settled_in_90d"), {"settled_in_90d": count(SETTLED & within(90))},
    ),
    Feature(
        "payments_180d", "settled payments in the last 180 days", "payments", 180, "payments", "behaviour",
        nw.col("settled_in_180d"), {"settled_in_180d": count(SETTLED & within(180))},
    ),
    Feature(
        "mean_payment_180d", "average settled payment of the last 180 days", "payments", 180, "cents", "behaviour",
        nw.when(nw.col("settled_in_180d") > 0)
        .then(nw.col("spend_in_180d_cents") / nw.col("settled_in_180d"))
        .otherwise(0.0),
        {
            "settled_in_180d": count(SETTLED & within(180)),
            "spend_in_180d_cents": total("amount_cents", SETTLED & within(180)),
        },
    ),
    Feature(
        "days_since_last_payment", "days since the last settled payment within 180 days", "payments", 180, "days",
        "behaviour", quotient(nw.col("age_of_last_settled_s"), DAY_S),
        {"age_of_last_settled_s": newest_age(SETTLED & within(180))}, nullable=True, high=180.0,
    ),
]  # fmt: skip

_CUSTOMERS = [
    Feature(
        "is_pro_plan", "1 on plan pro, else 0", "customers", None, "yes or no", "attribute",
        nw.when(nw.col("plan") == "pro").then(nw.lit(1.0)).otherwise(nw.lit(0.0)), high=1.0, needs=("plan",),
    ),
    Feature(
        "is_paid_plan", "1 on any plan but free, else 0", "customers", None, "yes or no", "attribute",
        nw.when(nw.col("plan") != "free").then(nw.lit(1.0)).otherwise(nw.lit(0.0)), high=1.0, needs=("plan",),
    ),
    Feature(
        "days_since_signup", "days since sign-up", "customers", None, "days", "behaviour",
        quotient(nw.col("signed_up_age_s"), DAY_S), grows=True,
    ),
]  # fmt: skip

CATALOGUE: tuple[Feature, ...] = (*_EVENTS, *_PAYMENTS, *_CUSTOMERS)
"""All features of a history, besides the attributes that a source brings."""


def features_of(
    tables: Sequence[Table], attributes: Sequence[Column], *, has_time: bool, exclude: Sequence[str] = ()
) -> tuple[Feature, ...]:
    """The features that a company's tables allow.

    Args:
        tables: the raw tables that it has.
        attributes: what its source says of a customer; each is a feature of its own.
        has_time: whether the data is a history.
        exclude: names that no model may see.

    Returns:
        Features in a fixed order, numbers before categories. An attribute takes the place of a feature of the same name.

    Raises:
        InputError: ``exclude`` has a name that is no feature here, an attribute has the name of an aggregate, or no feature
            is left.
    """
    named = {attribute.name for attribute in attributes}
    found = [
        feature
        for feature in CATALOGUE
        if has_time and feature.table in tables and set(feature.needs) <= named and feature.name not in named
    ]
    found += [
        Feature(
            attribute.name,
            attribute.description,
            "customers",
            None,
            attribute.unit,
            "attribute",
            nw.col(attribute.name),
            kind=attribute.kind,
            nullable=attribute.nullable,
            low=attribute.low,
            high=attribute.high,
        )
        for attribute in attributes
    ]
    names = {feature.name for feature in found}
    if unknown := sorted(set(exclude) - names):
        raise InputError(
            f"features.exclude names {', '.join(unknown)}, which is no feature here; expected some of {', '.join(sorted(names))}"
        )
    if taken := sorted(named & {name for feature in found for name in feature.aggregates}):
        raise InputError(
            f"source.customers.attributes has {', '.join(taken)}, a name that the catalogue of features uses; choose another"
        )
    left = [feature for feature in found if feature.name not in exclude]
    if not left:
        raise InputError(
            "no feature is left for a model; add `attributes` to source.customers, or take names out of features.exclude"
        )
    return tuple(sorted(left, key=lambda feature: feature.kind, reverse=True))


def as_table(features: Sequence[Feature]) -> str:
    """The catalogue's entries as a Markdown table, for people."""
    head = "| feature | description | unit | window | allowed | grows | personal data | owner |\n|---|---|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {feature.name} | {feature.description} | {feature.unit} | "
        f"{'' if feature.window_days is None else f'{feature.window_days} days'} | {_range(feature)} | "
        f"{'yes' if feature.grows else ''} | {feature.pii} | {feature.owner} |"
        for feature in features
    )


def _range(feature: Feature) -> str:
    if feature.kind == "category":
        return "any word"
    low, high = ("" if bound is None else f"{bound:g}" for bound in (feature.low, feature.high))
    return f"{low} to {high}" + (" or none" if feature.nullable else "")


def longest_window_days(features: Sequence[Feature], table: Table) -> int:
    """How far back a table must be read for these features, in days."""
    return max((feature.window_days or 0 for feature in features if feature.table == table), default=0)
