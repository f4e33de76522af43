"""Names that no attribute of a company can have.

Apart from ``tables``, which has the same columns with their types: the settings are read by commands and by the service's start, which
have no need of polars.
"""

RESERVED = frozenset(
    {
        "amount_cents", "customer_id", "due_s", "event_id", "event_type", "known_s", "list_cents", "occurred_s", "payment_id",
        "signed_up_s", "status", "treatment_weight",
        "age_s", "churned", "column", "endings", "newest_event_age_s", "newest_known_s", "newest_occurred_s", "newest_settled_age_s",
        "period", "role", "row", "rule", "score", "signed_up_age_s", "snapshot_s", "value",
    }
)  # fmt: skip
"""The canonical columns of what features are made from, and the names that tables made from the raw ones use. Those of treatments alone are
free: a channel is an attribute of many companies, and no table has both."""
