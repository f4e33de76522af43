"""The page of a drift report: whose it is and our verdict first, then what each feature did, then Evidently's drawing in a frame.

Belongs here: the order of the page and its words. Does not belong here: the verdict (``drift``) and the drawing (``evidently_report``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from churn_assets.monitoring.drift import Drift, FeatureDrift
from churn_assets.monitoring.drift_cuts import LEAST_ROWS, MOST_ALLOWED
from churn_assets.monitoring.evidently_report import Drawing
from churn_assets.periods import ALL
from churn_assets.reporting.document import Document, DocumentPart, DocumentTable, Frame, Heading, Paragraph

HEAD = ("feature", "PSI", "cut", "p", "verdict")


@dataclass(frozen=True)
class About:
    """What a drift report is about.

    Attributes:
        company: name of the company.
        snapshot: the newest window.
        release: digest of the release whose training rows are the reference.
        as_of: time by the platform's clock.
        rows: rows of the newest window.
    """

    company: str
    snapshot: str
    release: str
    as_of: str
    rows: int

    @property
    def title(self) -> str:
        """Title of the page."""
        return f"Drift of {self.customers}, {self.company}"

    @property
    def customers(self) -> str:
        """Whose features were compared."""
        return "today's customers" if self.snapshot == ALL else f"snapshot {self.snapshot}"


def headline(drift: Drift) -> str:
    """Our verdict in one sentence, its outcome first."""
    word = "Alert" if drift.alert else "No drift" if drift.judged else "Not judged"
    return f"{word}: {drift.verdict.removeprefix('not judged: ')}."


def features_table(rows: Sequence[FeatureDrift]) -> DocumentTable:
    """What each feature did in a window, the greatest change first."""
    caption = (
        "Cut: the configured effect, or what chance and a usual year explain in a window of these rows, that at most "
        f"{MOST_ALLOWED}. p: of what is judged, corrected for the number of judged features"
    )
    return DocumentTable(
        caption,
        HEAD,
        tuple(
            (
                row.feature,
                f"{round(row.psi, 3) + 0.0:.3f}",  # never -0.000
                f"{row.cut:.3f}",
                f"{row.p_value:.2g}",
                "drifted"
                if row.drifted
                else "stable"
                if row.judged
                else f"not judged: {row.unknown}"
                if row.unknown
                else "shown, not judged",
            )
            for row in sorted(rows, key=lambda row: -row.psi)
        ),
    )


def document(about: About, drift: Drift, drawing: Drawing, *, frame: str | None) -> Document:
    """The page.

    Args:
        about: what it is about.
        drift: our verdict, and what it rests on.
        drawing: what Evidently drew.
        frame: file of the drawing, beside the page; ``None`` where nothing was drawn.
    """
    newest = drift.windows[about.snapshot]
    blocks: list[DocumentPart] = [
        Paragraph(headline(drift)),
        DocumentTable(
            "What was compared",
            ("what", "value"),
            (
                ("company", about.company),
                ("customers", about.customers),
                ("release", about.release),
                ("as of", about.as_of),
                ("rows", f"{about.rows:,}"),
                ("windows judged together", ", ".join(drift.windows)),
                ("windows that must agree", str(drift.needed)),
                ("windows with too few rows", ", ".join(drift.unjudged) or "none"),
            ),
        ),
        Heading("Features and score of the newest window"),
        features_table(newest) if newest else Paragraph(f"Not judged: fewer than {LEAST_ROWS} rows."),
        Heading("Drawn by Evidently"),
        Paragraph(
            "It draws a sample of the newest window and decides nothing. Its PSI is not corrected for chance, so that it is a little "
            "greater than ours; its limits are ours."
        ),
    ]
    if left_out := _left_out(drawing):
        blocks.append(Paragraph(left_out))
    if frame is not None:
        blocks.append(Frame(frame, "Distributions of each column, drawn by Evidently"))
    return Document(about.title, tuple(blocks))


def _left_out(drawing: Drawing) -> str:
    said = []
    if drawing.empty:
        said.append(f"Not drawn, as one side has no value: {', '.join(drawing.empty)}.")
    if drawing.omitted:
        said.append(f"Not drawn, to keep the page small: {', '.join(drawing.omitted)}.")
    return " ".join(said)
