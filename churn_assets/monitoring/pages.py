"""The pages about a snapshot and about two files, with Evidently's drawing and figures: what the reports and `churn report` show alike.

Belongs here: putting a page together, publishing it, and writing it into a folder. Does not belong here: what is on it (``report_page``,
``quality_page``), and drawing (``window_drawing``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.evidently_report import Drawing, draw
from churn_assets.monitoring.file_windows import TwoFiles
from churn_assets.monitoring.findings import Finding, findings, in_words, without_reference
from churn_assets.monitoring.quality_page import quality_document
from churn_assets.monitoring.reference_rows import reference_or_why
from churn_assets.monitoring.report_page import About, about_snapshot, document, headline
from churn_assets.monitoring.window_drawing import allowed_of, drawing_of, frame_of
from churn_assets.monitoring.window_rows import WindowRows
from churn_assets.periods import ALL
from churn_assets.reporting.document import Document
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.monitoring import Monitoring
from churn_store.alerts.log import LoggedAlert
from churn_store.clock import Clock
from churn_store.monitoring.baselines import Baseline, baseline_of
from churn_store.monitoring.facts import DriftWindow
from churn_store.releases.bundles import Bundle
from churn_store.reports import Report, address_of, publish
from churn_store.storage.digest_store import digest_of


@dataclass(frozen=True)
class Page:
    """A page that can be published or written.

    Attributes:
        name: ``drift`` or ``quality``.
        verdict: our verdict in one sentence.
        document: the page.
        drawing: what Evidently drew.
        figures: our figures, for JSON.
    """

    name: str
    verdict: str
    document: Document
    drawing: Drawing
    figures: dict[str, Any]


class SnapshotStores(NamedTuple):
    """Where what a page is about lies: the lake, the serving store, and the platform's clock."""

    lake: Lake
    serving: ServingStore
    clock: Clock


@dataclass(frozen=True)
class Subject:
    """A snapshot that pages are about.

    Attributes:
        company: name of the company.
        key: key of the snapshot.
        bundle: the release that serves.
        baseline: whose reference counts.
        reference: reference rows with ``score``; ``None`` where they can't be read.
        rows: features of the snapshot.
        monitoring: section ``monitoring``.
        seed: seed of the samples that are drawn.
        as_of: time by the platform's clock.
    """

    company: str
    key: str
    bundle: Bundle
    baseline: Baseline
    reference: pl.DataFrame | None
    rows: pl.DataFrame
    monitoring: Monitoring
    seed: int
    as_of: str

    @classmethod
    def of(
        cls,
        stores: SnapshotStores,
        bundle: Bundle,
        key: str,
        *,
        version: int,
        company: str,
        monitoring: Monitoring,
        seed: int,
    ) -> Self:
        """A snapshot as a release sees it, beside the reference that counts.

        Args:
            stores: where it lies.
            bundle: the release that serves.
            key: key of the snapshot.
            version: version of ``customer_features``.
            company: name of the company.
            monitoring: section ``monitoring``.
            seed: seed of the samples that are drawn.
        """
        baseline = baseline_of(stores.serving.engine, bundle.digest)
        reference, _ = reference_or_why(stores.serving.files, bundle, baseline)
        rows = WindowRows(stores.lake, version, stores.serving.engine, bundle, None).features(key)
        return cls(company, key, bundle, baseline, reference, rows, monitoring, seed, stores.clock.now().isoformat())

    @property
    def together(self) -> int:
        """Number of windows that are judged together."""
        return 1 if self.key == ALL else self.monitoring.windows

    @property
    def needed(self) -> int:
        """Number of windows that must agree."""
        return 1 if self.key == ALL else self.monitoring.agreeing


def drift_page(subject: Subject, windows: Sequence[DriftWindow]) -> Page:
    """The page of drift of a snapshot.

    Args:
        subject: the snapshot.
        windows: windows of the history, the oldest first, the newest that of the snapshot.
    """
    everyone = [one for one in windows if one.segment is None]
    newest = [one for one in everyone if one.of == "snapshot"][-1]
    served = [one for one in everyone if one.of == "served"]
    drawing = drawing_of(
        subject.bundle,
        subject.reference,
        subject.rows,
        newest.features,
        subject.monitoring,
        seed=subject.seed,
        kind="drift",
    )
    about = about_snapshot(
        subject.company,
        newest,
        served,
        subject.baseline,
        as_of=subject.as_of,
        together=subject.together,
        needed=subject.needed,
    )
    page = document(about, windows, drawing, frame=frame_of(drawing))
    return Page(
        "drift", headline(newest), page, drawing, {"state": newest.state, "windows": msgspec.to_builtins(list(windows))}
    )


