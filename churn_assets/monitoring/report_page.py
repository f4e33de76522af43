"""The page of drift: our verdict first, since when and how unusual, then features, segments, served requests, the windows, and Evidently's drawing.

Belongs here: the order of the page and its words. Does not belong here: verdicts (``judged_windows``), charts (``timeline``) and the drawing
(``evidently_report``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from churn_assets.monitoring.drift_cuts import LEAST_ROWS, MOST_ALLOWED
from churn_assets.monitoring.drift_history import movement
from churn_assets.monitoring.evidently_report import Drawing
from churn_assets.monitoring.timeline import movement_chart, score_chart
from churn_assets.periods import ALL
from churn_assets.reporting.document import Document, DocumentPart, DocumentTable, Frame, Heading, Paragraph, Picture
from churn_store.monitoring.baselines import Baseline
from churn_store.monitoring.facts import DriftWindow, FeatureMove, State

WORD: dict[State, str] = {"attention": "Alert", "fine": "No drift", "unknown": "Not judged"}
"""The outcome, as the first word of a verdict."""

HEAD = (
    "feature",
    "verdict",
    "PSI",
    "allowed",
    "p",
    "importance",
    "mean",
    "baseline",
    "missing",
    "KS",
    "t",
    "Wasserstein",
    "JS",
)
SHOWN_DIGITS = 12


@dataclass(frozen=True)
class About:
    """What a drift report is about.

    Attributes:
        title: title of the page.
        facts: what was compared, as pairs of name and value.
    """

    title: str
    facts: tuple[tuple[str, str], ...]


def about_snapshot(
    company: str,
    newest: DriftWindow,
    served: Sequence[DriftWindow],
    baseline: Baseline,
    *,
    as_of: str,
    together: int,
    needed: int,
) -> About:
    """The page about a snapshot.

    Args:
        company: name of the company.
        newest: window of the snapshot, of all customers.
        served: windows of served requests, of all customers.
        baseline: whose reference counts, and who says so.
        as_of: time by the platform's clock.
        together: number of windows that are judged together.
        needed: number of windows that must agree.
    """
    customers = "today's customers" if newest.window == ALL else f"snapshot {newest.window}"
    own = "the release's own reference"
    pinned = f"the reference of release {baseline.baseline[:SHOWN_DIGITS]}, pinned by {baseline.actor}: {baseline.reason}"
    requests = "none was answered in these periods" if not served else f"{served[-1].window}: {headline(served[-1])}"
    return About(
        f"Drift of {customers}, {company}",
        (
            ("company", company),
            ("customers", customers),
            ("release", newest.release),
            ("compared with", own if baseline.is_own else pinned),
            ("as of", as_of),
            ("rows", f"{newest.rows:,}"),
            ("windows judged together", str(together)),
            ("windows that must agree", str(needed)),
            ("served requests", requests),
        ),
    )


def headline(window: DriftWindow) -> str:
    """Our verdict in one sentence, its outcome first."""
    return f"{WORD[window.state]}: {window.verdict.removeprefix('not judged: ')}."


def features_table(moves: Sequence[FeatureMove], title: str = "Features") -> DocumentTable:
    """What each feature did in a window, the greatest change first."""
    caption = (
        f"{title}. Cut: what chance and a usual year explain in a window of these rows, that at most {MOST_ALLOWED}, or the configured effect. p: of what is judged, corrected for "
        "the number of judged features. Importance: share of the model's. Missing: share of the rows. Wasserstein: in standard deviations"
    )
    return DocumentTable(caption, HEAD, tuple(_feature(move) for move in sorted(moves, key=lambda move: -move.psi)))


def document(about: About, windows: Sequence[DriftWindow], drawing: Drawing, *, frame: str | None) -> Document:
    """The page.

    Args:
        about: what it is about.
        windows: windows of the history, the oldest first; the newest of the snapshot is that of ``about``.
        drawing: what Evidently drew.
        frame: file of the drawing, beside the page; ``None`` where nothing was drawn.
    """
    everyone = [one for one in windows if one.segment is None]
    snapshots, served = ([one for one in everyone if one.of == of] for of in ("snapshot", "served"))
    newest = snapshots[-1]
    blocks: list[DocumentPart] = [
        Paragraph(headline(newest)),
        *map(Paragraph, _how_long_and_unusual(newest, snapshots)),
        DocumentTable("What was compared", ("what", "value"), about.facts),
    ]
    if len(everyone) > 1:
        blocks += [
            Heading("Over time"),
            Picture(
                movement_chart(snapshots, served),
                "How far each window moved, all judged features together, in their cuts: at 1 they stand at their cuts, in the mean.",
            ),
            *_scores(snapshots),
            _windows_table(everyone),
        ]
    blocks.append(Heading("Features of the newest window"))
    blocks.append(features_table(newest.features) if newest.features else Paragraph(_unjudged(newest)))
    blocks += _segments(windows, newest)
    if served and served[-1].features:
        blocks += [
            Heading(f"Served requests of {served[-1].window}"),
            Paragraph(headline(served[-1])),
            features_table(served[-1].features, "Features of the requests that the release answered"),
        ]
    return Document(about.title, (*blocks, *_drawn(drawing, frame)))


def _how_long_and_unusual(newest: DriftWindow, snapshots: Sequence[DriftWindow]) -> list[str]:
    said = []
    since = next((one.since for one in reversed(snapshots) if one.since), None)
    if newest.since:
        no_alert = ", in too few windows for an alert" if newest.state == "fine" else ""
        said += [f"It has moved since {newest.since}{no_alert}."] if len(snapshots) > 1 else []
    elif newest.state == "attention":
        said.append(f"The newest window did not move; those before did, from {since} on.")
    if newest.unusual is not None:
        earlier = sum(bool(one.features) for one in snapshots[:-1] if one.release == newest.release)
        said.append(
            f"{newest.unusual:.0%} of the {earlier} earlier windows moved less; its features moved {movement(newest.features) or 0.0:.2f} cuts, in the mean."
        )
    return said


def _scores(snapshots: Sequence[DriftWindow]) -> list[DocumentPart]:
    if all(one.mean_score is None for one in snapshots):
        return []
    return [Picture(score_chart(snapshots), "Mean probability of churn, and the share that is called churners.")]


def _unjudged(window: DriftWindow) -> str:
    return f"Not judged: fewer than {LEAST_ROWS} rows." if window.rows < LEAST_ROWS else headline(window)


def _feature(move: FeatureMove) -> tuple[str, ...]:
    return (
        move.feature,
        "drifted" if move.drifted else "stable" if move.judged else "shown, not judged",
        f"{round(move.psi, 3) + 0.0:.3f}",  # never -0.000
        f"{move.cut:.3f}",
        f"{move.p_value:.2g}",
        "" if move.importance is None else f"{move.importance:.0%}",
        _figure(move.mean),
        _figure(move.baseline_mean),
        f"{move.missing:.1%}",
        _figure(move.ks),
        _figure(move.welch_t),
        _figure(move.wasserstein),
        f"{move.jensen_shannon:.3f}",
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _windows_table(everyone: Sequence[DriftWindow]) -> DocumentTable:
    return DocumentTable(
        "The windows, the newest first",
        ("window", "of", "rows", "outcome", "moved", "since", "unusual", "mean score", "called churn", "release"),
        tuple(
            (
                one.window,
                "customers" if one.of == "snapshot" else "served requests",
                f"{one.rows:,}",
                WORD[one.state],
                ", ".join(one.drifted) or "no feature",
                one.since or "",
                "" if one.unusual is None else f"{one.unusual:.0%}",
                "" if one.mean_score is None else f"{one.mean_score:.4f}",
                "" if one.positive_rate is None else f"{one.positive_rate:.1%}",
                one.release[:SHOWN_DIGITS],
            )
            for one in reversed(everyone)
        ),
    )


def _segments(windows: Sequence[DriftWindow], newest: DriftWindow) -> list[DocumentPart]:
    segments = [one for one in windows if one.segment and (one.window, one.of) == (newest.window, "snapshot")]
    if not segments:
        return []
    table = DocumentTable(
        "Each segment against the same segment of the baseline. Segments are shown; alerts are about all customers",
        ("segment", "rows", "outcome", "greatest move", "in cuts", "since", "mean score", "called churn"),
        tuple(
            (
                str(one.segment),
                f"{one.rows:,}",
                WORD[one.state],
                *_greatest(one.features),
                one.since or "",
                "" if one.mean_score is None else f"{one.mean_score:.4f}",
                "" if one.positive_rate is None else f"{one.positive_rate:.1%}",
            )
            for one in segments
        ),
    )
    return [Heading("Segments of the newest window"), table]


def _greatest(moves: Sequence[FeatureMove]) -> tuple[str, str]:
    """The judged feature that moved most, and how far, in cuts."""
    judged = [move for move in moves if move.judged]
    if not judged:
        return "", ""
    greatest = max(judged, key=lambda move: move.psi / move.cut)
    return greatest.feature, f"{greatest.psi / greatest.cut:.2f}"


def _drawn(drawing: Drawing, frame: str | None) -> list[DocumentPart]:
    blocks: list[DocumentPart] = [
        Heading("Drawn by Evidently"),
        Paragraph(
            "It draws a sample of the newest window and decides nothing. Its PSI is not corrected for chance, so that it is a little "
            "greater than ours; its limits are ours."
        ),
    ]
    if left_out := drawing.left_out:
        blocks.append(Paragraph(left_out))
    if frame is not None:
        blocks.append(Frame(frame, "Distributions of each column, drawn by Evidently"))
    return blocks
