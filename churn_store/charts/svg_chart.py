"""Line charts as SVG: a few points with their intervals, drawn from figures alone, the same bytes for the same figures."""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 46
COLOURS = ("#1f5fa8", "#b4540a", "#4a5361")
DASHES = ("", "6 4", "2 4")
"""Lines differ in their dashes as well as in colour."""

TICKS = 5
MOST_NAMES = 14
"""Most names that fit below the chart."""


@dataclass(frozen=True)
class Line:
    """A line of points.

    Attributes:
        name: name in the legend.
        points: pairs of x and y.
        bounds: interval of each point; none is drawn where this is empty.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    bounds: tuple[tuple[float, float], ...] = ()


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x_title: str,
    y_title: str,
    names: Sequence[str] = (),
) -> str:
    """An SVG element.

    Args:
        lines: at least one line, with at least one point.
        title: subject of the chart, for people who can't see it.
        description: content of the chart in words, for people who can't see it.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
        names: names of the points at x = 0, 1, ...; without them the axis has numbers.
    """
    across = [x for line in lines for x, _ in line.points]
    upward = [y for line in lines for _, y in line.points] + [y for line in lines for bound in line.bounds for y in bound]
    x_ticks = list(range(0, len(names), math.ceil(len(names) / MOST_NAMES))) if names else _ticks(min(across), max(across))
    y_ticks = _ticks(min(upward), max(upward))
    left, right = min([*across, *x_ticks]), max([*across, *x_ticks])
    low, high = y_ticks[0], y_ticks[-1]

    def x_of(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - left) / (right - left) if right > left else 0.5)

    def y_of(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)

    drawn = [
        *(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" stroke="#e3e6ea"/>'
            f'<text x="{LEFT - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:.4g}</text>'
            for y in y_ticks
        ),
        *(
            f'<text x="{x_of(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{html.escape(names[int(x)]) if names else f'{x:.4g}'}</text>"
            for x in x_ticks
        ),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(x_title)}</text>',
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">{html.escape(y_title)}</text>',
    ]
    for place, line in enumerate(lines):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        drawn += [
            f'<line x1="{x_of(x):.1f}" x2="{x_of(x):.1f}" y1="{y_of(bound[0]):.1f}" y2="{y_of(bound[1]):.1f}" stroke="{colour}"/>'
            for (x, _), bound in zip(line.points, line.bounds or (), strict=False)
        ]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        drawn += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in line.points]
        if len(lines) > 1:
            at = LEFT + 12 + place * 200
            drawn.append(
                f'<line x1="{at}" x2="{at + 26}" y1="{TOP - 6}" y2="{TOP - 6}" stroke="{colour}" stroke-width="2"{dashed}/>'
                f'<text x="{at + 32}" y="{TOP - 2}">{html.escape(line.name)}</text>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -8 {WIDTH} {HEIGHT + 8}" width="{WIDTH}" height="{HEIGHT + 8}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="#1a1d21">'
        f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>{''.join(drawn)}</svg>"
    )


def as_markdown(svg: str, alt: str) -> str:
    """A chart as an image in Markdown, as Dagster shows it."""
    return f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose a range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / (TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = size * next(factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]
