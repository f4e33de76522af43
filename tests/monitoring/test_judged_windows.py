"""Windows in their order: since when they moved, how unusual that is, and which are judged again."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from msgspec import structs

from churn_assets.monitoring import judged_windows
from churn_assets.monitoring.history_update import REJUDGED, merged, periods_to_judge
from churn_assets.monitoring.judged_windows import CALLED, Against, Comparer, in_order
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_assets.tables import SCORE
from churn_store.model.signature import Signature
from churn_store.monitoring.facts import DriftWindow
from tests.monitoring.test_drift import COLUMNS, frame, reference, shifted
from tests.monitoring.test_history import UNJUDGED, move, window

RELEASE, OTHER = "a" * 64, "c" * 64
WORDS = tuple(sorted(frame(3_000, 1_000)["word"].unique()))
SIGNATURE = Signature(tuple(structs.replace(one, categories=WORDS if one.name == "word" else ()) for one in COLUMNS))


def against(**said: Any) -> Against:
    scored = reference().with_columns(pl.lit(0.25).alias(SCORE))
    plain = Against(RELEASE, RELEASE, SIGNATURE, scored, frozenset({"tenure"}), {}, Monitoring(), EvaluationSettings())
    return replace(plain, **said)


def scored(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.lit(0.25).alias(SCORE), pl.lit(value=False).alias(CALLED))


def judged(*moved: bool, earlier: list[DriftWindow] | None = None, **said: Any) -> list[DriftWindow]:
    compared = [
        one
        for place, is_moved in enumerate(moved, start=1)
        for one in Comparer(against(**said)).compared(
            f"2025-0{place}-01",
            "snapshot",
            scored(shifted(place, by=1) if is_moved else frame(800, place)),
            with_segments=False,
        )
    ]
    return in_order(compared, earlier or [], against(**said))


def test_a_window_says_since_when_it_has_moved_without_a_break() -> None:
    found = judged(False, True, False, True, True, True)
    assert [one.since for one in found] == [None, "2025-02-01", None, *["2025-04-01"] * 3]
    assert [one.state for one in found] == ["unknown", "fine", "fine", "attention", "attention", "attention"]


def test_the_share_of_earlier_windows_that_moved_less_is_said_of_each() -> None:
    found = judged(False, False, True, True)
    assert found[0].unusual is None
    assert found[2].unusual == 1.0
    assert found[3].unusual in {2 / 3, 1.0}


def test_windows_of_another_release_or_baseline_do_not_count() -> None:
    before = [window("2024-12-01", release=RELEASE, baseline=RELEASE), window("2024-11-01", release=OTHER, baseline=OTHER)]
    [mine] = judged(True, earlier=before)
    assert (mine.since, mine.state) == ("2024-12-01", "fine")
    [alone] = judged(True, earlier=before[1:])
    assert (alone.since, alone.unusual, alone.state) == ("2025-01-01", None, "unknown")


def test_segments_are_compared_with_the_same_segment_of_the_reference() -> None:
    moved = frame(2_000, 3).with_columns(normal=pl.when(word="a").then(pl.col("normal") + 1).otherwise("normal"))
    compared = list(Comparer(against()).compared("2025-01-01", "snapshot", scored(moved), with_segments=True))
    found = {one.segment: [row.feature for row in one.moves if row.drifted] for one in compared}
    assert found["word=a"] == ["normal"]
    assert found["word=b"] == []
    assert next(iter(found)) is None


def test_a_statistic_that_raises_makes_an_unknown_window_and_the_error_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise ValueError("c17")

    monkeypatch.setattr(judged_windows, "compare", broken)
    comparer = Comparer(against())
    compared = list(comparer.compared("2025-01-01", "snapshot", scored(frame(800, 1)), with_segments=False))
    [found] = in_order(compared, [], against())
    assert (found.state, found.features, found.since) == ("unknown", [], None)
    assert "c17" not in found.verdict
    assert [type(error) for error in comparer.failures] == [ValueError]


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_few_rows_and_no_reference_are_unknown_and_never_fine(rows: int) -> None:
    for reference_rows in (None, reference().with_columns(pl.lit(0.2).alias(SCORE))):
        basis = against(reference=reference_rows)
        compared = list(
            Comparer(basis).compared("2025-01-01", "served", scored(frame(800, 1).head(rows)), with_segments=False)
        )
        [found] = in_order(compared, [], basis)
        assert (found.state, found.rows, found.features) == ("unknown", rows, [])
        assert (found.mean_score is None) is (rows == 0)


KEYS = [f"2024-{month:02}-01" for month in range(1, 13)] + ["2025-01-01", "2025-02-01"]


def asked(stored: list[DriftWindow], of: Any = "snapshot", lost: tuple[str, ...] = ()) -> list[str]:
    return periods_to_judge(KEYS, stored, of, release=RELEASE, baseline=RELEASE, lost=lost)


def test_what_is_judged_is_the_newest_or_all_of_a_year_where_another_release_served() -> None:
    mine = [window(key, release=RELEASE, baseline=RELEASE) for key in KEYS]
    assert asked([]) == KEYS[-REJUDGED:]
    assert asked(mine) == KEYS[-1:]
    assert asked(mine[:-3]) == KEYS[-3:]
    assert asked([window(key, release=OTHER, baseline=OTHER) for key in KEYS]) == KEYS[-REJUDGED:]
    assert asked(mine, lost=("2024-01-01",)) == KEYS
    assert asked([window(key, of="served", release=RELEASE, baseline=RELEASE) for key in KEYS], "served") == KEYS[-2:]


def test_what_could_not_be_judged_is_tried_again() -> None:
    mine = [window(key, release=RELEASE, baseline=RELEASE) for key in KEYS[:-2]]
    assert asked([*mine, window(KEYS[-2], **{**UNJUDGED, "release": RELEASE, "baseline": RELEASE})]) == KEYS[-2:]


def test_a_judged_window_takes_the_place_of_the_stored_one_with_its_segments_and_leaves_the_others() -> None:
    stored = [window("k", release=OTHER), window("k", release=OTHER, segment="plan=pro"), window("k", of="served")]
    new = window("k", release=RELEASE)
    assert merged(stored, [new]) == [stored[2], new]
    same = [window("k", release=RELEASE), window("k", release=RELEASE, segment="plan=pro")]
    assert merged(same, [new]) == [new, same[1]]


def test_a_release_that_answered_too_few_requests_does_not_hide_what_the_former_one_was_asked() -> None:
    former = window("k", of="served", release=OTHER)
    few = window("k", **{**UNJUDGED, "of": "served", "release": RELEASE})
    many = window("k", of="served", release=RELEASE, features=[move("visits")])
    assert merged([former], [few]) == [former]
    assert merged([former], [many]) == [many]
