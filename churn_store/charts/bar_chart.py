"""Bars across, as SVG: a named value each, from the first at the top to the last."""

from collections.abc import Sequence

from churn_store.charts.svg_chart import BOTTOM, CHARACTER, COLOURS, GRID, TOP, WIDTH, ZERO, element, escaped, ticks

BAR, GAP = 14, 6
VALUE = 60
"""Room for a value to the right of its bar."""

MOST_LETTERS = 44
"""A longer name is shortened beside its bar; the description has the whole."""


def bar_chart(bars: Sequence[tuple[str, float]], *, title: str, x_title: str) -> str:
    """An SVG element.

    Args:
        bars: names and values, at least one.
        title: heading of the chart.
        x_title: below the horizontal axis.
    """
    names = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name, _ in bars]
    values = [value for _, value in bars]
    numbers = ticks(min(0.0, *values), max(0.0, *values))
    left, bottom = 20 + CHARACTER * max(len(name) for name in names), TOP + len(bars) * (BAR + GAP)

    def x_of(value: float) -> float:
        return left + (WIDTH - VALUE - left) * (value - numbers[0]) / (numbers[-1] - numbers[0])

    drawn = [
        f'<line x1="{x_of(number):.1f}" x2="{x_of(number):.1f}" y1="{TOP}" y2="{bottom}" stroke="{GRID if number else ZERO}"/>'
        f'<text x="{x_of(number):.1f}" y="{bottom + 18}" text-anchor="middle">{number:.6g}</text>'
        for number in numbers
    ]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        y = TOP + place * (BAR + GAP) + GAP / 2
        start, end = sorted((x_of(0.0), x_of(value)))
        drawn.append(
            f'<text x="{left - 8:.1f}" y="{y + 11}" text-anchor="end">{escaped(name)}</text>'
            f'<rect x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{BAR}" fill="{COLOURS[0]}"/>'
            f'<text x="{end + 4:.1f}" y="{y + 11}">{value:.3g}</text>'
        )
    drawn.append(
        f'<text x="{(left + WIDTH - VALUE) / 2:.1f}" y="{bottom + 38}" text-anchor="middle">{escaped(x_title)}</text>'
    )
    description = "; ".join(f"{name}: {value:.3g}" for name, value in bars)
    return element(drawn, title=title, description=description, height=bottom + BOTTOM)
