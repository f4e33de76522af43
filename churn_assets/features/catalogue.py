"""The catalogue: every feature that a history allows, each described once.

To add a feature, add one entry to the module of its table, and its name to a group of ``reason_groups``; its tests are generated from
the entry. An entry names the table, the whole numbers that are summed or counted per customer, and the expression that computes the
value from them. Division comes last, so that equal inputs give equal features on every engine. Does not belong here: which of them a
company's models see (``feature_sets``), who is at risk (``population``), how the tables are cut at a snapshot (``snapshot``).
"""

from collections.abc import Sequence

from churn_assets.features.catalogue_customers import CUSTOMER_FEATURES
from churn_assets.features.catalogue_events import EVENT_FEATURES
from churn_assets.features.catalogue_payments import PAYMENT_FEATURES
from churn_assets.features.feature import Feature

CATALOGUE: tuple[Feature, ...] = (*EVENT_FEATURES, *PAYMENT_FEATURES, *CUSTOMER_FEATURES)
"""All features of a history, except for the attributes of the source."""

CLASSIC = (
    "avg_sessions_7d", "sessions_30d", "days_since_last_login", "events_30d", "failed_payments_30d", "total_spend_90d",
    "refunds_30d", "is_pro_plan", "is_paid_plan", "days_since_signup",
)  # fmt: skip
"""The ten features that churn models of subscriptions usually begin with."""


def as_table(features: Sequence[Feature]) -> str:
    """Entries of the catalogue as a Markdown table."""
    head = "| feature | description | unit | window | allowed | moves with time | personal data | owner |\n|---|---|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {feature.name} | {feature.description} | {feature.unit} | "
        f"{'' if feature.window_days is None else f'{feature.window_days} days'} | {_range(feature)} | "
        f"{'grows' if feature.grows else 'calendar' if feature.calendar else ''} | {feature.pii} | {feature.owner} |"
        for feature in features
    )


def _range(feature: Feature) -> str:
    if feature.kind == "category":
        return "any word"
    low, high = ("" if bound is None else f"{bound:g}" for bound in (feature.low, feature.high))
    return f"{low} to {high}" + (" or none" if feature.nullable else "")
