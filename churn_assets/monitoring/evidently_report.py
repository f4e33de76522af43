"""The drawing of a drift report: Evidently's page, for people, made small enough to be kept. It decides nothing (``drift`` does).

Belongs here: drawing, and what is left out of Evidently's page. Does not belong here: our own page, which shows the drawing in a frame
(``report_page``).
"""

import base64
import gzip
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from churn_store.model.signature import MISSING_CATEGORY, Column

LARGEST = 1_800_000
"""Most bytes of a drawing; with more, only the columns with the greatest PSI are drawn."""

LONG_NUMBER = re.compile(r"-?\d+\.\d{5,}(?:[eE][-+]?\d+)?")
"""A number with more digits than a chart shows; most of Evidently's data are digits."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the drawing may do wherever it is opened: its own scripts, and nothing from another host."""

PACKED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Drawing by Evidently</title>
<meta http-equiv="Content-Security-Policy" content="{policy}"></head>
<body><p id="state">Unpacking the drawing; it needs a browser of 2023 or newer, with scripts.</p>
<script type="application/gzip" id="packed">{packed}</script>
<script>
(async () => {{
  try {{
    const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), c => c.charCodeAt(0));
    const page = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    document.open(); document.write(page); document.close();
  }} catch (error) {{
    document.getElementById("state").textContent = "The drawing could not be unpacked: " + error;
  }}
}})();
</script></body></html>
"""


@dataclass(frozen=True)
class Drawing:
    """A drawn window.

    Attributes:
        page: HTML with scripts; ``None`` where nothing could be drawn.
        empty: names of the columns that could not be drawn, as one side has no value.
        omitted: names of the columns left out to keep the page small.
    """

    page: str | None
    empty: tuple[str, ...]
    omitted: tuple[str, ...] = ()


def draw(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    columns: Sequence[Column],
    *,
    allowed: Mapping[str, float],
    order: Sequence[str] = (),
    rows: int,
    seed: int,
) -> Drawing:
    """Draw a page that compares two frames column by column.

    Args:
        reference: training rows.
        window: rows of the newest snapshot.
        columns: columns to draw.
        allowed: PSI of each column up to which it is drawn as not drifted. Evidently's own limits would contradict our rule. The page
            draws one window and tests nothing; the verdict is in the asset's metadata.
        order: names of the columns, the most interesting first; where a page is too large, the last are left out.
        rows: greatest number of rows to draw of each side, by a sample.
        seed: seed of the sample.
    """
    drawn = [column for column in columns if reference[column.name].count() and window[column.name].count()]
    empty = tuple(column.name for column in columns if column not in drawn)
    ranks = {name: rank for rank, name in enumerate(order)}
    by_interest = sorted(drawn, key=lambda column: ranks.get(column.name, len(ranks)))
    kept = len(by_interest)
    while kept:
        wanted = set(by_interest[:kept])
        page = packed(_page(reference, window, [column for column in drawn if column in wanted], allowed, rows, seed))
        if len(page) <= LARGEST:
            return Drawing(page, empty, tuple(column.name for column in by_interest[kept:]))
        kept //= 2
    return Drawing(None, empty, tuple(column.name for column in by_interest))


def packed(page: str) -> str:
    """A page that unpacks another in the browser: Evidently's scripts and data shrink to a quarter."""
    short = LONG_NUMBER.sub(lambda number: f"{float(number[0]):.4g}", page)
    content = base64.b64encode(gzip.compress(short.encode(), 9, mtime=0)).decode()
    return PACKED.format(policy=POLICY, packed=content)


def unpacked(page: str) -> str:
    """The page inside a packed one."""
    found = re.search(r'<script type="application/gzip" id="packed">([^<]*)</script>', page)
    if found is None:
        raise ValueError("not a packed page")
    return gzip.decompress(base64.b64decode(found[1])).decode()


def _page(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    drawn: Sequence[Column],
    allowed: Mapping[str, float],
    rows: int,
    seed: int,
) -> str:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - five seconds of import
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    definition = DataDefinition(
        numerical_columns=[column.name for column in drawn if column.kind == "number"],
        categorical_columns=[column.name for column in drawn if column.kind == "category"],
    )

    def dataset(frame: pl.DataFrame) -> Dataset:
        sampled = frame.select([column.name for column in drawn]).sample(min(rows, frame.height), seed=seed)
        filled = sampled.with_columns(pl.col(pl.String).fill_null(MISSING_CATEGORY))
        return Dataset.from_pandas(filled.to_pandas(), data_definition=definition)

    # One drifted column counts as drift; Evidently's default is half of them.
    thresholds = {column.name: allowed[column.name] for column in drawn}
    preset = DataDriftPreset(method="psi", per_column_threshold=thresholds, drift_share=0.5 / len(drawn))
    return str(Report([preset]).run(dataset(window), dataset(reference)).get_html_str(as_iframe=False))
