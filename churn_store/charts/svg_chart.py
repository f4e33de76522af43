"""Line charts as SVG, drawn from figures alone: the same bytes for the same figures.

Belongs here: lines, rules and axes, and the frame that ``bar_chart`` shares. Does not belong here: what is drawn.
"""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 34, 46
LEGEND_ROW = 18
CHARACTER = 6.6
"""Width of a character of the legend and of a bar's name, about."""

COLOURS = ("#1f5fa8", "#b4540a", "#4a5361")
DASHES = ("", "6 4", "2 4")
"""Lines differ in their dashes as well as in colour."""

GRID, ZERO = "#e3e6ea", "#8a929c"
TICKS = 5
MOST_NAMES, BETWEEN_NAMES = 14, 8
"""Most names below the chart, and the least space between two of them."""


@dataclass(frozen=True)
class Line:
    """A line of points; a single point is a mark.

    Attributes:
        name: name in the legend.
        points: pairs of x and y.
        bounds: interval of each point; none is drawn where this is empty.
        marks: whether each point has a mark.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    bounds: tuple[tuple[float, float], ...] = ()
    marks: bool = True


@dataclass(frozen=True)
class Rule:
    """A straight line across the whole chart.

    Attributes:
        at: value on the axis that it crosses.
        name: name in the legend; a rule without one is not listed there.
        upright: whether it crosses the horizontal axis.
    """

    at: float
    name: str = ""
    upright: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x_title: str,
    y_title: str,
    names: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    x_from: float | None = None,
    y_from: float | None = None,
    height: int = HEIGHT,
) -> str:
    """An SVG element.

    Args:
        lines: at least one line, with at least one point.
        title: heading of the chart.
        description: content of the chart in words, for people who can't see it.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis; empty for none.
        names: names of the points at x = 0, 1, ...; without them the axis has numbers.
        rules: straight lines across the chart.
        x_from: start of the horizontal axis; None for the lowest value.
        y_from: start of the vertical axis, below which lines are cut off; None for the lowest value.
        height: height in pixels.
    """
    across = [x for line in lines for x, _ in line.points] + [rule.at for rule in rules if rule.upright]
    upward = [y for line in lines for _, y in line.points] + [y for line in lines for bound in line.bounds for y in bound]
    upward += [rule.at for rule in rules if not rule.upright]
    x_numbers = ticks(min(across) if x_from is None else x_from, max(across))
    x_ticks = _named(names) if names else x_numbers
    y_ticks = ticks(min(upward) if y_from is None else y_from, max(upward))
    left, right = min([*across, *x_ticks]), max([*across, *x_ticks])
    low, high = y_ticks[0], y_ticks[-1]
    named = [(line.name, place) for place, line in enumerate(lines) if len(lines) + len(rules) > 1]
    named += [(rule.name, len(lines) + place) for place, rule in enumerate(rules) if rule.name]
    legend, top = _legend(named)
    bottom = height - BOTTOM

    def x_of(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - left) / (right - left) if right > left else 0.5)

    def y_of(y: float) -> float:
        return bottom - (bottom - top) * (y - low) / (high - low)

    axes = [
        *(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(y):.1f}" y2="{y_of(y):.1f}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{y:.6g}</text>'
            for y in y_ticks
        ),
        *(
            f'<text x="{x_of(x):.1f}" y="{bottom + 18}" text-anchor="{"end" if names and x == right > left else "middle"}">'
            f"{escaped(names[int(x)]) if names else f'{x:.6g}'}</text>"
            for x in x_ticks
        ),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 8}" text-anchor="middle">{escaped(x_title)}</text>',
        f'<text x="14" y="{(top + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(top + bottom) / 2})">{escaped(y_title)}</text>',
    ]
    drawn = []
    for place, rule in enumerate(rules):
        style = _style(len(lines) + place) if rule.name else f'stroke="{ZERO}"'
        at = f"{x_of(rule.at) if rule.upright else y_of(rule.at):.1f}"
        ends = (
            f'x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"'
            if rule.upright
            else f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"'
        )
        drawn.append(f"<line {ends} {style}/>")
    for place, line in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        drawn += [
            f'<line x1="{x_of(x):.1f}" x2="{x_of(x):.1f}" y1="{y_of(bound[0]):.1f}" y2="{y_of(bound[1]):.1f}" stroke="{colour}"/>'
            for (x, _), bound in zip(line.points, line.bounds or (), strict=False)
        ]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
        drawn.append(f'<polyline points="{path}" fill="none" {_style(place)}/>')
        if line.marks:
            drawn += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in line.points]
    if min(upward) < low:
        box = f"{LEFT} {top} {WIDTH - LEFT - RIGHT} {bottom - top}"
        size = f'x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{bottom - top}"'
        drawn = [f'<svg {size} viewBox="{box}" overflow="hidden">', *drawn, "</svg>"]
    return element([*axes, *legend, *drawn], title=title, description=description, height=height)


def stacked(charts: Sequence[str], *, title: str, description: str, height: int) -> str:
    """Charts of one height below each other, as one SVG element."""
    placed = [f'<g transform="translate(0 {TOP + place * height})">{chart}</g>' for place, chart in enumerate(charts)]
    return element(placed, title=title, description=description, height=TOP + len(charts) * height)


def element(drawn: Sequence[str], *, title: str, description: str, height: int) -> str:
    """An SVG element with a heading, on white: who shows it may have a dark page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="#1a1d21">'
        f"<title>{escaped(title)}</title><desc>{escaped(description)}</desc>"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
        f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escaped(title)}</text>{"".join(drawn)}</svg>'
    )


def escaped(text: str) -> str:
    """A text as XML may hold it: control characters are replaced."""
    return html.escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def as_markdown(svg: str, alt: str) -> str:
    """A chart as an image in Markdown, as Dagster shows it."""
    return f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that hold a range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / (TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = size * next(factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _named(names: Sequence[str]) -> list[int]:
    """The places that are named below a chart: the last, which ends with the axis, and as many before it as don't run into each other."""
    width = CHARACTER * max(map(len, names))
    apart = (WIDTH - LEFT - RIGHT) / max(1, len(names) - 1)
    step = math.ceil(max(len(names) / MOST_NAMES, (width + BETWEEN_NAMES) / apart, 1.5 * width / apart))
    return list(range(len(names) - 1, -1, -step))[::-1]


def _style(place: int) -> str:
    dash = DASHES[place % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2"{dashed}'


def _legend(named: Sequence[tuple[str, int]]) -> tuple[list[str], int]:
    """The legend of names by their styles, in as many rows as it needs, and where the chart starts below it."""
    drawn, x, y = [], float(LEFT), TOP + 4
    for name, place in named:
        width = 52 + CHARACTER * len(name)
        if x > LEFT and x + width > WIDTH:
            x, y = float(LEFT), y + LEGEND_ROW
        drawn.append(
            f'<line x1="{x:.1f}" x2="{x + 26:.1f}" y1="{y}" y2="{y}" {_style(place)}/>'
            f'<text x="{x + 32:.1f}" y="{y + 4}">{escaped(name)}</text>'
        )
        x += width
    return drawn, y + LEGEND_ROW - 4 if named else TOP
