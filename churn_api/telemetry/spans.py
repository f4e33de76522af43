"""Traces: one span a request, handed to an OpenTelemetry collector by a thread, and to nobody while the collector is away.

A span says route, method, status, release and the id made here; nothing else leaves, whatever a library or a caller put into it. This module
imports OpenTelemetry, so it is imported only where a collector is configured (``service.otel_endpoint``). Does not belong here: which
requests have a span (``http.middleware``, ``http.traced``).
"""

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from churn_api.telemetry.json_log import say
from churn_api.telemetry.metrics import Metrics

REQUEST_ID: Final = "churn.request_id"
RELEASE: Final = "churn.release"

KEPT: Final = {
    "http.method": "http.request.method",
    "http.request.method": "http.request.method",
    "http.route": "http.route",
    "http.status_code": "http.response.status_code",
    "http.response.status_code": "http.response.status_code",
    REQUEST_ID: REQUEST_ID,
    RELEASE: RELEASE,
}
"""Attributes that leave the process, and their name there."""

MOST_SPANS: Final = 8_192
"""Most spans that wait; about 2 KB each."""

SPANS_AT_ONCE: Final = 512
EVERY_S: Final = 0.5

SEND_S: Final = 2.0
"""Time in which the collector must have taken spans, with all repetitions."""

END_S: Final = 3.0
"""Time for the last spans at the end of the process."""

SAID_EVERY_S: Final = 60.0

FAILED_FROM: Final = 500

_TRACEPARENT: Final = b"traceparent"
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_LOW_BITS: Final = 2**64 - 1
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tracing:
    """The spans of one process.

    Args:
        endpoint: address of the collector, to which ``/v1/traces`` is added.
        share: share of the requests with a span, unless the caller's trace says whether.
        worker: number of this process among those that serve one port.
        metrics: metrics that count spans.
        exporter: exporter of the spans; default: OTLP over HTTP.

    Attributes:
        provider: source of tracers for libraries that make spans of their own.
    """

    def __init__(
        self, endpoint: str, share: float, worker: int, metrics: Metrics, *, exporter: SpanExporter | None = None
    ) -> None:
        # Its loggers repeat addresses and errors, with each attempt; what happens is said here, once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._resource = Resource(
            {
                "service.name": "churn-api",
                "service.version": version("churn-platform"),
                "service.instance.id": str(uuid.uuid4()),
                "churn.worker": worker,
            }
        )
        self._exporter = exporter or _otlp(endpoint)
        self._collector = urlsplit(endpoint).netloc
        self._below = round(share * 2**64)
        self._scope = InstrumentationScope("churn_api", version("churn-platform"))
        self._waiting: deque[ReadableSpan] = deque()
        self._exported = metrics.spans.labels("exported")
        self._dropped = metrics.spans.labels("dropped")
        self._lost = metrics.spans.labels("lost")
        self._lost_unsaid = 0
        self._not_before = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self.provider = TracerProvider(
            resource=self._resource, sampler=ParentBased(TraceIdRatioBased(share)), shutdown_on_exit=False
        )
        self.provider.add_span_processor(_Cleaned(self))

    def start(self) -> None:
        """Begin to hand spans over."""
        self._thread.start()

    def stop(self) -> None:
        """Hand over what waits, and end, within ``END_S``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(END_S)
        self._exporter.shutdown()

    def record(
        self, *, method: str, route: str, status: int, request_id: str, release: str | None, seconds: float,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:  # fmt: skip
        """Make the span of a request that has just been answered, in the trace of its caller.

        Args:
            method: its method.
            route: template of its address.
            status: status of the answer.
            request_id: id made here.
            release: release that answered, by the first digits of its digest; ``None`` if none did.
            seconds: time that it took.
            headers: its headers.
        """
        parent = _parent_of(headers)
        if parent is None:
            trace_id = random.getrandbits(128) or 1
            if trace_id & _LOW_BITS >= self._below:
                return
        elif not parent.trace_flags.sampled:
            return
        else:
            trace_id = parent.trace_id
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            REQUEST_ID: request_id,
        }
        if release is not None:
            attributes[RELEASE] = release
        ended = time.time_ns()
        self.put(
            ReadableSpan(
                name=f"{method} {route}",
                context=SpanContext(trace_id, random.getrandbits(64) or 1, is_remote=False, trace_flags=_SAMPLED),
                parent=parent,
                resource=self._resource,
                attributes=attributes,
                kind=SpanKind.SERVER,
                instrumentation_scope=self._scope,
                status=_ERROR if status >= FAILED_FROM else _UNSET,
                start_time=ended - int(seconds * 1e9),
                end_time=ended,
            )
        )

    def put(self, span: ReadableSpan) -> None:
        """Queue a span of which everything may leave the process, or count it as dropped."""
        if len(self._waiting) < MOST_SPANS:
            self._waiting.append(span)
        else:
            self._dropped.inc()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._send()
        self._send()

    def _send(self) -> None:
        """Hand over what waits, until the collector does not take something."""
        while self._waiting:
            spans = [self._waiting.popleft() for _ in range(min(len(self._waiting), SPANS_AT_ONCE))]
            try:
                taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
            except Exception:  # the exporter's own; it must not end the thread
                taken = False
            if not taken:
                self._lost.inc(len(spans))
                self._say_lost(len(spans))
                return
            self._exported.inc(len(spans))

    def _say_lost(self, spans: int) -> None:
        self._lost_unsaid += spans
        if time.monotonic() < self._not_before:
            return
        say("traces_not_exported", logging.WARNING, collector=self._collector, spans=self._lost_unsaid)
        self._lost_unsaid = 0
        self._not_before = time.monotonic() + SAID_EVERY_S


class _Cleaned(SpanProcessor):
    """Takes the spans that a library has made, and lets of them pass what ``KEPT`` names: no events, no messages, no state of the caller."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span without what may not leave."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        given: Mapping[str, object] = span.attributes or {}
        attributes = {KEPT[name]: value for name, value in given.items() if name in KEPT}
        self._tracing.put(
            ReadableSpan(
                name=f"{attributes.get('http.request.method', '')} {attributes.get('http.route', '')}".strip(),
                context=_plain(context, is_remote=False),
                parent=None if span.parent is None else _plain(span.parent, is_remote=span.parent.is_remote),
                resource=span.resource,
                attributes=attributes,  # type: ignore[arg-type]  # as they came
                kind=span.kind,
                instrumentation_scope=span.instrumentation_scope,
                status=Status(span.status.status_code),
                start_time=span.start_time,
                end_time=span.end_time,
            )
        )


_ERROR: Final = Status(StatusCode.ERROR)
_UNSET: Final = Status(StatusCode.UNSET)


def _plain(context: SpanContext, *, is_remote: bool) -> SpanContext:
    """A context without the state that the caller sent."""
    return SpanContext(context.trace_id, context.span_id, is_remote=is_remote, trace_flags=context.trace_flags)


def _parent_of(headers: Iterable[tuple[bytes, bytes]]) -> SpanContext | None:
    """The caller's span; ``None`` without one, or with one that can't be read."""
    for name, value in headers:
        if name == _TRACEPARENT:
            sent = _PROPAGATOR.extract({"traceparent": value.decode("latin-1")}, Context())
            context = get_current_span(sent).get_span_context()
            return context if context.is_valid else None
    return None


def _otlp(endpoint: str) -> SpanExporter:
    session = requests.Session()
    session.trust_env = False  # no proxy, and no password of a .netrc: spans go to the configured address
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_S, session=session)
