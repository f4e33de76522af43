"""Predictions: scores, logs and answers what was asked, with the release that serves when the request begins.

Belongs here: the order of the steps (look up, score, decide, log, answer). Does not belong here: HTTP (``predictions.routes``),
what a body may hold (``schemas.requests``) and how a row is scored (``churn_store.model.scorer``).
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from churn_api.http.call import Call
from churn_api.http.problems import Problem
from churn_api.predictions.online_features import date_of
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import Served
from churn_api.releases.serving_model import ServingModel
from churn_api.schemas.predictions import Batch, BatchItem, Prediction
from churn_api.schemas.requests import Row
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.prediction_log import LogLine, encode_lines
from churn_api.telemetry.spool import Spool
from churn_store.storage.online_store import Snapshot


class Predictor:
    """Answers predictions.

    Args:
        releases: source of the release that serves.
        spool: log of the predictions.
        metrics: metrics of the service.
        now_s: the platform's clock.
    """

    def __init__(self, releases: ReleasePoller, spool: Spool, metrics: Metrics, now_s: Callable[[], float]) -> None:
        self._releases = releases
        self._spool = spool
        self._metrics = metrics
        self._now_s = now_s
        self._encode = msgspec.json.Encoder().encode

    def serving(self, call: Call) -> Served:
        """The releases that answer this call to its end: the champion and, for its share of the customers, the challenger.

        Raises:
            Problem: if no release serves yet (503).
        """
        served = self._releases.current
        if served is None:
            raise Problem(
                503,
                "no-release",
                "No release serves yet; materialize the asset champion, and the service takes it by itself.",
            )
        call.release = served.champion.short
        return served

    def answering(self, call: Call, served: Served, customer_id: str | None) -> ServingModel:
        """The release that answers one prediction of a call."""
        answering = served.answering(customer_id)
        call.release = answering.short
        return answering

    def batch(
        self, call: Call, served: Served, asked: Sequence[tuple[str | None, Row | None]], snapshot: Snapshot | None
    ) -> bytes:
        """Answer many predictions, scored in one call of each model.

        Args:
            call: the request.
            served: releases that serve.
            asked: id and row of each prediction; the row is ``None`` for a customer who is not in the snapshot.
            snapshot: snapshot of looked-up features, or ``None``.

        Returns:
            The encoded answer, one entry for each prediction that was asked for, in order.
        """
        made: dict[int, tuple[ServingModel, LogLine]] = {}
        now_s = self._now_s()
        for role, part in _parts(served, asked):
            probabilities = self._score(role, [row for _, _, row in part])
            latency_s = time.perf_counter() - call.begun
            for (item, customer_id, row), probability in zip(part, probabilities, strict=True):
                line = self._line(call, role, item, customer_id, row, probability, snapshot, now_s, latency_s)
                made[item] = role, line
        self._log([made[item][1] for item in sorted(made)])
        for role, line in made.values():
            (role.leaves if line.churn else role.stays).inc()
        unknown = msgspec.UNSET if snapshot is None else unknown_customer(snapshot).details
        items = [
            self._item(served, *made[item]) if item in made else BatchItem(customer_id=customer_id, error=unknown)
            for item, (customer_id, _) in enumerate(asked)
        ]
        answer = Batch(
            request_id=call.request_id,
            prediction_id=call.id,
            predictions=items,
            threshold=served.champion.bundle.manifest.threshold,
            horizon_days=served.champion.bundle.manifest.horizon_days,
            model=served.champion.model,
            snapshot=_time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(time.perf_counter() - call.begun),
        )
        return self._encode(answer)

    def one(self, call: Call, role: ServingModel, customer_id: str | None, row: Row, snapshot: Snapshot | None) -> bytes:
        """Score and log one row.

        Args:
            call: the request.
            role: release that answers.
            customer_id: id of the customer, if known.
            row: the release's inputs by name.
            snapshot: snapshot of looked-up features, or ``None``.

        Returns:
            The encoded answer.
        """
        probability = self._score(role, [row])[0]
        now_s, latency_s = self._now_s(), time.perf_counter() - call.begun
        line = self._line(call, role, 0, customer_id, row, probability, snapshot, now_s, latency_s)
        self._log([line])
        (role.leaves if line.churn else role.stays).inc()
        answer = Prediction(
            request_id=call.request_id,
            prediction_id=call.id,
            customer_id=customer_id,
            probability=probability,
            churn=line.churn,
            threshold=line.threshold,
            horizon_days=role.bundle.manifest.horizon_days,
            model=role.model,
            snapshot=_time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            unknown_categories=self._unknown_categories(role, row),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(latency_s),
        )
        return self._encode(answer)

    def _item(self, served: Served, role: ServingModel, line: LogLine) -> BatchItem:
        is_champion = role is served.champion
        return BatchItem(
            customer_id=line.customer_id,
            probability=line.probability,
            churn=line.churn,
            unknown_categories=self._unknown_categories(role, line.features),
            threshold=msgspec.UNSET if is_champion else line.threshold,
            model=msgspec.UNSET if is_champion else role.model,
        )

    def _score(self, role: ServingModel, rows: list[Row]) -> list[float]:
        probabilities: list[float] = role.bundle.scorer.score_rows(rows).tolist()
        if not all(map(math.isfinite, probabilities)):
            self._metrics.not_finite.inc(sum(not math.isfinite(probability) for probability in probabilities))
            raise Problem(
                500, "not-finite", "The model gave no number for this; the failure was counted. No prediction was made."
            )
        return probabilities

    def _line(
        self, call: Call, role: ServingModel, item: int, customer_id: str | None, row: Row, probability: float,
        snapshot: Snapshot | None, now_s: float, latency_s: float,
    ) -> LogLine:  # fmt: skip
        return LogLine(
            request_id=call.id,
            item=item,
            answered_s=now_s,
            customer_id=customer_id,
            release=role.model.release,
            epoch=role.model.epoch,
            role=role.model.role,
            probability=probability,
            churn=role.bundle.churns(probability),
            threshold=role.bundle.manifest.threshold,
            snapshot_s=None if snapshot is None else snapshot.snapshot_s,
            features=row,
            latency_us=int(latency_s * 1_000_000),
            key_id=call.key_id,
        )

    def _log(self, lines: list[LogLine]) -> None:
        """Log before the answer: every answered prediction is in the spool, or counted as not logged."""
        if lines and not self._spool.append(encode_lines(lines)):
            self._metrics.log_dropped.labels(self._spool.drop or "disk").inc(len(lines))

    def _unknown_categories(self, role: ServingModel, row: Row) -> list[str]:
        columns = role.bundle.manifest.signature.unknown_categories(row)
        for name in columns:
            self._metrics.unknown_categories.labels(name).inc()
        return columns


def _parts(
    served: Served, asked: Sequence[tuple[str | None, Row | None]]
) -> list[tuple[ServingModel, list[tuple[int, str | None, Row]]]]:
    """A batch divided by the release that answers: position, id and row of each entry that has a row."""
    parts: dict[ServingModel, list[tuple[int, str | None, Row]]] = {role: [] for role in served.roles}
    for item, (customer_id, row) in enumerate(asked):
        if row is not None:
            parts[served.answering(customer_id)].append((item, customer_id, row))
    return list(parts.items())


def unknown_customer(snapshot: Snapshot) -> Problem:
    """The problem of a customer who is not in the snapshot; it names the snapshot, not the customer."""
    date = date_of(snapshot)
    where = ": unknown, or not at risk" if snapshot.snapshot_s is None else f" of {date}: unknown, or not at risk then"
    return Problem(
        404, "unknown-customer",
        f"This customer is not in the online features{where}. Send the attributes to POST /predict to get a prediction all the same.",
        snapshot=date,
    )  # fmt: skip


def _time_of(snapshot: Snapshot | None) -> datetime | None:
    return None if snapshot is None or snapshot.snapshot_s is None else datetime.fromtimestamp(snapshot.snapshot_s, UTC)


def _age_s(snapshot: Snapshot | None, now_s: float) -> float | None:
    return None if snapshot is None or snapshot.snapshot_s is None else round(now_s - snapshot.snapshot_s, 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
