"""Findings: what is odd about a window, by severity, and nothing where nothing is."""

import polars as pl
import pytest

from churn_assets.monitoring.findings import findings, in_words
from churn_store.alerts.log import Alert, LoggedAlert
from churn_store.model.signature import Column
from tests.release_factory import NOW_S

VISITS = Column(name="visits", kind="number", nullable=True, low=0, high=100)
PLAN = Column(name="plan", kind="category", categories=("free", "pro"))
COLUMNS = [VISITS, PLAN]
BEFORE = pl.DataFrame({"visits": [float(place) for place in range(100)], "plan": ["free", "pro"] * 50})


def found(window: pl.DataFrame, before: pl.DataFrame | None = BEFORE) -> list[tuple[str, str | None]]:
    return [(one.severity, one.feature) for one in findings(before, window, COLUMNS)]


def only(share: float, value: object, column: str = "visits") -> pl.DataFrame:
    """The reference, with another value in a share of the rows."""
    first = pl.int_range(pl.len()) < share * BEFORE.height
    return BEFORE.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (BEFORE, []),
        (BEFORE.head(1), []),
        (BEFORE.head(0), [("critical", None)]),
        (BEFORE.drop("plan"), [("critical", "plan")]),
        (only(1, None), [("critical", "visits")]),
        (only(0.21, None), [("warning", "visits")]),
        (only(0.2, None), []),
        (only(1, 7.0), [("warning", "visits")]),
        (only(0.04, 101.0), [("info", "visits")]),
        (only(0.05, -1.0), [("warning", "visits")]),
        (only(0.05, float("inf")), [("warning", "visits")]),
        (only(0.04, "gold", "plan"), [("info", "plan")]),
        (only(0.05, "gold", "plan"), [("warning", "plan")]),
        (BEFORE.with_columns(new=1), [("info", None)]),
        (only(0.05, "gold", "plan").drop("visits"), [("critical", "visits"), ("warning", "plan")]),
    ],
)
def test_what_is_odd_about_a_window_is_found_the_most_severe_first(
    window: pl.DataFrame, expected: list[tuple[str, str | None]]
) -> None:
    assert found(window) == expected


def test_a_feature_that_most_customers_lack_by_its_nature_is_no_finding() -> None:
    assert found(only(0.85, None), only(0.8, None)) == []


def test_a_feature_that_is_the_same_for_all_customers_of_a_snapshot_such_as_the_season_is_no_finding() -> None:
    before = BEFORE.with_columns(snapshot_s=pl.int_range(pl.len()) % 4)
    season = before.with_columns(visits=pl.col("snapshot_s").cast(pl.Float64))
    assert found(only(1, 7.0), before) == [("warning", "visits")]
    assert found(only(1, 7.0), season) == []


def test_a_file_alone_is_looked_at_without_a_reference() -> None:
    assert found(only(0.3, None), None) == [("warning", "visits")]


def test_the_verdict_counts_by_severity() -> None:
    assert in_words([]) == "Nothing was found."
    assert (
        in_words(findings(BEFORE, only(0.05, "gold", "plan").drop("visits"), COLUMNS))
        == "2 findings: 1 critical, 1 warning."
    )


def test_broken_data_that_is_open_stands_before_the_snapshot_that_stands() -> None:
    broken = LoggedAlert(
        1, 1, Alert("quality/events/2026-01-01/nulls", "quality", "critical", "nulls"), NOW_S, NOW_S, None, ""
    )
    drifted = LoggedAlert(2, 1, Alert("drift/snapshot/a", "drift", "warning", "drift"), NOW_S, NOW_S, None, "")
    assert in_words([], [drifted]) == "Nothing was found."
    assert in_words([], [broken, drifted]) == "Broken data: 1 alert is open, see below. Of the snapshot: nothing was found."
