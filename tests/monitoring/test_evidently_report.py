"""The drawn report: a page for people, also where a column holds nothing."""

from pathlib import Path

import polars as pl
import pytest

from churn_assets.monitoring.evidently_report import draw
from tests.monitoring.test_drift import COLUMNS, frame

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("empty", "left_out"), [((), []), (("gaps",), ["gaps"]), (tuple(c.name for c in COLUMNS), [c.name for c in COLUMNS])]
)
def test_the_page_is_written_and_names_what_could_not_be_drawn(
    tmp_path: Path, empty: tuple[str, ...], left_out: list[str]
) -> None:
    window = frame(300, 1).with_columns(pl.lit(None, dtype=frame(300, 1)[name].dtype).alias(name) for name in empty)
    page = tmp_path / "reports" / "drift.html"
    allowed = {column.name: 0.1 for column in COLUMNS}
    assert draw(frame(400, 2), window, COLUMNS, page, allowed=allowed, rows=200, seed=1) == left_out
    assert "<html" in page.read_text(encoding="utf-8")[:2_000].lower()
    assert [file.name for file in page.parent.iterdir()] == ["drift.html"]


@pytest.mark.parametrize(("allowed", "says"), [(1e9, "is NOT detected"), (-1.0, "is detected")])
def test_the_page_calls_drift_what_our_rule_allows_and_nothing_else(tmp_path: Path, allowed: float, says: str) -> None:
    page = tmp_path / "drift.html"
    draw(
        frame(400, 2),
        frame(300, 1),
        COLUMNS,
        page,
        allowed={column.name: allowed if column is COLUMNS[0] else 1e9 for column in COLUMNS},
        rows=200,
        seed=1,
    )
    assert f"Dataset Drift {says}" in page.read_text(encoding="utf-8")
