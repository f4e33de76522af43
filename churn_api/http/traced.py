"""Litestar's OpenTelemetry middleware around the routes of the ordinary lane.

It runs inside of the request pipeline, so the fast lane does not pass it; requests that the pipeline answers have the pipeline's span. Imported
only where a collector is configured. Does not belong here: what of a span leaves (``telemetry.spans``).
"""

from collections.abc import Callable
from typing import Any

from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryInstrumentationMiddleware
from litestar.types import ASGIApp, Scope
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import Span

from churn_api.http.call import known_call
from churn_api.telemetry.spans import REQUEST_ID, Tracing


def traced(tracing: Tracing) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware: one span a request, none for the parts of its body.

    It is a function: Litestar puts the class itself around the whole application, where the fast lane would pay for it and no route is known.
    """
    config = OpenTelemetryConfig(
        scope_span_details_extractor=_details,
        server_request_hook_handler=_note_request,
        tracer_provider=tracing.provider,
        meter_provider=NoOpMeterProvider(),
        exclude_spans=["receive", "send"],
    )

    def around(app: ASGIApp) -> ASGIApp:
        return OpenTelemetryInstrumentationMiddleware(app, config)

    return around


def _details(scope: Scope) -> tuple[str, dict[str, Any]]:
    route = scope["path_template"]
    return f"{scope['method']} {route}", {"http.route": route}  # type: ignore[typeddict-item]


def _note_request(span: Span, scope: dict[str, Any]) -> None:
    call = known_call(scope)  # type: ignore[arg-type]
    if call is not None:
        span.set_attribute(REQUEST_ID, call.id)
