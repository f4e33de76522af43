"""The validation route: reads rows as JSON or CSV, checks them against the release that serves, and sends the findings.

Nothing is scored, logged as a prediction or counted as one. Belongs here: the address, the limits and the thread. Does not belong
here: any rule (``validation.explain``).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from litestar import Controller, Response, post
from litestar.types import Scope

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.file_type import CsvType, csv_type
from churn_api.http.lanes import asks
from churn_api.http.problems import problem_spec
from churn_api.predictions.file_bodies import FileBodies
from churn_api.predictions.file_rows import records_of
from churn_api.predictions.service import Predictor
from churn_api.releases.served import Served
from churn_api.schemas.validation import Validation
from churn_api.settings import ServiceSettings
from churn_api.validation.explain import validate
from churn_api.validation.parsing import csv_records, json_records


def validation_controller(settings: ServiceSettings, bodies: FileBodies) -> type[Controller]:
    """The route with the limits of a batch.

    Args:
        settings: settings with the limits.
        bodies: reader of CSV.
    """

    class ValidationController(Controller):
        """Whether rows fit the release that serves."""

        request_max_body_size = settings.max_batch_body_bytes

        @post(
            "/validate",
            opt=asks("predict"),
            status_code=OK,
            summary="Whether rows fit the release, before predictions are asked for; nothing is scored or logged",
            responses={
                415: problem_spec("CSV is compressed, or in a charset that is not read here."),
                503: problem_spec("No release serves yet."),
            },
        )
        async def validate_rows(
            self, body: bytes, scope: Scope, call: Call, predictor: Predictor, threads: ThreadPoolExecutor
        ) -> Response[Validation]:
            """Take the raw bytes, so that each record is judged by itself, even one with a name twice."""
            served = predictor.serving(call)
            work = partial(_validated, body, csv_type(scope), served, call.request_id, settings.max_batch, bodies)
            # in a thread, because even a small body can hold many wrong rows
            validation = await asyncio.get_running_loop().run_in_executor(threads, work)
            name, value = served.champion.header
            return Response(validation, headers={name.decode(): value.decode()})

    return ValidationController


def _validated(
    body: bytes, kind: CsvType | None, served: Served, request_id: str, max_records: int, bodies: FileBodies
) -> Validation:
    signature = served.champion.bundle.manifest.signature
    if kind is None:
        records = json_records(max_records)(body)
    elif bodies.mapping is None:
        records = csv_records(body, signature, encoding=kind.encoding or "utf-8", max_records=max_records)
    else:
        records = records_of(bodies.rows(body, kind, signature, release=served.champion.short))
    return validate(
        records,
        served.requests,
        signature,
        served.reference,
        release=served.champion.model.release,
        request_id=request_id,
    )
