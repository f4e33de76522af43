"""The Prometheus metrics of the service. No label ever holds an id or a value of a customer.

Belongs here: every metric's name, help and labels. Does not belong here: when it changes.
"""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST

LoadFailure = Literal["database", "store", "release", "unexpected"]
"""Reason why a release was not taken: the database or the store does not answer, the release is bad, or none of these."""

ShipFailure = Literal["database", "segment", "unexpected"]
"""Reason why predictions stay in the spool."""

LATENCIES_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

DIFFERENCES: Final = (0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Bounds of the differences of two probabilities."""


class Metrics:
    """All metrics of one process, in a registry of their own. Of several workers, gauges are shown by their highest value."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside every counter doubles the text and is read by nobody
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "churn_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "churn_request_seconds",
            "From a request's head to its answer",
            ["route", "method"],
            buckets=LATENCIES_S,
            registry=self.registry,
        )
        self.refused_keys = Counter(
            "churn_keys_refused", "Requests refused for their key", ["reason"], registry=self.registry
        )
        self.limited = Counter(
            "churn_requests_limited",
            "Requests refused because their key or address has made too many",
            ["by"],
            registry=self.registry,
        )
        self.audit_dropped = Counter(
            "churn_audit_dropped", "Rows of the audit that did not fit into its queue", registry=self.registry
        )
        self.connections_cut = Counter(
            "churn_connections_cut",
            "Connections ended by the service: slow, too many, or holding too much",
            ["reason"],
            registry=self.registry,
        )
        self.log_lines_dropped = Counter(
            "churn_log_lines_dropped",
            "Log lines that nobody read in time, or that could not be written",
            registry=self.registry,
        )
        self.predictions = Counter(
            "churn_predictions", "Predictions answered", ["release", "role", "churn"], registry=self.registry
        )
        self.no_probability = Counter(
            "churn_predictions_no_probability",
            "Answers of a model that were not a number from 0 to 1, never sent",
            ["release", "role"],
            registry=self.registry,
        )
        self.unknown_categories = Counter(
            "churn_unknown_categories", "Words that training never saw", ["column"], registry=self.registry
        )
        self.release_epoch = Gauge(
            "churn_release_epoch", "Epoch of the serving release", ["release"], registry=self.registry
        )
        self.challenger_share = Gauge(
            "churn_challenger_share",
            "Share of the customers that the challenger answers",
            ["release"],
            registry=self.registry,
        )
        self.shadow_difference = Histogram(
            "churn_shadow_difference",
            "Between the probabilities of the champion and of the challenger in shadow",
            ["release", "champion"],
            buckets=DIFFERENCES,
            registry=self.registry,
        )
        self.shadow_agreements = Counter(
            "churn_shadow_agreements",
            "Equal decisions of the champion and of the challenger in shadow",
            ["release", "champion"],
            registry=self.registry,
        )
        self.shadow_largest = Gauge(
            "churn_shadow_largest_difference",
            "Largest difference of the two probabilities",
            ["release", "champion"],
            registry=self.registry,
        )
        self.shadow_dropped = Counter(
            "churn_shadow_rows_dropped",
            "Answered rows that did not fit into the queue of the shadow",
            ["release", "champion"],
            registry=self.registry,
        )
        self.shadow_failed = Counter(
            "churn_shadow_rows_failed",
            "Answered rows for which the challenger in shadow gave no probability",
            ["release", "champion"],
            registry=self.registry,
        )
        self.shadow_failures = Counter(
            "churn_shadow_failures",
            "Times that the process of the challenger in shadow failed",
            ["release", "reason"],
            registry=self.registry,
        )
        self.shadow_restarts = Counter(
            "churn_shadow_restarts",
            "Times that the process of the challenger in shadow was started again",
            ["release"],
            registry=self.registry,
        )
        self.shadow_age = Gauge(
            "churn_shadow_age_seconds",
            "Since a worker first had the release in shadow",
            ["release"],
            registry=self.registry,
        )
        self.load_failures = Counter(
            "churn_model_load_failures",
            "Attempts to take a release that failed",
            ["reason", "role"],
            registry=self.registry,
        )
        self.refresh_failures = Counter(
            "churn_refresh_failures", "Failed looks at keys, online features or the clock", ["what"], registry=self.registry
        )
        self.online_lookups = Counter(
            "churn_online_lookups", "Customers looked up in the online features", ["result"], registry=self.registry
        )
        self.age = Gauge("churn_poll_age_seconds", "Since the last successful look", ["what"], registry=self.registry)
        self.log_dropped = Counter(
            "churn_prediction_log_dropped", "Predictions answered but not logged", ["reason"], registry=self.registry
        )
        self.log_shipped = Counter(
            "churn_prediction_log_shipped", "Predictions moved into the database", registry=self.registry
        )
        self.log_torn = Counter(
            "churn_prediction_log_torn", "Unacknowledged last lines of workers that died", registry=self.registry
        )
        self.log_refused = Counter(
            "churn_prediction_log_refused", "Lines the database does not take, put aside", registry=self.registry
        )
        self.ship_failures = Counter(
            "churn_prediction_log_ship_failures", "Failed attempts to ship", ["reason"], registry=self.registry
        )
        self.spans = Counter(
            "churn_trace_spans",
            "Spans that the collector took, that it did not take (lost), or for which there was no room (dropped)",
            ["outcome"],
            registry=self.registry,
        )
        self.database_replaced = Counter(
            "churn_database_replaced", "Times that the serving database was another one than before", registry=self.registry
        )
        self.spool_bytes = Gauge("churn_spool_bytes", "Bytes waiting for the database", registry=self.registry)


CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
