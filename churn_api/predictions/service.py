"""Predictions: scores, logs and answers what was asked, with the release that serves when the request begins.

Belongs here: the order of the steps (look up, score, decide, log, answer). Does not belong here: HTTP (``predictions.routes``),
what a body may hold (``schemas.requests``) and how a row is scored (``churn_store.model.scorer``).
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import repeat

import msgspec

from churn_api.http.call import Call
from churn_api.http.problems import INTERNAL, Problem
from churn_api.predictions.online_features import date_of
from churn_api.predictions.options import DEFAULT, Options
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import Served
from churn_api.releases.serving_model import ServingModel
from churn_api.releases.traffic_split import Assigned
from churn_api.schemas.predictions import Batch, BatchItem, Place, Prediction
from churn_api.schemas.reasons import Reasons
from churn_api.schemas.requests import Row
from churn_api.shadow.queue import ShadowQueue
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.prediction_log import LogLine, encode_lines
from churn_api.telemetry.spool import Spool
from churn_store.experiments.plan import TREATMENT, Subject
from churn_store.model.scorer import NoProbabilityError
from churn_store.redaction import shown_names
from churn_store.storage.online_store import Snapshot

Asked = Sequence[tuple[str | None, Row | Problem]]
"""Id and row of each prediction, or why there can be none."""

Made = tuple[ServingModel, LogLine]
"""The release that answered, and what was logged."""


class Predictor:
    """Answers predictions.

    Args:
        releases: source of the release that serves.
        spool: log of the predictions.
        metrics: metrics of the service.
        now_s: the platform's clock.
        shadow: what a challenger in shadow has yet to score.
    """

    def __init__(
        self, releases: ReleasePoller, spool: Spool, metrics: Metrics, now_s: Callable[[], float], shadow: ShadowQueue
    ) -> None:
        self._releases = releases
        self._shadow = shadow
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

    def answering(self, call: Call, served: Served, customer_id: str | None) -> tuple[ServingModel, Assigned | None]:
        """The release that answers one prediction of a call, and its place in an experiment."""
        role, assigned = served.answering(customer_id, call.headers)
        call.release = role.short
        return role, assigned

    def made(
        self, call: Call, served: Served, asked: Asked, snapshot: Snapshot | None, *, first: int = 0, is_whole: bool = False
    ) -> list[Made | Problem]:
        """Score and log many rows, in one call of each model. The latency of a row is without the other model's time.

        Args:
            call: the request.
            served: releases that serve.
            asked: id and row of each prediction, or the problem of what can't be scored.
            snapshot: snapshot of looked-up features, or ``None``.
            first: position of the first row among those of the request.
            is_whole: whether a row for which the model gives no probability fails them all; then none is logged.

        Returns:
            One entry for each prediction that was asked for, in order: what was logged of it, or why there is none.

        Raises:
            Problem: if the model gave no probability for one of them (500), where that fails all.
        """
        found: list[Made | Problem | None] = [None] * len(asked)
        parts: dict[ServingModel, list[tuple[int, str | None, Row, Assigned | None]]] = {role: [] for role in served.roles}
        for item, (customer_id, row) in enumerate(asked):
            if isinstance(row, Problem):
                found[item] = row
            elif lacking := self._lacking(served, row):
                found[item] = missing_feature(lacking)
            else:
                role, assigned = served.answering(customer_id, call.headers)
                parts[role].append((item, customer_id, row, assigned))
        now_s = self._now_s()
        common_s = time.perf_counter() - call.begun
        for role, part in parts.items():
            begun = time.perf_counter()
            probabilities = self._score(role, [row for _, _, row, _ in part])
            latency_s = common_s + time.perf_counter() - begun
            for (item, customer_id, row, assigned), probability in zip(part, probabilities, strict=True):
                if math.isnan(probability):
                    found[item] = no_probability()
                    continue
                line = self._line(
                    call, role, first + item, customer_id, row, probability, snapshot, now_s, latency_s, assigned
                )
                found[item] = role, line
        entries = [entry for entry in found if entry is not None]
        for entry in entries if is_whole else ():
            if isinstance(entry, Problem) and entry.status == INTERNAL:
                raise entry
        lines = [entry for entry in entries if not isinstance(entry, Problem)]
        self._log([line for _, line in lines])
        for role, line in lines:
            (role.leaves if line.churn else role.stays).inc()
            if self._shadow.is_open:
                self._shadow.put(role, line.features, line.probability, line.churn)
        return entries

    def batch(
        self, call: Call, served: Served, asked: Asked, snapshot: Snapshot | None, options: Options = DEFAULT,
        reasons: Sequence[Reasons | None] = (),
    ) -> bytes:  # fmt: skip
        """Answer many predictions in one piece.

        Args:
            call: the request.
            served: releases that serve.
            asked: id and row of each prediction, or the problem of what can't be scored.
            snapshot: snapshot of looked-up features, or ``None``.
            options: what the caller asked for beside the predictions.
            reasons: reasons of each prediction; empty unless they were asked for.

        Raises:
            Problem: if the model gave no probability for one of them (500).
        """
        entries = self.made(call, served, asked, snapshot, is_whole=True)
        now_s = self._now_s()
        items = []
        for (customer_id, _), entry, why in zip(asked, entries, reasons or repeat(None, len(asked)), strict=True):
            if not isinstance(entry, Problem):
                items.append(self._item(served, *entry, options, why))
            else:
                items.append(BatchItem(customer_id=customer_id, error=entry.details))
        answer = Batch(
            request_id=call.request_id,
            prediction_id=call.id,
            predictions=items,
            threshold=served.champion.bundle.manifest.threshold,
            horizon_days=served.champion.bundle.manifest.horizon_days,
            model=served.champion.model,
            snapshot=time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(time.perf_counter() - call.begun),
        )
        return self._encode(answer)

    def now_s(self) -> float:
        """The platform's time."""
        return self._now_s()

    def require_complete(self, role: ServingModel, row: Row) -> list[str]:
        """Refuse a row without a value that the model can't do without.

        Returns:
            Names of the columns without a value, all of which the model can do without.

        Raises:
            Problem: if it lacks one (422); names the columns.
        """
        missing = role.bundle.manifest.signature.missing(row)
        if missing and (lacking := self._required(role, missing)):
            raise missing_feature(lacking)
        return missing

    def probability(self, role: ServingModel, row: Row) -> float:
        """What a release says of a row, without a prediction: nothing is logged.

        Raises:
            Problem: if the row lacks a feature that the model can't do without (422), or the model gave no probability (500).
        """
        self.require_complete(role, row)
        return self._score_one(role, row)

    def one(
        self, call: Call, role: ServingModel, customer_id: str | None, row: Row, snapshot: Snapshot | None,
        assigned: Assigned | None, options: Options = DEFAULT, reasons: Reasons | None = None,
    ) -> bytes:  # fmt: skip
        """The encoded answer of ``prediction``."""
        return self._encode(self.prediction(call, role, customer_id, row, snapshot, assigned, options, reasons))

    def prediction(
        self, call: Call, role: ServingModel, customer_id: str | None, row: Row, snapshot: Snapshot | None,
        assigned: Assigned | None, options: Options = DEFAULT, reasons: Reasons | None = None,
    ) -> Prediction:  # fmt: skip
        """Score and log one row.

        Args:
            call: the request.
            role: release that answers.
            customer_id: id of the customer, if known.
            row: the release's inputs by name.
            snapshot: snapshot of looked-up features, or ``None``.
            assigned: its place in an experiment, if it has one.
            options: what the caller asked for beside the prediction.
            reasons: reasons of the prediction, if they were asked for.

        Raises:
            Problem: if the row lacks a feature that the model can't do without (422), or the model gave no probability (500).
        """
        missing = self.require_complete(role, row)
        probability = self._score_one(role, row)
        now_s, latency_s = self._now_s(), time.perf_counter() - call.begun
        line = self._line(call, role, 0, customer_id, row, probability, snapshot, now_s, latency_s, assigned)
        self._log([line])
        (role.leaves if line.churn else role.stays).inc()
        if self._shadow.is_open:
            self._shadow.put(role, row, probability, line.churn)
        return Prediction(
            request_id=call.request_id,
            prediction_id=call.id,
            customer_id=customer_id,
            probability=probability,
            churn=line.churn,
            risk_band=role.bands.of(probability),
            threshold=line.threshold,
            horizon_days=role.bundle.manifest.horizon_days,
            model=role.model,
            snapshot=time_of(snapshot),
            feature_age_s=_age_s(snapshot, now_s),
            unknown_categories=self.unknown_categories(role, row),
            missing=missing,
            features=row if options.features else None,
            reasons=reasons,
            experiment=None if assigned is None else place_of(line, assigned.subject),
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=_ms(latency_s),
        )

    def _item(self, served: Served, role: ServingModel, line: LogLine, options: Options, why: Reasons | None) -> BatchItem:
        is_champion = role is served.champion
        return BatchItem(
            customer_id=line.customer_id,
            probability=line.probability,
            churn=line.churn,
            risk_band=role.bands.of(line.probability),
            unknown_categories=self.unknown_categories(role, line.features),
            missing=role.bundle.manifest.signature.missing(line.features),
            features=line.features if options.features else msgspec.UNSET,
            reasons=msgspec.UNSET if why is None else why,
            threshold=msgspec.UNSET if is_champion else line.threshold,
            model=msgspec.UNSET if is_champion else role.model,
            experiment=place_of(line, served.subject) or msgspec.UNSET,
        )

    def _score(self, role: ServingModel, rows: list[Row]) -> list[float]:
        """The probabilities; not-a-number, which is counted, where the model gave none."""
        try:
            probabilities: list[float] = role.bundle.scorer.score_rows(rows).tolist()
        except NoProbabilityError as error:
            self._metrics.no_probability.labels(role.short, role.model.role).inc(error.rows)
            probabilities = error.given.tolist()
        return probabilities

    def _score_one(self, role: ServingModel, row: Row) -> float:
        """The probability of one row; that the model gave none is counted and raised (500)."""
        try:
            return role.bundle.scorer.score_row(row)
        except NoProbabilityError as error:
            self._metrics.no_probability.labels(role.short, role.model.role).inc(error.rows)
            raise no_probability() from error

    def _lacking(self, served: Served, row: Row) -> list[str]:
        """Names of the columns without a value that the releases can't do without."""
        missing = served.champion.bundle.manifest.signature.missing(row)
        return self._required(served.champion, missing) if missing else []

    def _required(self, role: ServingModel, missing: list[str]) -> list[str]:
        required = role.bundle.manifest.signature.required
        return [name for name in missing if name in required]

    def _line(
        self, call: Call, role: ServingModel, item: int, customer_id: str | None, row: Row, probability: float,
        snapshot: Snapshot | None, now_s: float, latency_s: float, assigned: Assigned | None,
    ) -> LogLine:  # fmt: skip
        experiment, arm, unit = (
            (None, None, None) if assigned is None else (assigned.experiment, assigned.arm, assigned.unit)
        )
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
            experiment=experiment,
            arm=arm,
            unit=unit,
        )

    def _log(self, lines: list[LogLine]) -> None:
        """Log before the answer: every answered prediction is in the spool, or counted as not logged."""
        if lines and not self._spool.append(encode_lines(lines)):
            self._metrics.log_dropped.labels(self._spool.drop or "disk").inc(len(lines))

    def unknown_categories(self, role: ServingModel, row: Row) -> list[str]:
        """The columns whose value training never saw, which are counted."""
        columns = role.bundle.manifest.signature.unknown_categories(row)
        for name in columns:
            self._metrics.unknown_categories.labels(name).inc()
        return columns


