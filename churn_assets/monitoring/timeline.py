"""Charts of the windows of drift over time.

Belongs here: which figures are drawn. Does not belong here: how a chart is drawn (``churn_store.charts``).
"""

from collections.abc import Sequence

from churn_assets.monitoring.drift_history import movement
from churn_store.charts.svg_chart import Line, Rule, line_chart
from churn_store.monitoring.facts import DriftWindow


def movement_chart(snapshots: Sequence[DriftWindow], served: Sequence[DriftWindow]) -> str:
    """How far the windows of all customers moved, as an SVG element: all judged features together, in their cuts.

    Args:
        snapshots: windows of the customers at risk, at least one, the oldest first.
        served: windows of served requests.
    """
    names = sorted({one.window for one in (*snapshots, *served)})
    drawn = [("customers at risk", snapshots), ("served requests", served)]
    lines = [
        Line(name, points)
        for name, windows in drawn
        if (
            points := tuple(
                (float(names.index(one.window)), moved) for one in windows if (moved := movement(one.features)) is not None
            )
        )
    ]
    nothing = Line("no window could be judged", tuple((float(place), 0.0) for place in range(len(names))), marks=False)
    told = "; ".join(f"{one.window}: {moved:.2f}" for one in snapshots if (moved := movement(one.features)) is not None)
    return line_chart(
        lines or [nothing],
        title="How far each window moved",
        description=told or "no window could be judged",
        x_title="window",
        y_title="cuts",
        names=names,
        rules=[Rule(1.0, "cut")],
        y_from=0.0,
    )


def score_chart(snapshots: Sequence[DriftWindow]) -> str:
    """The scores of the windows as an SVG element: mean probability, and the share called churners."""
    scored = [one for one in snapshots if one.mean_score is not None and one.positive_rate is not None]
    return line_chart(
        [
            Line("mean probability", tuple((float(place), one.mean_score or 0.0) for place, one in enumerate(scored))),
            Line("called churn", tuple((float(place), one.positive_rate or 0.0) for place, one in enumerate(scored))),
        ],
        title="Scores of the customers at risk",
        description="; ".join(f"{one.window}: {one.mean_score:.3f}, {one.positive_rate:.3f}" for one in scored),
        x_title="window",
        y_title="share",
        names=[one.window for one in scored],
        y_from=0.0,
    )
