"""The page of a performance report: the verdict first, then what the gate said beside what it came to, over time, by band and by segment.

Belongs here: the order of the page and its words. Does not belong here: the figures (``judging``) and the verdict (``verdicts``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from churn_assets.performance.estimate import ASSUMPTION, Estimate
from churn_assets.performance.history import Band, Row
from churn_assets.reporting.basis import Basis
from churn_assets.reporting.document import Bullets, Document, DocumentPart, DocumentTable, Heading, Paragraph, Picture
from churn_store.charts.svg_chart import Line, Rule, line_chart
from churn_store.monitoring.facts import Measured, SnapshotPerformance, Verdict

LABELS = {
    "log_loss": "log loss",
    "promised_log_loss": "log loss promised at the seen churn rate",
    "excess_log_loss": "excess log loss (decides)",
    "auc": "AUC",
    "brier": "Brier",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "lift_top_decile": "lift, top decile",
    "profit": "profit per customer",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "base_rate": "churn rate",
}
"""Measures in the order of the page."""

MOST_SNAPSHOTS = 36
"""Most snapshots in the charts and the table over time."""

HOW_IT_DECIDES = (
    "One measure decides: the log loss above the one that the gate's figure promises for these customers at the churn rate that was seen. "
    "The churn rate itself may move with the season; how far it was from the promised one is shown as the calibration intercept. The rule "
    "looks at every snapshot and holds the probability of a false alarm within five years; the other measures are shown and decide nothing."
)


@dataclass(frozen=True)
class Page:
    """What a report shows.

    Attributes:
        company: name of the company.
        as_of: time by the platform's clock.
        verdict: verdict over the newest snapshot.
        found: what is known of all snapshots, the oldest first.
        rows: rows of the table, the oldest first.
        estimates: what may be expected of snapshots that are not mature.
    """

    company: str
    as_of: str
    verdict: Verdict
    found: Sequence[SnapshotPerformance]
    rows: Sequence[Row]
    estimates: Sequence[Estimate]

    @property
    def title(self) -> str:
        """Title of the page."""
        return f"Performance of the released model, {self.company}"


def document(page: Page) -> Document:
    """The page."""
    verdict = page.verdict
    chosen = next(
        (
            row
            for row in page.rows
            if row.snapshot == verdict.snapshot and row.series.is_whole and row.series.release == (verdict.release or "")
        ),
        None,
    )
    blocks: list[DocumentPart] = [
        Paragraph(verdict.sentence),
        DocumentTable(
            "What was judged",
            ("what", "value"),
            (
                ("company", page.company),
                ("newest mature snapshot", verdict.snapshot or "none"),
                ("release", verdict.release or "none"),
                ("as of", page.as_of),
                ("customers with a prediction and an outcome", f"{chosen.rows:,}" if chosen else "0"),
                ("worth as many equal rows", f"{chosen.effective_rows:,.0f}" if chosen else "0"),
            ),
        ),
        Paragraph(HOW_IT_DECIDES),
    ]
    if chosen is not None:
        blocks += _of_snapshot(chosen, page)
    blocks += _over_time(page)
    blocks += _expected(page.estimates)
    return Document(page.title, tuple(blocks))


def _of_snapshot(row: Row, page: Page) -> list[DocumentPart]:
    blocks: list[DocumentPart] = []
    if row.measures:
        blocks += [Heading("The gate's figures beside what they came to"), _gate_table(row)]
    for heading, caption, bands in (
        (
            "Risk bands",
            "What was promised of each band and who left; behind the share who left its 95 % interval.",
            row.details.bands,
        ),
        ("Who was called", "Customers called churners and the others, beside who left.", row.details.called),
    ):
        if bands:
            blocks += [Heading(heading), _bands_table(caption, bands)]
    parts = [
        one
        for one in page.found
        if one.snapshot == row.snapshot and one.release == row.series.release and (one.arm or one.segment)
    ]
    if parts:
        blocks += [Heading("Arms and segments"), _parts_table(parts)]
    others = [
        one
        for one in page.found
        if one.snapshot == row.snapshot and one.release != row.series.release and one.arm is None and one.segment is None
    ]
    if others:
        blocks += [
            Heading("Other releases at this snapshot"),
            Bullets(tuple(f"{one.release[:12] or 'none'}: {one.sentence}" for one in others)),
        ]
    if row.details.notes:
        blocks += [Heading("What was left out"), Bullets(tuple(row.details.notes))]
    if row.details.counts:
        counted = tuple((name.replace("_", " "), f"{count:,}") for name, count in row.details.counts.items())
        blocks.append(
            DocumentTable("Predictions and outcomes, in customers", ("what", "customers"), counted, (Basis.RECORDED,))
        )
    return blocks


def _gate_table(row: Row) -> DocumentTable:
    names = [name for name in LABELS if name in row.measures or name in row.details.gate]
    seen = {**row.measures, **({} if row.seen is None else {"base_rate": Measured(value=row.seen, low=None, high=None)})}
    return DocumentTable(
        "On the judging rows of the gate, and on what was served; with 95 % intervals.",
        ("measure", "at the gate", "came to"),
        tuple((LABELS[name], _figure(row.details.gate.get(name)), _figure(seen.get(name))) for name in names),
        (Basis.MEASURED,),
    )


def _bands_table(caption: str, bands: Sequence[Band]) -> DocumentTable:
    return DocumentTable(
        caption,
        ("customers", "number", "promised", "left"),
        tuple(
            (one.name, f"{one.rows:,}", f"{one.promised:.1%}", f"{one.seen:.1%} ({one.low:.1%} to {one.high:.1%})")
            for one in bands
        ),
        (Basis.MEASURED,),
    )


def _parts_table(parts: Sequence[SnapshotPerformance]) -> DocumentTable:
    return DocumentTable(
        "With 95 % intervals of each alone; the verdict is corrected for their number.",
        ("part", "customers", "promised", "left", "AUC", "excess log loss", "state"),
        tuple(
            (
                str(one.arm or one.segment),
                f"{one.rows:,}",
                _share(one.promised),
                _share(one.seen),
                _figure(one.measures.get("auc")),
                _figure(one.measures.get("excess_log_loss")),
                one.state,
            )
            for one in parts
        ),
        (Basis.MEASURED,),
    )


def _over_time(page: Page) -> list[DocumentPart]:
    whole = [one for one in page.found if one.arm is None and one.segment is None][-MOST_SNAPSHOTS:]
    if not whole:
        return []
    blocks: list[DocumentPart] = [Heading("Over time")]
    judged = [one for one in whole if "log_loss" in one.measures]
    if judged:
        blocks += [
            Picture(
                timeline(judged),
                "Log loss of each mature snapshot with its 95 % interval, and what the gate's figure promised.",
            ),
            Picture(
                auc_timeline(judged, page.rows), "AUC of each mature snapshot with its 95 % interval, and at the gate."
            ),
        ]
    blocks.append(
        DocumentTable(
            "Each mature snapshot.",
            ("snapshot", "release", "customers", "promised", "left", "log loss", "promised log loss", "AUC", "state"),
            tuple(
                (
                    one.snapshot,
                    one.release[:12] or "none",
                    f"{one.rows:,}",
                    _share(one.promised),
                    _share(one.seen),
                    _figure(one.measures.get("log_loss")),
                    _figure(one.measures.get("promised_log_loss")),
                    _figure(one.measures.get("auc")),
                    one.state,
                )
                for one in reversed(whole)
            ),
            (Basis.MEASURED,),
        )
    )
    return blocks


def timeline(judged: Sequence[SnapshotPerformance]) -> str:
    """A chart of the log loss of each snapshot beside the promised one."""
    return line_chart(
        [
            _line("log loss", judged, "log_loss"),
            _line("promised by the gate's figure at the seen churn rate", judged, "promised_log_loss"),
        ],
        title="Log loss of each mature snapshot",
        description="; ".join(
            f"{one.snapshot}: {one.measures['log_loss'].value:.4f}, promised {one.measures['promised_log_loss'].value:.4f}"
            for one in judged
        ),
        x_title="snapshot",
        y_title="log loss",
        names=_names(judged),
    )


def auc_timeline(judged: Sequence[SnapshotPerformance], rows: Sequence[Row]) -> str:
    """A chart of the AUC of each snapshot, and that at the gate of the newest release."""
    gates = [row.details.gate["auc"].value for row in rows if "auc" in row.details.gate]
    return line_chart(
        [_line("AUC", judged, "auc")],
        title="AUC of each mature snapshot",
        description="; ".join(f"{one.snapshot}: {one.measures['auc'].value:.3f}" for one in judged),
        x_title="snapshot",
        y_title="AUC",
        names=_names(judged),
        rules=[Rule(gates[-1], "at the gate")] if gates else [],
    )


def _line(name: str, judged: Sequence[SnapshotPerformance], measure: str) -> Line:
    figures = [one.measures[measure] for one in judged]
    return Line(
        name,
        tuple((float(place), figure.value) for place, figure in enumerate(figures)),
        tuple((figure.low, figure.high) for figure in figures if figure.low is not None and figure.high is not None),
    )


def _names(judged: Sequence[SnapshotPerformance]) -> list[str]:
    return [one.snapshot.removeprefix("20").removesuffix("-01") for one in judged]


def _expected(estimates: Sequence[Estimate]) -> list[DocumentPart]:
    if not estimates:
        return []
    return [
        Heading("Before maturity"),
        Paragraph(
            f"Expected of snapshots without labels, {ASSUMPTION}. A change of the world is not seen here, only at maturity."
        ),
        DocumentTable(
            "From the scores alone",
            ("snapshot", "release", "customers", "churn rate", "log loss", "AUC"),
            tuple(
                (
                    one.snapshot,
                    one.release[:12],
                    f"{one.rows:,}",
                    f"{one.churn_rate:.1%}",
                    f"{one.log_loss:.4f}",
                    "" if one.auc is None else f"{one.auc:.3f}",
                )
                for one in estimates
            ),
            (Basis.PREDICTED,),
        ),
    ]


def _figure(measure: Measured | None) -> str:
    if measure is None:
        return ""
    if measure.low is None or measure.high is None:
        return f"{measure.value:.4f}"
    return f"{measure.value:.4f} ({measure.low:.4f} to {measure.high:.4f})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
