"""The page of data quality: what was found first, the most severe at the top, then the open alerts, then Evidently's summary of the data.

Belongs here: the order of the page and its words. Does not belong here: findings (``findings``), and the drawing (``evidently_report``).
"""

from collections.abc import Sequence

from churn_assets.monitoring.evidently_report import Drawing
from churn_assets.monitoring.findings import Finding, in_words
from churn_assets.monitoring.report_page import About
from churn_assets.periods import day_of, text
from churn_assets.reporting.document import Document, DocumentPart, DocumentTable, Frame, Heading, Paragraph
from churn_store.alerts.log import LoggedAlert


def quality_document(
    about: About, found: Sequence[Finding], alerts: Sequence[LoggedAlert], drawing: Drawing, *, frame: str | None
) -> Document:
    """The page.

    Args:
        about: what it is about.
        found: findings, the most severe first.
        alerts: open alerts of any kind.
        drawing: what Evidently drew.
        frame: file of the drawing, beside the page; ``None`` where nothing was drawn.
    """
    blocks: list[DocumentPart] = [Paragraph(in_words(found, alerts))]
    if found:
        rows = tuple((one.feature or "all of them", one.severity, one.sentence) for one in found)
        blocks.append(DocumentTable("Findings, the most severe first", ("feature", "severity", "finding"), rows))
    blocks += [DocumentTable("What was looked at", ("what", "value"), about.facts), Heading("Open alerts")]
    if alerts:
        blocks.append(
            DocumentTable(
                "What people must hear of, the oldest first",
                ("kind", "severity", "since", "alert"),
                tuple(
                    (one.alert.kind, one.alert.severity, text(day_of(one.first_s)), one.alert.sentence) for one in alerts
                ),
            )
        )
    else:
        blocks.append(Paragraph("No alert is open."))
    blocks += [
        Heading("Drawn by Evidently"),
        Paragraph("It summarizes a sample of the rows beside a sample of the reference, and decides nothing."),
    ]
    if drawing.left_out:
        blocks.append(Paragraph(drawing.left_out))
    if frame is not None:
        blocks.append(Frame(frame, "Summary of each column, drawn by Evidently"))
    return Document(about.title, tuple(blocks))
