"""A batch that is answered while it is scored: a line a prediction, as NDJSON or CSV.

Every row has its line, also one that can't be scored, which says where it stands and why. Belongs here: the forms of the lines.
Does not belong here: where rows come from (``predictions.file_bodies``) and how they are scored (``predictions.service``).
"""

import csv
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec

from churn_api.http.call import Call
from churn_api.http.problems import Problem
from churn_api.predictions.batch_reasons import EXPLAINED_AT_ONCE, BatchReasons
from churn_api.predictions.options import Options
from churn_api.predictions.service import Asked, Made, Predictor, place_of, time_of
from churn_api.releases.served import Served
from churn_api.schemas.predictions import StreamedPrediction
from churn_api.schemas.reasons import Reasons
from churn_api.schemas.requests import Row
from churn_store.storage.online_store import Snapshot

Form = Literal["json", "ndjson", "csv"]

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"

FORMS: Final[dict[str, str]] = {"application/json": "json", NDJSON: "ndjson", "application/jsonl": "ndjson", CSV: "csv"}
"""Forms of a batch's answer by media type; JSON, in one piece, is the default."""

ROWS_AT_ONCE: Final = 200
"""Rows that are scored, logged and sent together."""

COLUMNS: Final = (
    "item", "line", "customer_id", "probability", "churn", "risk_band", "threshold", "release", "role", "snapshot", "latency_ms",
    "arm", "treat", "error",
)  # fmt: skip
"""Columns of CSV."""


class Entry(NamedTuple):
    """A row of a batch.

    Attributes:
        line: line of CSV or row of Parquet; ``None`` where the batch was JSON.
        customer_id: its id, if it has one.
        row: the inputs, or why there are none.
    """

    line: int | None
    customer_id: str | None
    row: Row | Problem


@dataclass(frozen=True)
class Streamed:
    """The answer of one batch.

    Attributes:
        predictor: what scores and logs.
        call: the request.
        served: releases that serve.
        snapshot: snapshot of looked-up features, or ``None``.
        options: what the caller asked for beside the predictions.
        form: form of the lines.
        reasons: what explains the rows; ``None`` unless reasons were asked for.
    """

    predictor: Predictor
    call: Call
    served: Served
    snapshot: Snapshot | None
    options: Options
    form: Form
    reasons: BatchReasons | None = None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The media type, the champion, and the name of these predictions in the log."""
        media_type = NDJSON if self.form == "ndjson" else f"{CSV}; charset=utf-8; header=present"
        return (
            (b"content-type", media_type.encode()),
            self.served.champion.header,
            (b"x-prediction-id", self.call.id.encode()),
        )

    async def pieces(
        self, entries: Iterable[Entry], in_thread: Callable[[Callable[[], bytes]], Awaitable[bytes]]
    ) -> AsyncIterator[bytes]:
        """The lines, some at a time.

        Args:
            entries: rows in order; taken in a thread.
            in_thread: function that does work in a thread.
        """
        if self.form == "csv":
            yield _csv([COLUMNS])
        left, first = iter(entries), 0
        at_once = ROWS_AT_ONCE if self.reasons is None else EXPLAINED_AT_ONCE
        while piece := await in_thread(lambda: self._piece(list(islice(left, at_once)), first)):  # noqa: B023 - awaited within the round
            yield piece
            first += at_once

    def _piece(self, part: list[Entry], first: int) -> bytes:
        """The lines of rows; empty without any."""
        asked: Asked = [(one.customer_id, one.row) for one in part]
        reasons: list[Reasons | None] = [None] * len(part)
        if self.reasons is not None:
            asked, reasons = self.reasons.of(self.call, self.served, asked)
        made = self.predictor.made(self.call, self.served, asked, self.snapshot, first=first)
        latency_ms = round((time.perf_counter() - self.call.begun) * 1000, 3)
        lines = [
            self._line(first + place, entry, found, why, latency_ms)
            for place, (entry, found, why) in enumerate(zip(part, made, reasons, strict=True))
        ]
        return msgspec.json.Encoder().encode_lines(lines) if self.form == "ndjson" else _csv(map(_cells, lines))

    def _line(
        self, item: int, entry: Entry, found: Made | Problem, why: Reasons | None, latency_ms: float
    ) -> StreamedPrediction:
        line = msgspec.UNSET if entry.line is None else entry.line
        if isinstance(found, Problem):
            return StreamedPrediction(
                prediction_id=self.call.id, item=item, line=line, customer_id=entry.customer_id, error=found.details
            )
        role, logged = found
        return StreamedPrediction(
            prediction_id=self.call.id,
            item=item,
            line=line,
            customer_id=entry.customer_id,
            probability=logged.probability,
            churn=logged.churn,
            risk_band=role.bands.of(logged.probability),
            threshold=logged.threshold,
            release=logged.release,
            role=logged.role,
            snapshot=time_of(self.snapshot),
            unknown_categories=self.predictor.unknown_categories(role, logged.features),
            missing=role.bundle.manifest.signature.missing(logged.features),
            features=logged.features if self.options.features else msgspec.UNSET,
            reasons=msgspec.UNSET if why is None else why,
            latency_ms=latency_ms,
            experiment=place_of(logged, self.served.subject) or msgspec.UNSET,
        )


def _cells(line: StreamedPrediction) -> list[object]:
    told = msgspec.to_builtins(line)
    told["error"] = told["error"]["detail"] if "error" in told else None
    told |= told.pop("experiment", {})
    for name in ("churn", "treat"):
        if name in told:
            told[name] = "true" if told[name] else "false"
    return [told.get(name) for name in COLUMNS]


def _csv(lines: Iterable[Iterable[object]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return written.getvalue().encode()
