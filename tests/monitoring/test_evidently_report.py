"""The drawing of a report: small, with nothing from elsewhere, and right also where a column holds nothing."""

import polars as pl
import pytest

from churn_assets.monitoring import evidently_report
from churn_assets.monitoring.evidently_report import POLICY, draw, packed, unpacked
from tests.monitoring.test_drift import COLUMNS, frame

pytestmark = pytest.mark.integration
ALLOWED = {column.name: 0.1 for column in COLUMNS}


@pytest.mark.parametrize("empty", [(), ("gaps",), tuple(column.name for column in COLUMNS)])
def test_the_drawing_names_what_could_not_be_drawn(empty: tuple[str, ...]) -> None:
    window = frame(300, 1).with_columns(pl.lit(None, dtype=frame(300, 1)[name].dtype).alias(name) for name in empty)
    drawn = draw(frame(400, 2), window, COLUMNS, allowed=ALLOWED, rows=200, seed=1)
    assert (drawn.empty, drawn.omitted) == (empty, ())
    if len(empty) == len(COLUMNS):
        assert drawn.page is None
        return
    assert drawn.page is not None
    assert drawn.page.startswith("<!doctype html>")
    assert len(drawn.page) < 2_000_000
    assert f'content="{POLICY}"' in drawn.page
    assert "http" not in drawn.page.replace("http-equiv", "").split('id="packed"')[0]


@pytest.mark.parametrize(("allowed", "says"), [(1e9, "is NOT detected"), (-1.0, "is detected")])
def test_the_drawing_calls_drift_what_our_rule_allows_and_nothing_else(allowed: float, says: str) -> None:
    limits = {column.name: allowed if column is COLUMNS[0] else 1e9 for column in COLUMNS}
    drawn = draw(frame(400, 2), frame(300, 1), COLUMNS, allowed=limits, rows=200, seed=1)
    assert drawn.page is not None
    assert f"Dataset Drift {says}" in unpacked(drawn.page)


def test_a_drawing_that_is_too_large_keeps_the_most_interesting_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [column.name for column in COLUMNS]
    order = list(reversed(names))
    monkeypatch.setattr(
        evidently_report, "_page", lambda reference, window, drawn, *rest: (",".join(column.name for column in drawn), "{}")
    )
    half = order[: len(names) // 2]
    monkeypatch.setattr(evidently_report, "LARGEST", len(packed(",".join(name for name in names if name in half))))
    drawn = draw(frame(400, 2), frame(300, 1), COLUMNS, allowed=ALLOWED, order=order, rows=200, seed=1)
    assert drawn.page is not None
    assert set(unpacked(drawn.page).split(",")) == set(half)
    assert drawn.omitted == tuple(order[len(names) // 2 :])


def test_packing_shortens_numbers_and_keeps_everything_else() -> None:
    page = '<script>{"psi": 0.123456789, "n": 42, "p": -1.25e-7, "q": 1.234567e-05, "text": "größer"}</script>'
    assert unpacked(packed(page)) == page.replace("0.123456789", "0.1235").replace("1.234567e-05", "1.235e-05")
