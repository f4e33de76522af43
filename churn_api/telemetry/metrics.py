"""The Prometheus metrics of the service. No label ever holds an id or a value of a customer.

Belongs here: every metric's name, help and labels. Does not belong here: when it changes.
"""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

LoadFailure = Literal["database", "store", "release", "unexpected"]
"""Reason why a release was not taken: the database or the store does not answer, the release is bad, or none of these."""

ShipFailure = Literal["database", "unexpected"]
"""Reason why predictions stay in the spool."""

LATENCIES_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """All metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside every counter doubles the text and is read by nobody
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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
        self.predictions = Counter(
            "churn_predictions", "Predictions answered", ["release", "role", "churn"], registry=self.registry
        )
        self.not_finite = Counter(
            "churn_predictions_not_finite", "Probabilities that were not a number, never sent", registry=self.registry
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
        self.load_failures = Counter(
            "churn_model_load_failures",
            "Attempts to take a release that failed",
            ["reason", "role"],
            registry=self.registry,
        )
        self.refresh_failures = Counter(
            "churn_refresh_failures", "Failed looks at keys, online features or the clock", ["what"], registry=self.registry
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
        self.spool_bytes = Gauge("churn_spool_bytes", "Bytes waiting for the database", registry=self.registry)

    def expose(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
