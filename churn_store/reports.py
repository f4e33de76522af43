"""Reports: the pages that the graph makes for people, as immutable files, and the append-only table that names them.

The files are stored first and the row last, so that a process that dies in between leaves only files that nobody names. Only a file
that a row names is ever handed out as a report: the same store holds files with customer data. Belongs here: publishing, finding and
reading reports. Does not belong here: their content (the stages of the graph) and HTTP (``churn_api.reports``).
"""

from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from churn_store.database import schema
from churn_store.errors import InputError, ReleaseError
from churn_store.storage.digest_store import DigestStore

NAMES: Final = ("card", "backtest", "drift", "quality", "performance")
"""The names of reports; the newest of a name is the one that counts."""

MADE_BY: Final = {
    "card": "champion",
    "backtest": "backtest_report",
    "drift": "drift_report",
    "quality": "quality_report",
    "performance": "performance_report",
}
"""The asset that publishes each."""

SIZE_LIMIT: Final = 2_000_000
"""Most bytes of a page with its drawing."""

ENDING: Final = ".html"
"""A file is named in addresses and folders by its digest and this."""


@dataclass(frozen=True)
class Report:
    """A row of ``reports``.

    Attributes:
        name: one of ``NAMES``.
        title: title of the page.
        verdict: the platform's own verdict, in one sentence.
        snapshot: snapshot that it is about, or ``None``.
        release: digest of the release that it is about, or ``None``.
        digest: sha256 of the page.
        size: bytes of the page.
        drawing: sha256 of a second page that the first one shows in a frame, with scripts; ``None`` where it has no frame.
        drawing_size: bytes of that page; 0 for none.
        created_s: time of publication by the platform's clock, in epoch seconds.
    """

    name: str
    title: str
    verdict: str
    snapshot: str | None
    release: str | None
    digest: str
    size: int
    drawing: str | None
    drawing_size: int
    created_s: int


@dataclass(frozen=True)
class ReportFile:
    """A file of a report.

    Attributes:
        report: the report.
        is_drawing: whether it is the page in the frame, which holds scripts.
    """

    report: Report
    is_drawing: bool = False

    @property
    def digest(self) -> str:
        """Its sha256."""
        return (self.report.drawing or "") if self.is_drawing else self.report.digest

    def read(self, files: DigestStore) -> bytes:
        """The content, verified by size and digest.

        Raises:
            ReleaseError: if it is missing or was changed; the message says which asset publishes it again.
            StoreAwayError: if the object store does not answer.
        """
        size = self.report.drawing_size if self.is_drawing else self.report.size
        try:
            content = files.get(self.digest, at_most=min(size, SIZE_LIMIT))
        except ReleaseError as error:
            raise ReleaseError(
                f"the report {self.report.name} can't be shown: its {error}; put the file back, or materialize "
                f"{MADE_BY.get(self.report.name, 'its asset')} again"
            ) from error
        return content


def address_of(digest: str) -> str:
    """The name of a file in an address and in a folder."""
    return f"{digest}{ENDING}"


def publish(
    engine: sa.Engine,
    files: DigestStore,
    page: str,
    *,
    name: str,
    title: str,
    verdict: str,
    now_s: int,
    snapshot: str | None = None,
    release: str | None = None,
    drawing: str | None = None,
) -> Report:
    """Store a page, and name it as the newest of its name. The newest published once more adds no row.

    Args:
        engine: the serving database.
        files: the release files.
        page: the page, HTML without scripts.
        name: one of ``NAMES``.
        title: title of the page.
        verdict: the platform's own verdict, in one sentence.
        now_s: time by the platform's clock, in epoch seconds.
        snapshot: snapshot that it is about.
        release: digest of the release that it is about.
        drawing: the page that is shown in a frame; the first one names it by ``address_of`` its digest.

    Raises:
        InputError: if both together are larger than ``SIZE_LIMIT``.
        StoreAwayError: if the object store does not answer.
    """
    if name not in NAMES:
        raise InputError(f"there is no report {name}; expected {', '.join(NAMES)}")
    contents = [text.encode() for text in (page, drawing) if text is not None]
    size = sum(map(len, contents))
    if size > SIZE_LIMIT:
        raise InputError(f"the report {name} has {size:,} bytes; expected at most {SIZE_LIMIT:,}")
    digests = [files.put(content) for content in contents]
    report = Report(
        name=name,
        title=title,
        verdict=verdict,
        snapshot=snapshot,
        release=release,
        digest=digests[0],
        size=len(contents[0]),
        drawing=None if drawing is None else digests[1],
        drawing_size=0 if drawing is None else len(contents[1]),
        created_s=now_s,
    )
    before = newest(engine, name)
    if before is not None and (before.digest, before.drawing) == (report.digest, report.drawing):
        return before
    with engine.begin() as connection:
        connection.execute(schema.reports.insert().values(**asdict(report)))
    return report


def newest(engine: sa.Engine, name: str) -> Report | None:
    """The newest report of a name; ``None`` before the first."""
    found = _select(engine, schema.reports.c.name == name, limit=1)
    return found[0] if found else None


def published(engine: sa.Engine, *, limit: int) -> list[Report]:
    """The reports of all names, newest first."""
    return _select(engine, sa.true(), limit=limit)


def find(engine: sa.Engine, digest: str) -> ReportFile | None:
    """The file of a report by its sha256; ``None`` where no report names it."""
    columns = schema.reports.c
    found = _select(engine, sa.or_(columns.digest == digest, columns.drawing == digest), limit=1)
    return ReportFile(found[0], is_drawing=found[0].digest != digest) if found else None


def _select(engine: sa.Engine, where: sa.ColumnElement[bool], *, limit: int) -> list[Report]:
    columns = [column for column in schema.reports.c if column.name != "id"]
    asked = sa.select(*columns).where(where).order_by(schema.reports.c.id.desc()).limit(limit)
    with engine.connect() as connection:
        return [Report(**row._mapping) for row in connection.execute(asked)]
