"""Draws the rooms and which imports which, from the real imports, as ``docs/images/rooms.svg`` (``make rooms-picture``).

An arrow that follows from others is left out. Rooms of a layer stand side by side, and upper layers import lower ones. The layers are
the contracts of import-linter in pyproject.toml.
"""

import html
import tomllib
from pathlib import Path

import grimp

TOP = Path(__file__).parent.parent
PACKAGES = {"churn_assets": "#1f5fa8", "churn_api": "#b4540a", "churn_store": "#4a5361"}
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN, TITLE = 118, 30, 20, 34, 24, 34
COLUMN = 5 * (BOX_WIDTH + GAP_X)
"""The widest layer has five rooms."""

Place = tuple[float, float]


def layers() -> dict[str, list[list[str]]]:
    """The rooms of each package, from the top layer down."""
    config = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0]: [layer.split(" | ") for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers" and "containers" in contract
    }


def arrows() -> list[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    graph = grimp.build_graph(*PACKAGES)
    room = {name: ".".join(name.split(".")[:2]) for name in graph.modules}
    pairs = {(room[name], room[other]) for name in graph.modules for other in graph.find_modules_directly_imported_by(name)}
    return sorted((a, b) for a, b in pairs if a != b and "." in a and "." in b)


def without_shortcuts(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that don't follow from others: none from a room to one that it reaches by way of a third."""
    direct: dict[str, set[str]] = {}
    for a, b in pairs:
        direct.setdefault(a, set()).add(b)

    def reached(start: str) -> set[str]:
        return {far for near in direct.get(start, ()) for far in {near} | reached(near)}

    return [(a, b) for a, b in pairs if not any(b in reached(other) for other in direct[a] - {b})]


def places(rooms: dict[str, list[list[str]]]) -> dict[str, Place]:
    """The upper left corner of each room: the wings beside each other, the hall below."""
    found: dict[str, Place] = {}
    step = BOX_HEIGHT + GAP_Y
    below = MARGIN + TITLE + max(len(rooms["churn_assets"]), len(rooms["churn_api"])) * step + TITLE
    origin = {
        "churn_assets": (0, MARGIN + TITLE),
        "churn_api": (COLUMN, MARGIN + TITLE),
        "churn_store": (COLUMN / 2, below),
    }
    for package, its_layers in rooms.items():
        left, top = origin[package]
        for row, names in enumerate(its_layers):
            width = len(names) * (BOX_WIDTH + GAP_X) - GAP_X
            for position, name in enumerate(names):
                x = MARGIN + left + (COLUMN - width) / 2 + position * (BOX_WIDTH + GAP_X)
                found[f"{package}.{name}"] = (x, top + row * step)
    return found


def curve(start: Place, end: Place, colour: str) -> str:
    """An arrow from the bottom of one room to the top of another."""
    x, y = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    to_x, to_y = end[0] + BOX_WIDTH / 2, end[1] - 3
    bend = (to_y - y) / 2
    path = f"M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-opacity=".6" marker-end="url(#tip)"/>'


def picture() -> str:
    """The SVG, the same bytes for the same imports."""
    rooms = layers()
    where = places(rooms)
    lines = [(a, b) for a, b in without_shortcuts(arrows()) if a in where and b in where]
    width = MARGIN * 2 + 2 * COLUMN
    height = max(y for _, y in where.values()) + BOX_HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13">',
        "<title>The rooms and which imports which</title>",
        '<marker id="tip" markerWidth="6" markerHeight="6" refX="4" refY="3" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#4a5361"/></marker>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *(curve(where[a], where[b], PACKAGES[a.split(".")[0]]) for a, b in lines),
    ]
    for package, colour in PACKAGES.items():
        own = [place for name, place in where.items() if name.startswith(f"{package}.")]
        x = MARGIN + {"churn_assets": 0, "churn_api": COLUMN, "churn_store": COLUMN / 2}[package]
        top = min(y for _, y in own)
        parts.append(
            f'<text x="{x:.0f}" y="{top - 14:.0f}" font-size="16" font-weight="bold" fill="{colour}">{package}</text>'
        )
    for name, (x, y) in where.items():
        package, room = name.split(".")
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="#fff" stroke="{PACKAGES[package]}"/>'
            f'<text x="{x + BOX_WIDTH / 2:.0f}" y="{y + 20:.0f}" text-anchor="middle">{html.escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    target = TOP / "docs" / "images" / "rooms.svg"
    target.write_text(picture(), encoding="utf-8")
    print(
        f"wrote {target.relative_to(TOP)}: {len(places(layers()))} rooms, {len(arrows())} arrows, "
        f"of which {len(without_shortcuts(arrows()))} are drawn"
    )
