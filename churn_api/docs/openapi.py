"""The OpenAPI document: every route, with the serving release's own columns as the typed schema of a request.

Built once per release from the same types that decode its requests, because a release may bring other columns; Litestar would
build its own once and keep it. Before the first release there is a generic document.

Belongs here: what each route takes and gives. Does not belong here: the types themselves.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import msgspec

from churn_api.http.problems import MEDIA_TYPE, ProblemDetails
from churn_api.monitoring.health import Alive, Health
from churn_api.releases.responses import ModelVersion, Release, Releases
from churn_api.releases.rollback import RollbackRequest
from churn_api.schemas.predictions import Batch, Prediction
from churn_api.schemas.requests import RequestTypes
from churn_api.schemas.validation import Validation
from churn_store.releases.bundles import Bundle

REFERENCE: Final = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Operation:
    """A route: what it is for, what it takes and gives, how it can end.

    Attributes:
        scope: that its key needs; none for a route without key.
        takes, gives: names of schemas; ``gives`` may also be a media type of text.
        csv: what the same rows are as CSV, if they may be sent so.
        problems: status and meaning.
    """

    method: str
    path: str
    summary: str
    scope: str | None
    gives: str
    takes: str | None = None
    csv: str | None = None
    problems: tuple[tuple[int, str], ...] = ()


_ANSWERS: Final = (
    (400, "The request is malformed; `errors` names the places."),
    (413, "The body is too large."),
    (503, "No release serves yet, or the online features are missing or of another model."),
)

OPERATIONS: Final = (
    Operation(
        "get", "/predict/{customer_id}", "One customer, with the newest online features", "predict", "Prediction",
        problems=((404, "The customer is not in the online features; names their date."), _ANSWERS[0], _ANSWERS[2]),
    ),
    Operation(
        "post", "/predict", "One prediction from attributes", "predict", "Prediction", "PredictRequest", problems=_ANSWERS
    ),
    Operation(
        "post", "/predict/batch", "Many at once, by customer ids or from records of attributes", "predict", "Batch",
        "BatchRequest", problems=_ANSWERS,
    ),
    Operation(
        "post", "/validate", "Whether rows fit the release, before predictions are asked for; nothing is scored or logged",
        "predict", "Validation", "ValidateRequest", problems=(*_ANSWERS[:2], (503, "No release serves yet.")),
        csv="A header line with the columns' names and, if wanted, customer_id; commas; UTF-8. An empty cell is a missing value.",
    ),
    Operation("get", "/health", "The state of the service", None, "Health"),
    Operation("get", "/health/live", "Whether the process runs", None, "Alive"),
    Operation(
        "get", "/health/ready", "Whether every prediction can be answered", None, "Health", problems=((503, "Not ready."),)
    ),
    Operation("get", "/metrics", "Metrics for Prometheus", None, "text/plain"),
    Operation(
        "get", "/model/version", "The release that serves, with its evidence", "read", "ModelVersion",
        problems=((503, "No release serves yet."),),
    ),
    Operation(
        "get", "/models", "What served from when on, who released it, and why", "read", "Releases",
        problems=((503, "The database does not answer."),),
    ),
    Operation(
        "post", "/releases/rollback", "Put the former champion back; every worker follows within about a second", "release",
        "Release", "RollbackRequest",
        problems=(
            *_ANSWERS[:2],
            (409, "Nothing to go back to, or another release was faster; nothing was changed."),
            (503, "The database or the store of release files does not answer."),
        ),
    ),
)  # fmt: skip


def document(requests: RequestTypes, bundle: Bundle) -> bytes:
    """The document of a release, as JSON."""
    manifest = bundle.manifest
    horizon = "" if manifest.horizon_days is None else f" within {manifest.horizon_days} days"
    about = (
        f"Serving release `{bundle.digest[:12]}` ({manifest.family}): the probability of churn{horizon}. "
        f"Churn: {manifest.label}. A probability of at least {manifest.threshold:g} is answered as churn."
    )
    validated = msgspec.defstruct("ValidateRequest", [("records", requests.records)], forbid_unknown_fields=True)
    return _document(about, [requests.single, requests.batch, validated])


def generic_document() -> bytes:
    """The document before the first release: the attributes are not known yet."""

    class PredictRequest(msgspec.Struct):
        """The attributes are known once a release serves."""

        attributes: dict[str, float | str | None]
        customer_id: str | None = None

    class BatchRequest(msgspec.Struct):
        """Either ids or records."""

        customer_ids: list[str] | msgspec.UnsetType = msgspec.UNSET
        records: list[PredictRequest] | msgspec.UnsetType = msgspec.UNSET

    class ValidateRequest(msgspec.Struct):
        """Records as for a batch; one that does not fit is reported and refuses nothing."""

        records: list[PredictRequest]

    return _document(
        "No release serves yet, so the attributes of a prediction are not known.",
        [PredictRequest, BatchRequest, ValidateRequest],
    )


def _document(about: str, request_types: list[type]) -> bytes:
    types = [
        *request_types, Prediction, Batch, Validation, Alive, Health, ModelVersion, Releases, RollbackRequest, Release,
        ProblemDetails,
    ]  # fmt: skip
    _, schemas = msgspec.json.schema_components(types, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Churn predictions", "version": version("churn-platform"), "description": about},
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
        }
    )


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method}{operation.path}".replace("/", "_").strip("_").replace("{", "").replace("}", ""),
        "responses": {"200": {"description": "OK", "content": _content(operation.gives)}},
    }
    if "{customer_id}" in operation.path:
        described["parameters"] = [
            {
                "name": "customer_id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 256},
                "description": "An id with a slash can't be asked here: use POST /predict/batch.",
            }
        ]  # fmt: skip
    if operation.takes:
        content = _content(operation.takes)
        if operation.csv:
            content["text/csv"] = {"schema": {"type": "string", "description": operation.csv}}
        described["requestBody"] = {"required": True, "content": content}
    problems = operation.problems
    if operation.scope:
        described["security"] = [{"key": []}, {"bearer": []}]
        described["description"] = f"Needs a key with the scope `{operation.scope}`."
        problems = (*problems, (401, "No usable key."), (403, "The key lacks the scope."))
    for status, meaning in problems:
        gives = (
            _content("Health")
            if operation.gives == "Health"
            else {MEDIA_TYPE: _content("ProblemDetails")["application/json"]}
        )
        described["responses"][str(status)] = {"description": meaning, "content": gives}
    return described


def _content(name: str) -> dict[str, Any]:
    if "/" in name:
        return {name: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=name)}}}