def quality_page(subject: Subject, alerts: Sequence[LoggedAlert]) -> tuple[Page, list[Finding]]:
    """The page of data quality of a snapshot, and its findings.

    Args:
        subject: the snapshot.
        alerts: open alerts of any kind.
    """
    signature = subject.bundle.manifest.signature
    found = [
        *([without_reference()] if subject.reference is None else []),
        *findings(subject.reference, signature.as_trained(subject.rows), signature.columns),
    ]
    drawing = drawing_of(
        subject.bundle, subject.reference, subject.rows, [], subject.monitoring, seed=subject.seed, kind="quality"
    )
    customers = "today's customers" if subject.key == ALL else f"snapshot {subject.key}"
    facts = (
        ("company", subject.company),
        ("customers", customers),
        ("rows", f"{subject.rows.height:,}"),
        ("release", subject.bundle.digest),
        ("reference of release", subject.baseline.baseline),
        ("as of", subject.as_of),
    )
    about = About(f"Data quality of {customers}, {subject.company}", facts)
    page = quality_document(about, found, alerts, drawing, frame=frame_of(drawing))
    return Page("quality", in_words(found, alerts), page, drawing, _told(found, alerts)), found


def drift_page_of_files(
    files: TwoFiles, windows: Sequence[DriftWindow], names: tuple[str, str], monitoring: Monitoring, *, seed: int
) -> Page:
    """The page of drift of one file from another.

    Args:
        files: both files.
        windows: the current file as a window, of all rows and of segments.
        names: names of the file that is compared with, and of the other.
        monitoring: section ``monitoring``.
        seed: seed of the samples that are drawn.
    """
    newest, before = windows[0], files.baseline if files.baseline is not None else files.current
    allowed = allowed_of(newest.features, files.columns, monitoring.effect)
    order = [move.feature for move in sorted(newest.features, key=lambda move: -move.psi)]
    drawing = draw(
        before, files.current, files.columns, allowed=allowed, order=order, rows=monitoring.report_rows, seed=seed
    )
    about = About(f"Drift of {names[1]} from {names[0]}", _facts(files, names))
    page = document(about, windows, drawing, frame=frame_of(drawing))
    figures = {"state": newest.state, "windows": msgspec.to_builtins(list(windows)), "notes": files.notes}
    return Page("drift", headline(newest), page, drawing, figures)


def quality_page_of_files(files: TwoFiles, names: tuple[str, str], monitoring: Monitoring, *, seed: int) -> Page:
    """The page of data quality of a file, beside another one where there is one; parameters as for ``drift_page_of_files``."""
    found = findings(files.baseline, files.current, files.columns)
    before = files.baseline if files.baseline is not None else files.current
    drawing = draw(before, files.current, files.columns, kind="quality", allowed={}, rows=monitoring.report_rows, seed=seed)
    about = About(f"Data quality of {names[1]}", _facts(files, names))
    page = quality_document(about, found, [], drawing, frame=frame_of(drawing))
    return Page("quality", in_words(found), page, drawing, _told(found, []))


def publish_page(page: Page, serving: ServingStore, *, now_s: int, key: str, release: str) -> Report:
    """Publish a page with its drawing.

    Args:
        page: the page.
        serving: where it is published.
        now_s: time by the platform's clock, in epoch seconds.
        key: key of the snapshot that it is about.
        release: digest of the release that it is about.

    Raises:
        InputError: if both together are too large.
        StoreAwayError: if the object store does not answer.
    """
    return publish(
        serving.engine,
        serving.files,
        page.document.html(),
        name=page.name,
        title=page.document.title,
        verdict=page.verdict,
        now_s=now_s,
        snapshot=key,
        release=release,
        drawing=page.drawing.page,
    )


def write_page(page: Page, folder: Path) -> list[Path]:
    """Write a page into a folder, which is made: the page and its figures by name, and the drawing beside it.

    Returns:
        Paths of the HTML file and of the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    html, figures = folder / f"{page.name}.html", folder / f"{page.name}.json"
    if page.drawing.page is not None:
        content = page.drawing.page.encode()
        (folder / address_of(digest_of(content))).write_bytes(content)
    evidently = None if page.drawing.figures is None else msgspec.json.decode(page.drawing.figures)
    told = {"verdict": page.verdict, **page.figures, "evidently": evidently}
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))
    html.write_text(page.document.html(), encoding="utf-8")
    return [html, figures]


def _facts(files: TwoFiles, names: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    compared = () if files.baseline is None else (("compared with", f"{names[0]}, {files.baseline.height:,} rows"),)
    notes = tuple(("note", note) for note in files.notes)
    return (("file", f"{names[1]}, {files.current.height:,} rows"), *compared, ("columns", str(len(files.columns))), *notes)


def _told(found: Sequence[Finding], alerts: Sequence[LoggedAlert]) -> dict[str, Any]:
    return {
        "findings": [{"severity": one.severity, "feature": one.feature, "finding": one.sentence} for one in found],
        "open_alerts": [
            {"kind": one.alert.kind, "severity": one.alert.severity, "since_s": one.first_s, "alert": one.alert.sentence}
            for one in alerts
        ],
    }
