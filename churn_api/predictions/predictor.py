"""Predictions: from what was asked to what is answered and logged, by the one release that serves when a request begins.

Belongs here: the order of things (look up, score, decide, log, answer). Does not belong here: HTTP (``predictions.routes``),
what a body may hold (``predictions.requests``) and how a row is scored (``churn_store.scoring``).
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from churn_api.front import Call
from churn_api.predictions.answers import Batch, BatchItem, Prediction
from churn_api.predictions.lookup import date_of
from churn_api.predictions.requests import Row
from churn_api.problems import Problem
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import Served
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.prediction_log import LogLine, encode_lines
from churn_api.telemetry.spool import Spool
from churn_store.online import Snapshot


class Predictor:
    """Answers predictions.

    Args:
        releases: what serves.
        spool: where predictions are logged.
        metrics: what is counted.
        now_s: the platform's clock.
    """

    def __init__(self, releases: ReleasePoller, spool: Spool, metrics: Metrics, now_s: Callable[[], float]) -> None:
        self._releases = releases
        self._spool = spool
        self._metrics = metrics
        self._now_s = now_s
        self._encode = msgspec.json.Encoder().encode

    def serving(self, call: Call) -> Served:
        """The release that answers this call from now to its end.

        Raises:
            Problem: 503, there is none yet.
        """
        served = self._releases.current
        if served is None:
            raise Problem(
                503,
                "no-release",
                "No release serves yet; materialize the asset champion, and the service takes it by itself.",
            )
        call.release = served.short
        return served

    def batch(
        self, call: Call, served: Served, asked: Sequence[tuple[str | None, Row | None]], snapshot: Snapshot | None
    ) -> bytes:
        """Many at once, scored in one call of the model.

        Args:
            call: the request.
            served: the release.
            asked: id and row of each; no row for a customer who is not in the snapshot.
            snapshot: of looked-up features.

        Returns:
            The encoded answer, one entry for each that was asked, in order.
        """
        known = [(position, row) for position, (_, row) in enumerate(asked) if row is not None]
        probabilities = self._score(served, [row for _, row in known])
        now_s, latency_s = self._now_s(), time.perf_counter() - call.begun
        lines = [
            self._line(call, served, position, asked[position][0], row, probability, snapshot, now_s, latency_s)
            for (position, row), probability in zip(known, probabilities, strict=True)
        ]
        self._log(lines)
        unknown = msgspec.UNSET if snapshot is None else unknown_customer(snapshot).details
        made = iter(lines)
        items = [
            BatchItem(customer_id=customer_id, error=unknown) if row is None else self._item(served, next(made))
            for customer_id, row in asked
        ]
        leaving = sum(line.churn for line in lines)
        served.leaves.inc(leaving)
        served.stays.inc(len(lines) - leaving)
        answer = Batch(
            request_id=call.request_id,
            prediction_id=call.id,
            predictions=items,
            threshold=served.bundle.manifest.threshold,
            horizon_days=served.bundle.manifest.horizon_days,
            model=served.model,
            snapshot=_time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(time.perf_counter() - call.begun),
        )
        return self._encode(answer)

    def one(self, call: Call, served: Served, customer_id: str | None, row: Row, snapshot: Snapshot | None) -> bytes:
        """One row, scored, logged and answered.

        Args:
            call: the request.
            served: the release.
            customer_id: whose, if known.
            row: the release's inputs by name.
            snapshot: of looked-up features.

        Returns:
            The encoded answer.
        """
        probability = self._score(served, [row])[0]
        now_s, latency_s = self._now_s(), time.perf_counter() - call.begun
        line = self._line(call, served, 0, customer_id, row, probability, snapshot, now_s, latency_s)
        self._log([line])
        (served.leaves if line.churn else served.stays).inc()
        answer = Prediction(
            request_id=call.request_id,
            prediction_id=call.id,
            customer_id=customer_id,
            probability=probability,
            churn=line.churn,
            threshold=line.threshold,
            horizon_days=served.bundle.manifest.horizon_days,
            model=served.model,
            snapshot=_time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            unknown_categories=self._unknown_categories(served, row),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(latency_s),
        )
        return self._encode(answer)

    def _item(self, served: Served, line: LogLine) -> BatchItem:
        return BatchItem(
            customer_id=line.customer_id,
            probability=line.probability,
            churn=line.churn,
            unknown_categories=self._unknown_categories(served, line.features),
        )

    def _score(self, served: Served, rows: list[Row]) -> list[float]:
        probabilities: list[float] = served.bundle.scorer.score_rows(rows).tolist()
        if not all(map(math.isfinite, probabilities)):
            self._metrics.not_finite.inc(sum(not math.isfinite(probability) for probability in probabilities))
            raise Problem(
                500, "not-finite", "The model gave no number for this; the failure was counted. No prediction was made."
            )
        return probabilities

    def _line(
        self, call: Call, served: Served, item: int, customer_id: str | None, row: Row, probability: float,
        snapshot: Snapshot | None, now_s: float, latency_s: float,
    ) -> LogLine:  # fmt: skip
        return LogLine(
            request_id=call.id,
            item=item,
            answered_s=now_s,
            customer_id=customer_id,
            release=served.row.champion,
            epoch=served.row.epoch,
            role=served.model.role,
            probability=probability,
            churn=served.bundle.churns(probability),
            threshold=served.bundle.manifest.threshold,
            snapshot_s=None if snapshot is None else snapshot.snapshot_s,
            features=row,
            latency_us=int(latency_s * 1_000_000),
            key_id=call.key_id,
        )

    def _log(self, lines: list[LogLine]) -> None:
        """Before the answer: an answered prediction is in the spool, or counted as not logged."""
        if lines and not self._spool.append(encode_lines(lines)):
            self._metrics.log_dropped.labels(self._spool.drop or "disk").inc(len(lines))

    def _unknown_categories(self, served: Served, row: Row) -> list[str]:
        found = served.bundle.manifest.signature.unknown_categories(row)
        for name in found:
            self._metrics.unknown_categories.labels(name).inc()
        return found


def unknown_customer(snapshot: Snapshot) -> Problem:
    """A customer who is not in the snapshot; names the snapshot, not the customer."""
    date = date_of(snapshot)
    return Problem(
        404, "unknown-customer",
        f"This customer is not in the online features of {date}: unknown, or not at risk then. Send the attributes to POST "
        "/predict to get a prediction all the same.",
        snapshot=date,
    )  # fmt: skip


def _time_of(snapshot: Snapshot | None) -> datetime | None:
    return None if snapshot is None or snapshot.snapshot_s is None else datetime.fromtimestamp(snapshot.snapshot_s, UTC)


def _age_s(snapshot: Snapshot | None, now_s: float) -> float | None:
    return None if snapshot is None or snapshot.snapshot_s is None else round(now_s - snapshot.snapshot_s, 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
