"""Documents for people: headings, sentences, tables and pictures, written as one HTML file or as Markdown.

Belongs here: the form. Does not belong here: the content of a document (``champion.card``, ``backtest.report_page``). All text is
escaped, as a company may call a category anything.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from churn_assets.reporting.basis import Basis

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1d21; background: #fff; margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #c9ced6; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
ul { margin: .4rem 0 .8rem; padding-left: 1.3rem; max-width: 46rem; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; min-width: 22rem; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #4a5361; padding: 0 0 .35rem; max-width: 46rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .9rem .28rem 0; border-bottom: 1px solid #e3e6ea; }
td, tbody th { overflow-wrap: break-word; max-width: 42rem; }
thead th { border-bottom: 1px solid #8b94a1; }
tbody th { font-weight: 600; }
.short { white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
figure { margin: .8rem 0 1.2rem; }
figure svg { max-width: 100%; height: auto; }
iframe { width: 100%; height: 46rem; border: 1px solid #c9ced6; }
figcaption { color: #4a5361; font-size: .9rem; max-width: 46rem; }
@media print { main { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
"""What a document may do wherever it is opened: no script runs in it, and nothing is fetched from another host."""

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( ?%)?( \([^)]*\))?")
"""The pattern of cells that are aligned to the right: a number, perhaps followed by an interval."""

SHORT = 26
"""The greatest length of a cell that is not broken into lines."""

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


@dataclass(frozen=True)
class Heading:
    """The beginning of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """One or several sentences."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Sentences, one below the other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class DocumentTable:
    """Rows under a head; the first cell of each names it.

    Attributes:
        caption: caption of the table.
        head: names of the columns.
        rows: cells of each row, as many as the head has.
        bases: what the figures of each row rest on: one word for all rows, which the caption says, or one for each, in a column of their
            own; empty for a table without figures.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bases: tuple[Basis, ...] = ()

    def __post_init__(self) -> None:
        if len(self.bases) > 1 and len(self.bases) != len(self.rows):
            raise ValueError(f"{len(self.bases)} bases for {len(self.rows)} rows; expected one for all, or one for each")

    @property
    def written_out(self) -> "DocumentTable":
        """The table with its evidence as text."""
        words = dict.fromkeys(self.bases)
        if not words:
            return self
        if len(words) == 1:
            return DocumentTable(f"{self.caption.rstrip('.')}. Evidence: {next(iter(words))}.", self.head, self.rows)
        rows = tuple((*row, basis.value) for row, basis in zip(self.rows, self.bases, strict=True))
        return DocumentTable(self.caption, (*self.head, "evidence"), rows)


@dataclass(frozen=True)
class Picture:
    """A drawing of numbers that a table beside it contains as well, so that Markdown leaves it out.

    Attributes:
        svg: drawing with a title of its own (``chart``).
        caption: caption below the chart.
    """

    svg: str
    caption: str


@dataclass(frozen=True)
class Frame:
    """Another page, shown in a sandbox: its scripts run without the origin of this one. Markdown leaves it out.

    Attributes:
        file: name of its file, beside this one.
        title: what it shows.
    """

    file: str
    title: str


DocumentPart = Heading | Paragraph | Bullets | DocumentTable | Picture | Frame


@dataclass(frozen=True)
class Document:
    """A title and the parts below it."""

    title: str
    blocks: tuple[DocumentPart, ...]

    def html(self) -> str:
        """The document as one HTML file that needs no other file."""
        title = html.escape(self.title)
        body = "\n".join(_html(block) for block in self.blocks)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
            f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
        )

    def markdown(self) -> str:
        """The document as Markdown, without pictures and frames."""
        parts = [f"# {_marked(self.title)}", *map(_markdown, filter(_is_text, self.blocks))]
        return "\n\n".join(parts) + "\n"


def _is_text(block: DocumentPart) -> bool:
    return not isinstance(block, Picture | Frame)


def _html(block: DocumentPart) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>"
        case Picture(svg, caption):
            return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
        case Frame(file, title):
            return f'<iframe sandbox="allow-scripts" src="{html.escape(file)}" title="{html.escape(title)}"></iframe>'
        case DocumentTable():
            table = block.written_out
            return _html_table(table.caption, table.head, table.rows)


def _html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = [all(NUMBER.fullmatch(row[place]) or not row[place] for row in rows) for place in range(len(head))]
    classes = [' class="number"' if right[place] and place else "" for place in range(len(head))]
    heads = "".join(f'<th scope="col"{cls}>{html.escape(name)}</th>' for name, cls in zip(head, classes, strict=True))
    lines = []
    for first, *others in rows:
        cells = "".join(
            f"<td{cls or _short(cell)}>{html.escape(cell)}</td>" for cell, cls in zip(others, classes[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row"{_short(first)}>{html.escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table><caption>{html.escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _short(cell: str) -> str:
    return ' class="short"' if len(cell) <= SHORT else ""


def _markdown(block: DocumentPart) -> str:
    match block:
        case Heading(text):
            return f"## {_marked(text)}"
        case Paragraph(text):
            return _marked(text)
        case Bullets(items):
            return "\n".join(f"- {_marked(item)}" for item in items)
        case DocumentTable():
            table = block.written_out
            lines = [table.head, ["---"] * len(table.head), *table.rows]
            text = "\n".join(
                f"| {' | '.join(cell if place == 1 else _marked(cell) for cell in line)} |"
                for place, line in enumerate(lines)
            )
            return f"{_marked(table.caption)}\n\n{text}"
        case Picture() | Frame():
            raise ValueError("Markdown leaves pictures and frames out")


def _marked(text: str) -> str:
    """Text on one line, escaped so that Markdown shows it letter for letter."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
