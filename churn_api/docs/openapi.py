"""The OpenAPI document: Litestar's document of the ordinary routes, merged with the routes that depend on a release.

Litestar builds its document once and knows nothing of the fast lane. The routes whose inputs have a release's columns are
described here, once per release, from the same types that decode its requests. Before the first release there is a generic
document.

Belongs here: the merge, and what the routes of the fast lane take and give. Does not belong here: the types themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from churn_api.docs.ordinary import REFERENCE, operation_id, ordinary_document, problem_response_object, secure
from churn_api.http.problems import ProblemDetails
from churn_api.schemas.predictions import Batch, Prediction
from churn_api.schemas.requests import RequestTypes
from churn_store.releases.bundles import Bundle

CSV: Final = (
    "A file like the company's table of customers, read by the mapping in churn.yaml (separator, decimals, missing words, names, "
    "values), in its encoding or that of the charset. Where the service has no such mapping: a header line with the names of the "
    "release's inputs and, if wanted, customer_id; commas; UTF-8 or that of the charset; an empty cell is a missing value."
)

TAKES_CSV: Final = {"text/csv": {"schema": {"type": "string", "description": CSV}}}


@dataclass(frozen=True)
class Operation:
    """A route of the fast lane: its purpose, its request, its answer and its errors.

    Attributes:
        scope: scope that its key needs.
        takes, gives: names of the schemas of request and answer.
        takes_csv: whether the request may be CSV, too.
        problems: status and meaning of each error.
    """

    method: str
    path: str
    summary: str
    scope: str
    gives: str
    takes: str | None = None
    takes_csv: bool = False
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
        "BatchRequest", takes_csv=True,
        problems=(
            _ANSWERS[0], _ANSWERS[1], (415, "CSV is compressed, or in a charset that is not read here."), _ANSWERS[2],
        ),
    ),
)  # fmt: skip


class OpenApiDocuments:
    """Makes the document of each release.

    Attributes:
        generic: document before the first release, as JSON.
    """

    def __init__(self) -> None:
        self._ordinary: dict[str, Any] = {}
        self.generic = b""

    def take(self, app: Litestar, routes: Sequence[ControllerRouterHandler]) -> None:
        """Take Litestar's document of the ordinary routes; called once, when the application is complete."""
        self._ordinary = ordinary_document(app, routes)
        self.generic = self._merged(
            "No release serves yet, so the attributes of a prediction are not known.", _generic_types()
        )

    def of_release(self, requests: RequestTypes, bundle: Bundle) -> bytes:
        """The document of a release, as JSON."""
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
            [*request_types, Prediction, Batch, ProblemDetails], ref_template=REFERENCE
        )
        paths: dict[str, dict[str, Any]] = {}
        for operation in OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
        for path, item in self._ordinary["paths"].items():
            paths[path] = dict(item)
        rows = {**_content("ValidateRequest"), **TAKES_CSV}
        validate = paths["/validate"]["post"]
        paths["/validate"]["post"] = {**validate, "requestBody": {"required": True, "content": rows}}
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
    if "{customer_id}" in operation.path:
        described["parameters"] = [
            {
                "name": "customer_id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 256},
                "description": "An id with a slash can't be asked here: use POST /predict/batch.",
            }
        ]  # fmt: skip
    if operation.takes:
        csv = TAKES_CSV if operation.takes_csv else {}
        described["requestBody"] = {"required": True, "content": {**_content(operation.takes), **csv}}
    for status, meaning in operation.problems:
        described["responses"][str(status)] = problem_response_object(meaning)
    secure(described, operation.scope)
    return described


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=name)}}}