def place_of(line: LogLine, subject: Subject | None) -> Place | None:
    """The place of a prediction in an experiment, as its answer says it; ``None`` without one."""
    if line.experiment is None or line.arm is None:
        return None
    is_treated = line.churn and line.arm == TREATMENT
    return Place(line.experiment, line.arm, is_treated if subject == "actions" else msgspec.UNSET)


def missing_feature(names: Sequence[str]) -> Problem:
    """The problem of a row without a value that the model was not trained to do without; names the columns."""
    return Problem(
        422,
        "missing-feature",
        f"There is no value for {shown_names(list(names))}, which the serving release can't do without. No prediction was made; send the "
        "attributes to POST /predict, or look at customer_features.",
        errors=[{"path": name, "detail": "expected a value; it is missing"} for name in names],
    )


def no_probability() -> Problem:
    """The problem of a row for which the model gave no probability."""
    return Problem(
        INTERNAL,
        "no-probability",
        "The model gave no number from 0 to 1 for this; the failure was counted. No prediction was made.",
    )


def unknown_customer(snapshot: Snapshot) -> Problem:
    """The problem of a customer who is not in the snapshot; it names the snapshot, not the customer."""
    date = date_of(snapshot)
    where = ": unknown, or not at risk" if snapshot.snapshot_s is None else f" of {date}: unknown, or not at risk then"
    return Problem(
        404, "unknown-customer",
        f"This customer is not in the online features{where}. Send the attributes to POST /predict to get a prediction all the same.",
        snapshot=date,
    )  # fmt: skip


def time_of(snapshot: Snapshot | None) -> datetime | None:
    """Time T of a snapshot; ``None`` without one, or where data has no time."""
    return None if snapshot is None or snapshot.snapshot_s is None else datetime.fromtimestamp(snapshot.snapshot_s, UTC)


def _age_s(snapshot: Snapshot | None, now_s: float) -> float | None:
    return None if snapshot is None or snapshot.snapshot_s is None else round(now_s - snapshot.snapshot_s, 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
