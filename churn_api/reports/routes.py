"""The graph's reports: ``GET /reports`` lists them, ``GET /reports/{name}`` shows one, for keys with the scope ``read``.

A page is a file of the release store that a row of ``reports`` names, and it is verified before each answer: no other file of the store
is ever sent. Belongs here: HTTP. Does not belong here: what a report is (``churn_store.reports``).
"""

import asyncio
import logging
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa
from litestar import Controller, MediaType, Request, Response, get
from litestar.params import Parameter

from churn_api.http.asking import asked
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.poller import ReleasePoller
from churn_api.telemetry.json_log import say
from churn_store.errors import ReleaseError, StoreAwayError
from churn_store.reports import ENDING, MADE_BY, NAMES, Report, ReportFile, address_of, find, newest, published

SHOWN: Final = 100
"""Most reports in the list, newest first."""

SHOWN_DIGITS: Final = 12

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""A page of ours: no script, nothing from another host, and in its frame only what this service sends."""

DRAWING_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""The drawing in a frame: its own scripts run, in a sandbox without this service's origin, also where it is opened by itself."""

_DIGEST: Final = re.compile(rf"([0-9a-f]{{64}}){re.escape(ENDING)}").fullmatch


class ReportEntry(msgspec.Struct, kw_only=True):
    """A published report.

    Attributes:
        verdict: the platform's own verdict, in one sentence.
        snapshot: snapshot that it is about; null where it is about no single one.
        release: digest of the release that it is about; null where it is about none.
        newest: whether it is the newest of its name.
        address: where the page stays for ever; ``/reports/{name}`` is the newest one.
    """

    name: str
    title: str
    verdict: str
    snapshot: str | None
    release: str | None
    created: datetime
    bytes: int
    newest: bool
    address: str


class ReportEntries(msgspec.Struct, kw_only=True):
    """The reports, newest first."""

    reports: list[ReportEntry]


class ReportController(Controller):
    """Model card, backtest and drift, as pages."""

    path = "/reports"
    opt = needs("read")

    @get(
        "/",
        summary="The reports that the graph has published",
        responses={503: problem_spec("The database does not answer.")},
    )
    async def entries(self, engine: sa.Engine) -> ReportEntries:
        """Newest first."""
        found = await asked(lambda: published(engine, limit=SHOWN))
        seen: set[str] = set()
        return ReportEntries(reports=[_entry(report, seen) for report in found])

    @get(
        "/{report:str}",
        summary="The newest report of a name, or one by its digest",
        media_type=MediaType.HTML,
        responses={
            404: problem_spec("There is no such report."),
            502: problem_spec("Its file is missing or was changed."),
            503: problem_spec("The database or the store of files does not answer."),
        },
    )
    async def page(
        self,
        report: Annotated[str, Parameter(description="`card`, `backtest` or `drift`; or a sha256 and `.html`")],
        request: Request[Any, Any, Any],
        engine: sa.Engine,
        releases: ReleasePoller,
    ) -> Response[bytes]:
        """A page for people. By name it may change, by digest never."""
        file = await asked(lambda: _file_of(engine, report))
        if file is None:
            raise Problem(404, "no-report", _none_in_words(report))
        headers = {
            "etag": f'"{file.digest}"',
            "cache-control": "private, no-cache" if report in NAMES else "private, max-age=31536000, immutable",
            "content-security-policy": DRAWING_POLICY if file.is_drawing else PAGE_POLICY,
        }
        if _known(request.headers.get("if-none-match", ""), file.digest):
            return Response(b"", status_code=304, media_type=MediaType.HTML, headers=headers)
        try:
            content = await asyncio.to_thread(lambda: file.read(releases.store()))
        except ReleaseError as error:
            say("report_broken", logging.ERROR, report=file.report.name, digest=file.digest, error=str(error))
            raise Problem(
                502,
                "report-broken",
                f"File {file.digest[:SHOWN_DIGITS]} of the report {file.report.name} is missing or was changed; put it back, or "
                f"materialize {MADE_BY[file.report.name]} again.",
            ) from error
        except StoreAwayError as error:
            raise Problem(503, "store-away", "The store of the reports does not answer; try again.") from error
        return Response(content, media_type=MediaType.HTML, headers=headers)


def _file_of(engine: sa.Engine, named: str) -> ReportFile | None:
    if named in NAMES:
        report = newest(engine, named)
        return None if report is None else ReportFile(report)
    by_digest = _DIGEST(named)
    return None if by_digest is None else find(engine, by_digest[1])


def _none_in_words(named: str) -> str:
    if named in NAMES:
        return f"No report {named} was published yet; materialize the asset {MADE_BY[named]}."
    return f"There is no such report; expected {', '.join(NAMES)}, or an address that /reports lists."


def _known(if_none_match: str, digest: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or f'"{digest}"' in tags


def _entry(report: Report, seen: set[str]) -> ReportEntry:
    is_newest = report.name not in seen
    seen.add(report.name)
    return ReportEntry(
        name=report.name,
        title=report.title,
        verdict=report.verdict,
        snapshot=report.snapshot,
        release=report.release,
        created=datetime.fromtimestamp(report.created_s, UTC),
        bytes=report.size + report.drawing_size,
        newest=is_newest,
        address=f"/reports/{address_of(report.digest)}",
    )
