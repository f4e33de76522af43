"""The route of validations: read rows as JSON or CSV, hold them against the release that serves, send what was found.

Belongs here: the address, the limits and the thread. Does not belong here: any rule (``validation.explain``). Nothing is
scored, logged as a prediction or counted as one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from churn_api.http.body import JSON, Answer, read_body
from churn_api.http.middleware import Call, call_of, needs
from churn_api.releases.served import Served
from churn_api.settings import ServiceSettings
from churn_api.validation.explain import validate
from churn_api.validation.parsing import csv_records, json_records


def validation_routes(
    serving: Callable[[Call], Served], threads: Executor, settings: ServiceSettings
) -> list[HTTPRouteHandler]:
    """``POST /validate``.

    Args:
        serving: the release that answers a call; raises ``Problem`` if there is none.
        threads: every validation runs there, because a small body can hold many wrong rows.
        settings: the limits of a batch.
    """
    decode_json = json_records(settings.max_batch)
    encode = msgspec.json.Encoder().encode

    def validated(body: bytes, is_csv: bool, served: Served, call: Call) -> bytes:
        signature = served.champion.bundle.manifest.signature
        records = csv_records(body, signature, max_records=settings.max_batch) if is_csv else decode_json(body)
        return encode(
            validate(
                records,
                served.requests,
                signature,
                served.reference,
                release=served.champion.model.release,
                request_id=call.request_id,
            )
        )

    @post("/validate", opt=needs("predict"))
    async def validate_rows(scope: Scope) -> Answer:
        call = call_of(scope)
        body = await read_body(scope, call.receive, at_most=settings.max_batch_body_bytes)
        served = serving(call)
        answer = await asyncio.get_running_loop().run_in_executor(
            threads, lambda: validated(body, _is_csv(scope), served, call)
        )
        return Answer(answer, JSON, served.champion.header)

    return [validate_rows]


def _is_csv(scope: Scope) -> bool:
    return any(
        name == b"content-type" and value.partition(b";")[0].strip().lower() == b"text/csv"
        for name, value in scope["headers"]
    )
