"""Which features one reason of a prediction stands for, whether a team can act on it, and the words for single features.

Features of one group move together, so what each of them adds alone says little. Every feature of the catalogue is in one group; the
features of a type of events are a group of their own, and attributes of the source are grouped by correlation
(``training.reason_plan``).

Belongs here: groups and phrases. Does not belong here: what a feature is (``feature``), the contributions (``churn_store.model.reasons``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from churn_assets.features.feature import Feature
from churn_assets.settings.event_names import safe_word
from churn_store.model.reasons.plan import Phrase


@dataclass(frozen=True)
class ReasonGroup:
    """Features that one reason stands for.

    Attributes:
        code: stable code of the reason.
        features: names of features of the catalogue.
        actionable: whether a team can act on it.
    """

    code: str
    features: tuple[str, ...]
    actionable: bool = True


GROUPS: Final = (
    ReasonGroup(
        "activity",
        (
            "avg_sessions_7d", "sessions_30d", "sessions_90d", "active_days_30d", "active_days_90d", "active_weeks_84d", "mean_gap_90d",
            "events_30d", "events_90d", "event_rate_180d",
        ),
    ),
    ReasonGroup("activity_trend", ("session_trend_7d", "session_trend")),
    ReasonGroup("silence", ("days_since_last_login", "silence_90d")),
    ReasonGroup("product_use", ("feature_uses_30d", "uses_per_session_90d", "event_types_30d", "event_types_90d")),
    ReasonGroup("time_of_use", ("weekend_share_90d",), actionable=False),
    ReasonGroup(
        "problems",
        (
            "tickets_30d", "tickets_90d", "days_since_last_ticket", "failed_payments_30d", "failed_payments_90d", "failed_share_90d",
            "late_share_180d", "refunds_30d", "problems_90d", "days_since_last_problem",
        ),
    ),
    ReasonGroup(
        "spend",
        (
            "total_spend_7d", "total_spend_30d", "total_spend_90d", "total_spend_180d", "spend_trend", "payments_90d", "payments_180d",
            "mean_payment_180d", "days_since_last_payment",
        ),
    ),
    ReasonGroup("price", ("paid_of_list_180d",)),
    ReasonGroup("plan", ("is_pro_plan", "is_paid_plan")),
    ReasonGroup("record_changes", ("record_changes_180d", "days_since_record_change"), actionable=False),
    ReasonGroup("tenure", ("days_since_signup",), actionable=False),
    ReasonGroup("season", ("days_from_new_year", "days_from_april"), actionable=False),
)  # fmt: skip
"""The groups of the catalogue."""

PHRASES: Final[Mapping[str, Phrase]] = {
    "days_since_last_login": Phrase("no session for {} days", "no session in the last 90 days"),
    "days_since_last_ticket": Phrase("days since the last support ticket: {}", "no support ticket in the last 90 days"),
    "days_since_last_payment": Phrase("no settled payment for {} days", "no settled payment in the last 180 days"),
    "days_since_last_problem": Phrase(
        "days since the last support ticket, failed payment or refund: {}",
        "no support ticket, failed payment or refund in the last 90 days",
    ),
    "days_since_record_change": Phrase(
        "days since the customer's record last changed: {}", "the customer's record did not change in the last 180 days"
    ),
    "silence_90d": Phrase(
        "no session for {} times the customer's usual pause", "too few sessions in the last 90 days for a usual pause"
    ),
    "mean_gap_90d": Phrase("usual days between two sessions: {}", "fewer than two sessions in the last 90 days"),
    "late_share_180d": Phrase(
        "share of the last 180 days' payments that came late: {}", "no payment with a due date in the last 180 days"
    ),
    "paid_of_list_180d": Phrase(
        "share of the list price that the last 180 days' payments came to: {}",
        "no payment with a list price in the last 180 days",
    ),
    "weekend_share_90d": Phrase("share of the last 90 days' sessions on a weekend: {}", "no session in the last 90 days"),
    "uses_per_session_90d": Phrase("uses of product features for each session: {}", "no session in the last 90 days"),
    "is_pro_plan": Phrase("on plan pro: {}", "plan not known"),
    "is_paid_plan": Phrase("on a paid plan: {}", "plan not known"),
}
"""The words for features that have their own; the others have their description and the value."""


def group_of(feature: Feature) -> ReasonGroup | None:
    """The group of a feature; ``None`` for an attribute of the source, whose group the training rows tell."""
    if feature.event_type is not None:
        return ReasonGroup(f"type_{safe_word(feature.event_type)}", (feature.name,))
    if feature.pii == "attribute" and feature.name not in _BY_FEATURE:
        return None
    return _BY_FEATURE.get(feature.name)


def phrases_of(features: Sequence[Feature]) -> dict[str, Phrase]:
    """The words for those of the features that have their own."""
    return {feature.name: _phrase(feature) for feature in features if _phrase(feature) is not None}  # type: ignore[misc]


def _phrase(feature: Feature) -> Phrase | None:
    if (own := PHRASES.get(feature.name)) is not None:
        return own
    if feature.event_type is not None and feature.nullable:
        return Phrase(
            f"{feature.description}: {{}}".replace(" within 90 days", ""),
            f"no event {feature.event_type} in the last 90 days",
        )
    return None


_BY_FEATURE: Final = {name: group for group in GROUPS for name in group.features}
