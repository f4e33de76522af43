"""``POST /predict/batch``: ids or records in JSON, or a file of CSV or Parquet; answered in one piece, or line by line.

Belongs here: what is answered in which form. Does not belong here: anything about a prediction (``predictions.service``), reading the
rows (``predictions.batch_rows``), their reasons (``predictions.batch_reasons``) and the lines of a streamed answer
(``predictions.streamed``).
"""

from collections.abc import Iterable

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from churn_api.http.accept import preferred
from churn_api.http.body import JSON, RawResponse, Sendable, StreamedResponse, read_body
from churn_api.http.call import Call, call_of
from churn_api.http.decode_errors import malformed
from churn_api.http.file_type import file_type
from churn_api.http.lanes import fast_lane
from churn_api.predictions.batch_reasons import EXPLAINED_AT_ONCE, BatchReasons, Explained
from churn_api.predictions.batch_rows import BatchRows
from churn_api.predictions.options import Options, options_of
from churn_api.predictions.service import Asked, Predictor
from churn_api.predictions.streamed import FORMS, Entry, Streamed
from churn_api.releases.served import Served
from churn_api.schemas.reasons import Reasons

LARGE_BATCH = 200
"""Rows above which a batch is scored in a thread."""


def batch_route(predictor: Predictor, rows: BatchRows, reasons: BatchReasons) -> HTTPRouteHandler:
    """The route of batches."""

    async def explained(call: Call, served: Served, asked: Asked) -> Explained:
        """The reasons of rows, some at a time, so that other requests have their turn."""
        found = Explained([], [])
        for start in range(0, len(asked), EXPLAINED_AT_ONCE):
            part = asked[start : start + EXPLAINED_AT_ONCE]
            found = found.and_more(await rows.in_thread(lambda: reasons.of(call, served, part)))  # noqa: B023 - awaited within the round
        return found

    @post("/predict/batch", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_batch(scope: Scope) -> Sendable:
        call, form = call_of(scope), preferred(scope, FORMS)
        options = options_of(scope, "explain", "features", "use_cache")
        if form == "csv":
            refuse_for_csv(options)
        body = await read_body(scope, call.receive, at_most=rows.settings.max_batch_body_bytes)
        served = predictor.serving(call)
        kind, snapshot = file_type(scope), None
        if options.explain:
            await rows.in_thread(lambda: reasons.require_explained(served))
        entries: Iterable[Entry]
        asked: Asked = []
        if kind is not None and form != "json":
            entries = await rows.streamed_file(served, body, kind)
        else:
            if kind is not None:
                asked = await rows.whole_file(served, body, kind)
            else:
                asked, snapshot = await rows.of_json(served, body, options)
            entries = (Entry(None, customer_id, row) for customer_id, row in asked)
        if options.explain:
            all_entries = entries
            entries = await rows.in_thread(lambda: reasons.few(all_entries))
        if form != "json":
            streamed = Streamed(
                predictor, call, served, snapshot, options, "csv" if form == "csv" else "ndjson",
                reasons if options.explain else None,
            )  # fmt: skip
            return StreamedResponse(streamed.pieces(entries, rows.in_thread), call.receive, *streamed.headers)
        found: list[Reasons | None] = []
        if options.explain:
            asked, found = await explained(call, served, asked)
        answer = await rows.aside(
            len(asked) > LARGE_BATCH, lambda: predictor.batch(call, served, asked, snapshot, options, found)
        )
        return RawResponse(answer, JSON, served.champion.header)

    return predict_batch


def refuse_for_csv(options: Options) -> None:
    """Refuse what a line of CSV has no room for.

    Raises:
        Problem: if reasons or features are asked for (400).
    """
    for name, is_asked in (("explain", options.explain), ("features", options.features)):
        if is_asked:
            raise malformed(name, f"{name}=true is answered as application/json or application/x-ndjson, not as text/csv")
