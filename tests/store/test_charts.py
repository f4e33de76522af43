"""Charts as SVG: the same bytes for the same figures, values where they belong, texts that can't leave their place."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from churn_store.charts.bar_chart import bar_chart
from churn_store.charts.svg_chart import (
    BOTTOM,
    CHARACTER,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Line,
    Rule,
    as_markdown,
    line_chart,
    stacked,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"
PLAIN: dict[str, Any] = {"title": "t", "description": "d", "x_title": "x", "y_title": "y"}


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def test_points_lie_where_their_values_are() -> None:
    svg = line_chart([Line("one", ((0.0, 0.0), (5.0, 1.0), (10.0, 2.0)))], **PLAIN)
    assert svg == line_chart([Line("one", ((0.0, 0.0), (5.0, 1.0), (10.0, 2.0)))], **PLAIN)
    [circles] = [[(float(c.get("cx", "")), float(c.get("cy", ""))) for c in parsed(svg).iter(f"{SVG}circle")]]
    assert [x for x, _ in circles] == [LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT]
    assert circles[0][1] == HEIGHT - BOTTOM
    assert circles[1][1] == pytest.approx((circles[0][1] + circles[2][1]) / 2, abs=0.1)


def test_an_interval_and_a_rule_are_drawn_at_their_values() -> None:
    svg = line_chart(
        [Line("one", ((0.0, 1.0), (1.0, 1.0)), ((0.0, 2.0), (0.5, 1.5)))], rules=[Rule(1.0, "middle")], y_from=0.0, **PLAIN
    )
    level = float(next(parsed(svg).iter(f"{SVG}circle")).get("cy", ""))
    drawn = [
        {name: float(line.get(name, "")) for name in ("x1", "x2", "y1", "y2")} for line in parsed(svg).iter(f"{SVG}line")
    ]
    assert [line for line in drawn if line["x1"] == line["x2"] == LEFT and line["y1"] > level > line["y2"]]
    assert [
        line for line in drawn if (line["x1"], line["x2"], line["y1"], line["y2"]) == (LEFT, WIDTH - RIGHT, level, level)
    ]
    assert "middle" in "".join(parsed(svg).itertext())


def test_what_lies_below_the_start_of_the_axis_is_cut_off() -> None:
    points = ((0.0, -100.0), (1.0, 1.0))
    inside = [*parsed(line_chart([Line("one", points)], y_from=0.0, **PLAIN)).iter(f"{SVG}svg")]
    assert [part.get("overflow") for part in inside] == [None, "hidden"]
    assert len([*parsed(line_chart([Line("one", points)], **PLAIN)).iter(f"{SVG}svg")]) == 1


def test_texts_are_escaped_and_control_characters_replaced() -> None:
    hostile = "</text><script>alert(1)</script>\x00&"
    texts = {**PLAIN, "title": hostile, "description": hostile, "x_title": hostile}
    for svg in (
        line_chart([Line(hostile, ((0.0, 0.0),)), Line("two", ((1.0, 1.0),))], names=[hostile, "b"], **texts),
        bar_chart([(hostile, 1.0)], title=hostile, x_title=hostile),
        stacked([bar_chart([("a", 1.0)], title="t", x_title="x")], title=hostile, description=hostile, height=100),
    ):
        assert not [*parsed(svg).iter(f"{SVG}script")]
        assert "\x00" not in svg
    assert as_markdown("<svg/>", "a").startswith("![a](data:image/svg+xml;base64,")


def test_a_negative_bar_goes_to_the_left_of_zero() -> None:
    svg = bar_chart([("more", 2.0), ("less", -1.0)], title="t", x_title="x")
    _, more, less = parsed(svg).iter(f"{SVG}rect")
    assert float(less.get("x", "")) + float(less.get("width", "")) == pytest.approx(float(more.get("x", "")), abs=0.2)
    assert float(more.get("width", "")) == pytest.approx(2 * float(less.get("width", "")), abs=0.2)


def test_names_below_the_chart_do_not_leave_it() -> None:
    days = [f"2025-{month:02}-01" for month in range(1, 13)]
    svg = line_chart([Line("one", tuple((float(x), 1.0) for x in range(12)))], names=days, **PLAIN)
    last = next(text for text in parsed(svg).iter(f"{SVG}text") if text.text == days[-1])
    assert (last.get("text-anchor"), float(last.get("x", ""))) == ("end", WIDTH - RIGHT)


@pytest.mark.parametrize("count", [5, 12, 14, 40])
@pytest.mark.parametrize("form", ["2025-{:02}-01", "{:02}", "a window with a name of its own, {:02}"])
def test_names_below_the_chart_do_not_run_into_each_other_and_the_newest_is_among_them(count: int, form: str) -> None:
    names = [form.format(number) for number in range(count)]
    svg = line_chart([Line("one", tuple((float(x), 1.0) for x in range(count)))], names=names, **PLAIN)
    drawn = [text for text in parsed(svg).iter(f"{SVG}text") if text.text in names]
    assert drawn[-1].text == names[-1]
    width = CHARACTER * len(names[0])
    begins = [float(text.get("x", "")) - width * (1.0 if text.get("text-anchor") == "end" else 0.5) for text in drawn]
    assert all(after - before >= width for before, after in pairwise(begins))


@pytest.mark.parametrize(("low", "high"), [(0.4693, 0.4698), (0.0, 0.0), (-3.0, 12.0), (1e6, 3e6)])
def test_ticks_are_round_and_hold_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low <= high <= found[-1]
    steps = {round(after - before, 9) for before, after in pairwise(found)}
    assert len(steps) == 1
    assert re.fullmatch(r"[125]e[+-]\d\d", f"{steps.pop():.0e}")
