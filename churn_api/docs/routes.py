"""``GET /docs`` for people, ``GET /docs/openapi.json`` for programs; no key needed, nothing fetched from elsewhere."""

import asyncio
from importlib.resources import files
from typing import Final

from litestar import Controller, MediaType, Response, get

from churn_api.docs.openapi import OpenApiDocuments
from churn_api.http.lanes import PUBLIC
from churn_api.releases.poller import ReleasePoller

PAGE: Final = files("churn_api.docs").joinpath("page.html").read_bytes()
NOTHING_FROM_ELSEWHERE: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class DocsController(Controller):
    """The page, and the document of the release that serves."""

    opt = PUBLIC
    include_in_schema = False

    @get("/docs")
    async def page(self) -> Response[bytes]:
        """The page for people."""
        return Response(PAGE, media_type=MediaType.HTML, headers={"content-security-policy": NOTHING_FROM_ELSEWHERE})

    @get("/docs/openapi.json")
    async def document(self, releases: ReleasePoller, documents: OpenApiDocuments) -> Response[bytes]:
        """The document for programs."""
        content = await asyncio.to_thread(documents.of, releases.current)
        return Response(content, media_type=MediaType.JSON)
