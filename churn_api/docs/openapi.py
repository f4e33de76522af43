"""The OpenAPI document: Litestar's document of the ordinary routes, merged with the routes that depend on a release.

Litestar builds its document once and knows nothing of the fast lane. The routes whose inputs have a release's columns are
described here, at the first question after a swap, from the same types that decode its requests. Before the first release there is a generic
document.

Belongs here: the merge, and what the routes of the fast lane take and give. Does not belong here: the types themselves.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from churn_api.docs.ordinary import REFERENCE, operation_id, ordinary_document, problem_response_object, secure
from churn_api.http.file_type import PARQUET
from churn_api.http.problems import ProblemDetails
from churn_api.open_inference.tensors import InferAnswer, InferBody
from churn_api.predictions.options import DESCRIPTIONS
from churn_api.predictions.streamed import COLUMNS, NDJSON
from churn_api.predictions.streamed import CSV as CSV_LINES
from churn_api.releases.decision_routes import ApproveRequest, ArmsRequest, RejectRequest
from churn_api.releases.rollback import RollbackRequest
from churn_api.releases.served import Served
from churn_api.schemas.outcomes import OutcomeRecord
from churn_api.schemas.predictions import Batch, Prediction, StreamedPrediction
from churn_api.schemas.surveys import SurveySubmission
from churn_api.schemas.treatments import TreatmentRecord

CSV: Final = (
    "A file like the company's table of customers, read by the mapping in churn.yaml (separator, decimals, missing words, names, "
    "values), in its encoding or that of the charset. Where the service has no such mapping: a header line with the names of the "
    "release's inputs and, if wanted, customer_id; commas; UTF-8 or that of the charset; an empty cell is a missing value."
)

TAKES_CSV: Final = {"text/csv": {"schema": {"type": "string", "description": CSV}}}

TAKES_FILES: Final = {
    **TAKES_CSV,
    PARQUET[0]: {
        "schema": {
            "type": "string",
            "contentMediaType": PARQUET[0],
            "description": "A file like CSV's, with the same columns in their own types; null is a missing value.",
        }
    },
}

STREAMS: Final[dict[str, Any]] = {
    NDJSON: {"schema": {"$ref": REFERENCE.format(name="StreamedPrediction")}},
    CSV_LINES: {
        "schema": {"type": "string", "description": f"A header line with {', '.join(COLUMNS)}, then a line a row."}
    },
}


IN_PATH: Final[dict[str, dict[str, Any]]] = {
    "customer_id": {
        "name": "customer_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\x00-\\x1f\\x7f/]+$"},
        "description": "An id with a slash can't be asked here: use POST /predict/batch.",
    },
    "version": {
        "name": "version", "in": "path", "required": True, "schema": {"type": "string"},
        "description": "The epoch that serves; another one is 404.",
    },
}  # fmt: skip
"""Parameters of addresses by name."""

BINARY: Final[dict[str, Any]] = {
    "application/octet-stream": {
        "schema": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "JSON as in application/json, whose bytes Inference-Header-Content-Length counts, then the bytes of the tensors.",
        }
    }
}

_INFER_PROBLEMS: Final = (
    (400, "The request is malformed; `errors` and `error` name the places."),
    (413, "The body is too large."),
    (415, "The body is compressed."),
    (503, "No release serves yet."),
)


OUTCOMES_IN_CSV: Final = {
    "type": "string",
    "description": "A header line with some of customer_id, churned, snapshot, occurred and idempotency_key, the first two needed; "
    "commas; UTF-8 or the charset's encoding; churned is true, false, yes, no, 1 or 0; an empty cell says nothing.",
}


TREATMENTS_IN_CSV: Final = {
    "type": "string",
    "description": "A header line with some of customer_id, assigned, channel, offer, treated, propensity and idempotency_key, the first two "
    "needed; commas; UTF-8 or the charset's encoding; treated is true, false, yes, no, 1 or 0, and true where it is empty; an empty cell says "
    "nothing.",
}


class OutcomeBatch(msgspec.Struct):
    """Outcomes of several customers: all of them are saved, or none."""

    outcomes: Annotated[list[OutcomeRecord], msgspec.Meta(min_length=1)]


class TreatmentBatch(msgspec.Struct):
    """Treatments of several customers: all of them are saved, or none."""

    treatments: Annotated[list[TreatmentRecord], msgspec.Meta(min_length=1)]


BODIES: Final = (
    OutcomeRecord,
    TreatmentRecord,
    ApproveRequest,
    RejectRequest,
    ArmsRequest,
    RollbackRequest,
    SurveySubmission,
)
"""Bodies of ordinary routes, described by msgspec: Litestar leaves out open bounds, and puts bounds beside the alternative of null."""


@dataclass(frozen=True)
class Operation:
    """A route of the fast lane: its purpose, its request, its answer and its errors.

    Attributes:
        scope: scope that its key needs.
        takes, gives: names of the schemas of request and answer.
        parameters: names of its query parameters.
        takes_files: whether the request may be a file, too, and the answer be streamed.
        takes_tensors: whether request and answer may hold binary tensors.
        problems: status and meaning of each error.
    """

    method: str
    path: str
    summary: str
    scope: str
    gives: str
    takes: str | None = None
    parameters: tuple[str, ...] = ()
    takes_files: bool = False
    takes_tensors: bool = False
    problems: tuple[tuple[int, str], ...] = ()


_ANSWERS: Final = (
    (400, "The request is malformed; `errors` names the places."),
    (413, "The body is too large."),
    (503, "No release serves yet, or the online features are missing or of another model."),
)

OPERATIONS: Final = (
    Operation(
        "get", "/predict/{customer_id}", "One customer, with the newest online features", "predict", "Prediction",
        parameters=("explain", "features", "use_cache"),
        problems=(
            (404, "The customer is not in the online features; names their date."), _ANSWERS[0],
            (422, "The customer lacks a feature that the release can't do without; names it."), _ANSWERS[2],
        ),
    ),
    Operation(
        "post", "/predict", "One prediction from attributes", "predict", "Prediction", "PredictRequest",
        parameters=("explain", "features"), problems=_ANSWERS,
    ),
    Operation(
        "post", "/predict/batch", "Many at once, by customer ids, from records of attributes or from a file", "predict", "Batch",
        "BatchRequest", parameters=("explain", "features", "use_cache"), takes_files=True,
        problems=(
            _ANSWERS[0], _ANSWERS[1], (415, "CSV is compressed, or in a charset that is not read here."), _ANSWERS[2],
        ),
    ),
    Operation(
        "post", "/v2/models/churn/infer", "Many at once as tensors, by the Open Inference Protocol V2", "predict", "InferAnswer",
        "InferBody", takes_tensors=True, problems=_INFER_PROBLEMS,
    ),
    Operation(
        "post", "/v2/models/churn/versions/{version}/infer", "The same, only while an epoch serves", "predict", "InferAnswer",
        "InferBody", takes_tensors=True, problems=(*_INFER_PROBLEMS, (404, "Another epoch serves.")),
    ),
)  # fmt: skip


class OpenApiDocuments:
    """Makes the document of each release when it is first asked for, which takes a good part of a second."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._parts: tuple[Litestar, Sequence[ControllerRouterHandler]] | None = None
        self._ordinary: dict[str, Any] = {}
        self._made: tuple[str | None, bytes] | None = None

    def take(self, app: Litestar, routes: Sequence[ControllerRouterHandler]) -> None:
        """Take the complete application, and the controllers of its ordinary routes."""
        self._parts = app, routes

    def of(self, served: Served | None) -> bytes:
        """The document of what serves, as JSON; before the first release, a generic one. For a thread beside the event loop."""
        digest = None if served is None else served.champion.bundle.digest
        with self._making:
            if self._made is None or self._made[0] != digest:
                if not self._ordinary and self._parts is not None:
                    self._ordinary = ordinary_document(*self._parts)
                self._made = digest, self._generic() if served is None else self._of_release(served)
            return self._made[1]

    def _generic(self) -> bytes:
        return self._merged("No release serves yet, so the attributes of a prediction are not known.", _generic_types())

    def _of_release(self, served: Served) -> bytes:
        requests, bundle = served.requests, served.champion.bundle
        manifest = bundle.manifest
        horizon = "" if manifest.horizon_days is None else f" within {manifest.horizon_days} days"
        about = (
            f"Serving release `{bundle.digest[:12]}` ({manifest.family}): the probability of churn{horizon}. "
            f"Churn: {manifest.label}. A probability of at least {manifest.threshold:g} is answered as churn."
        )
        validated = msgspec.defstruct("ValidateRequest", [("records", requests.records)], forbid_unknown_fields=True)
        return self._merged(about, [requests.single, requests.batch, validated])

    def _merged(self, about: str, request_types: list[type]) -> bytes:
        _, schemas = msgspec.json.schema_components(
            [
                *request_types,
                *BODIES,
                OutcomeBatch,
                TreatmentBatch,
                Prediction,
                Batch,
                StreamedPrediction,
                InferBody,
                InferAnswer,
                ProblemDetails,
            ],
            ref_template=REFERENCE,
        )
        schemas["BatchRequest"]["oneOf"] = [
            {"properties": {name: {}}, "required": [name]} for name in ("customer_ids", "records")
        ]
        paths: dict[str, dict[str, Any]] = {}
        for operation in OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
        for path, item in self._ordinary["paths"].items():
            paths[path] = {method: _with_ids(operation) for method, operation in item.items()}
        rows = {**_content("ValidateRequest"), **TAKES_CSV}
        validate = paths["/validate"]["post"]
        paths["/validate"]["post"] = {**validate, "requestBody": {"required": True, "content": rows}}
        for path, names, in_csv in (
            ("/outcomes", ("OutcomeRecord", "OutcomeBatch"), OUTCOMES_IN_CSV),
            ("/treatments", ("TreatmentRecord", "TreatmentBatch"), TREATMENTS_IN_CSV),
        ):
            content = {**_one_or_many(*names), "text/csv": {"schema": in_csv}}
            paths[path]["post"] = {**paths[path]["post"], "requestBody": {"required": True, "content": content}}
        return msgspec.json.encode(
            {
                "openapi": self._ordinary["openapi"],
                "info": {**self._ordinary["info"], "description": about},
                "paths": paths,
                "components": {
                    "schemas": {**self._ordinary["components"]["schemas"], **schemas},
                    "securitySchemes": {
                        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                        "bearer": {"type": "http", "scheme": "bearer"},
                    },
                },
            }
        )


