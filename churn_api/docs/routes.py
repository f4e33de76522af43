"""``GET /docs`` for people, ``GET /docs/openapi.json`` for programs; no key needed, nothing fetched from elsewhere."""

from importlib.resources import files

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from churn_api.docs.openapi import generic_document
from churn_api.http.body import JSON, Answer
from churn_api.http.middleware import PUBLIC
from churn_api.releases.poller import ReleasePoller

HTML = (b"content-type", b"text/html; charset=utf-8")
NOTHING_FROM_ELSEWHERE = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; "
                          b"script-src 'unsafe-inline'; connect-src 'self'")  # fmt: skip


def docs_routes(poller: ReleasePoller) -> list[HTTPRouteHandler]:
    """The page and the document of the release that serves."""
    page = files("churn_api.docs").joinpath("page.html").read_bytes()
    before_a_release = generic_document()

    @get("/docs", opt=PUBLIC)
    async def docs(scope: Scope) -> Answer:  # noqa: ARG001
        return Answer(page, HTML, NOTHING_FROM_ELSEWHERE)

    @get("/docs/openapi.json", opt=PUBLIC)
    async def openapi(scope: Scope) -> Answer:  # noqa: ARG001
        return Answer(before_a_release if poller.current is None else poller.current.openapi, JSON)

    return [docs, openapi]
