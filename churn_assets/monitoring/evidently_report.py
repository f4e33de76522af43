"""Evidently's pages of drift and of data quality, for people, made small enough to be kept. They decide nothing (``drift`` and ``findings`` do).

Belongs here: drawing, and what is left out of Evidently's page. Does not belong here: our own pages, which show the drawing in a frame
(``report_page``, ``quality_page``).
"""

import base64
import gzip
import json
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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


Kind = Literal["drift", "quality"]
"""What is drawn: Evidently's preset of drift, by PSI, or its summary of the data."""


@dataclass(frozen=True)
class Drawing:
    """A drawn window.

    Attributes:
        page: HTML with scripts; ``None`` where nothing could be drawn.
        figures: Evidently's figures as JSON; ``None`` where nothing could be drawn.
        empty: names of the columns that could not be drawn, as one side has no value.
        omitted: names of the columns left out to keep the page small.
    """

    page: str | None
    figures: str | None
    empty: tuple[str, ...]
    omitted: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """What is not drawn and why, in sentences; empty where everything is."""
        said = []
        if self.empty:
            said.append(f"Not drawn, as one side has no value: {', '.join(self.empty)}.")
        if self.omitted:
            said.append(f"Not drawn, to keep the page small: {', '.join(self.omitted)}.")
        return " ".join(said)


def draw(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    columns: Sequence[Column],
    *,
    kind: Kind = "drift",
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
        kind: what is drawn.
        allowed: PSI of each column up to which it is drawn as not drifted. Evidently's own limits would contradict our rule. The page
            draws one window and tests nothing; the verdict is in the asset's metadata.
        order: names of the columns, the most interesting first; where a page is too large, the last are left out.
        rows: greatest number of rows to draw of each side, by a sample.
        seed: seed of the sample.
    """
    # Sampled before it is asked which columns are empty: a few values of many rows may all be left out, and Evidently refuses that.
    before, now = (side.sample(min(rows, side.height), seed=seed) for side in (reference, window))
    drawn = [column for column in columns if before[column.name].count() and now[column.name].count()]
    empty = tuple(column.name for column in columns if column not in drawn)
    ranks = {name: rank for rank, name in enumerate(order)}
    by_interest = sorted(drawn, key=lambda column: ranks.get(column.name, len(ranks)))
    kept = len(by_interest)
    while kept:
        wanted = set(by_interest[:kept])
        page, figures = _page(before, now, [column for column in drawn if column in wanted], allowed, kind)
        page = packed(page)
        if len(page) <= LARGEST:
            return Drawing(page, figures, empty, tuple(column.name for column in by_interest[kept:]))
        kept //= 2
    return Drawing(None, None, empty, tuple(column.name for column in by_interest))


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
    kind: Kind,
) -> tuple[str, str]:
    """Evidently's page, and its figures as JSON."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - five seconds of import
    from evidently.presets import DataDriftPreset, DataSummaryPreset  # noqa: PLC0415

    definition = DataDefinition(
        numerical_columns=[column.name for column in drawn if column.kind == "number"],
        categorical_columns=[column.name for column in drawn if column.kind == "category"],
    )

    def dataset(frame: pl.DataFrame) -> Dataset:
        filled = frame.select([column.name for column in drawn]).with_columns(pl.col(pl.String).fill_null(MISSING_CATEGORY))
        return Dataset.from_pandas(filled.to_pandas(), data_definition=definition)

    preset: Any = DataSummaryPreset()
    if kind == "drift":
        # One drifted column counts as drift; Evidently's default is half of them.
        thresholds = {column.name: allowed[column.name] for column in drawn}
        preset = DataDriftPreset(method="psi", per_column_threshold=thresholds, drift_share=0.5 / len(drawn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a window of one row, which has no deviation
        found = Report([preset]).run(dataset(window), dataset(reference))
        return str(found.get_html_str(as_iframe=False)), json.dumps(_with_null(json.loads(found.json())))


def _with_null(value: Any) -> Any:
    """Figures with null where Evidently has NaN or infinity, which JSON does not have."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _with_null(one) for name, one in value.items()}
        case list():
            return [_with_null(one) for one in value]
        case _:
            return value