def _with_ids(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation whose customer in the address is described as in the fast lane."""
    in_path = IN_PATH["customer_id"]
    parameters = [
        in_path if (one["name"], one["in"]) == ("customer_id", "path") else one for one in operation.get("parameters", ())
    ]
    return {**operation, "parameters": parameters} if parameters else operation


def _generic_types() -> list[type]:
    """The bodies before the first release: the attributes are not known yet."""

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

    return [PredictRequest, BatchRequest, ValidateRequest]


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation_id(operation.method, operation.path),
        "responses": {"200": {"description": "OK", "content": _content(operation.gives)}},
    }
    in_path = [IN_PATH[name] for name in IN_PATH if f"{{{name}}}" in operation.path]
    in_query = [
        {"name": name, "in": "query", "schema": {"type": "boolean"}, "description": DESCRIPTIONS[name]}
        for name in operation.parameters
    ]
    if in_path or in_query:
        described["parameters"] = [*in_path, *in_query]
    if operation.takes:
        files = TAKES_FILES if operation.takes_files else {}
        described["requestBody"] = {"required": True, "content": {**_content(operation.takes), **files}}
    if operation.takes_tensors:
        described["requestBody"]["content"].update(BINARY)
        described["responses"]["200"]["content"].update(BINARY)
    if operation.takes_files:
        described["responses"]["200"]["content"].update(STREAMS)
    for status, meaning in operation.problems:
        described["responses"][str(status)] = problem_response_object(meaning)
    secure(described, operation.scope)
    return described


def _one_or_many(one: str, many: str) -> dict[str, Any]:
    either = [{"$ref": REFERENCE.format(name=name)} for name in (one, many)]
    return {"application/json": {"schema": {"anyOf": either}}}


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=name)}}}
