"""The benchmark of the drift rule measures the rule itself, counts as it says, and has others' rules as others have them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from churn_assets.detector.changes import CHANGES
from churn_assets.detector.figures import episodes, false_alarms, share_interval
from churn_assets.detector.moves import alerts, first_alert, moves_of
from churn_assets.detector.peers import PeerColumn, Peers, uncorrected_psi
from churn_assets.detector.replays import Year, independent_year, samples
from churn_assets.monitoring.drift import Baseline, judge_windows
from churn_assets.monitoring.drift_statistics import Sample
from churn_assets.settings.monitoring import Monitoring
from churn_store.model.signature import Column

RULE = Monitoring()
NUMBER, WORD = Column(name="x", kind="number"), Column(name="x", kind="category")


@pytest.fixture(scope="module")
def year() -> Year:
    """Five windows without a change."""
    return independent_year(400, np.random.default_rng(9), windows=5)


def test_the_replayed_rule_is_the_rule_itself() -> None:
    generator = np.random.default_rng(11)
    columns = [Column(name=name, kind="number", nullable=True) for name in ("a", "b")] + [Column(name="c", kind="category")]

    def drawn(rows: int, by: float) -> pl.DataFrame:
        gone = generator.random(rows) < 0.1
        return pl.DataFrame(
            {
                "a": generator.normal(size=rows) + by,
                "b": pl.Series(np.where(gone, np.nan, generator.poisson(2 + by, rows))).fill_nan(None),
                "c": generator.choice(["x", "y", "z"], rows, p=[0.5, 0.3 + by / 10, 0.2 - by / 10]),
            }
        )

    reference = drawn(4_000, 0.0).with_columns(snapshot_s=pl.int_range(pl.len()) % 5)
    usual = [drawn(500, 0.1) for _ in range(4)]
    windows = {str(place): drawn(600, by) for place, by in enumerate((0.0, 0.3, 0.6, 0.2))}
    replayed = Year(
        Baseline(reference, columns, usual), tuple(columns), tuple(samples(rows, columns) for rows in windows.values())
    )
    found = moves_of(replayed, RULE)
    drifted = found.drifted(RULE)
    for place, (name, rows) in enumerate(windows.items()):
        judged = judge_windows(reference, {name: rows}, columns, (), RULE, usual=usual).windows[name]
        assert [row.psi for row in judged] == pytest.approx(found.psi[place].tolist())
        assert [row.cut for row in judged] == pytest.approx(found.cut[place].tolist())
        assert [row.drifted for row in judged] == drifted[place].tolist()
    assert drifted.any()
    assert not drifted.all()
    agreeing = judge_windows(reference, windows, columns, (), RULE, usual=usual).agreeing
    assert [column.name for column, alert in zip(columns, alerts(drifted, RULE)[-1], strict=True) if alert] == list(
        agreeing
    )


def test_a_false_alarm_that_stays_is_one_episode_and_the_interval_is_that_of_a_count() -> None:
    stays, flickers = np.array([0, 1, 1, 1, 0], dtype=bool), np.array([1, 0, 1, 0, 1], dtype=bool)
    assert (episodes(stays), episodes(flickers)) == (1, 3)
    counted = false_alarms([stays, flickers], [stays, flickers])
    assert (counted.episodes, counted.alert, counted.years) == (2.0, 0.6, 2)
    assert (2 * counted.low, 2 * counted.high) == pytest.approx((1.09, 10.24), abs=0.01)
    assert share_interval(0, 10) == (0.0, pytest.approx(0.3085, abs=1e-3))


def test_an_alert_needs_two_of_three_windows_and_the_delay_counts_from_the_first_changed_one() -> None:
    drifted = np.array([[1], [0], [0], [1], [1], [0]], dtype=bool)
    assert alerts(drifted, RULE)[:, 0].tolist() == [False, False, False, False, True, True]
    assert first_alert(alerts(drifted, RULE)[2:, 0]) == 3
    assert first_alert([False, False]) is None


@pytest.mark.parametrize("kind", ["mean", "variance", "mix", "missing"])
def test_a_change_does_what_its_size_says(kind: str) -> None:
    generator = np.random.default_rng(2)
    column = Sample.of(pl.Series(generator.exponential(3.0, 20_000)), NUMBER)
    changed = CHANGES[kind][0](column, column, 0.25, generator)
    assert changed.rows == column.rows
    assert (np.diff(changed.present) >= 0).all()
    measured = {
        "mean": (changed.mean - column.mean) / 3.0,
        "variance": float(changed.variance / column.variance) - 1,
        "mix": (changed.mean - column.mean) / 3.0,
        "missing": changed.missing / column.rows,
    }[kind]
    expected = {"mean": 0.25, "variance": 0.51, "mix": 0.25 * np.log(4), "missing": 0.25}[kind]
    assert measured == pytest.approx(expected, abs=0.05)


def test_whole_numbers_stay_whole_and_what_is_never_negative_stays_so() -> None:
    generator = np.random.default_rng(3)
    column = Sample.of(pl.Series(generator.poisson(2, 5_000).astype(float)), NUMBER)
    for kind in ("mean", "variance"):
        changed = CHANGES[kind][0](column, column, 0.5, generator).present
        assert (changed == np.floor(changed)).all()
        assert changed[0] >= 0


def test_what_no_rule_of_one_input_can_see_leaves_the_window_as_it_is(year: Year) -> None:
    column = year.windows[0]["normal_0"]
    for kind in ("correlation only", "concept, labels not mature"):
        assert CHANGES[kind][0](column, column, 1.0, np.random.default_rng(1)) is column


def test_others_rules_are_silent_on_the_reference_itself_and_loud_on_a_great_change(year: Year) -> None:
    peers, name = Peers(year), "normal_0"
    same = year.baseline.samples[name]
    assert peers.of_column(name, same) == [False] * 5
    far = replace(same, present=same.present + 3)
    assert peers.of_column(name, far) == [True] * 5
    assert uncorrected_psi(np.array([50.0, 50.0]), np.array([25.0, 75.0])) == pytest.approx(0.25 * np.log(3))


@pytest.mark.integration
@pytest.mark.parametrize("rows", [600, 4_000])
def test_evidentlys_rule_is_that_of_the_library(rows: int) -> None:
    """Its own report on ten windows each of a small and of a large reference: which columns, and how many."""
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - five seconds of import
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    generator = np.random.default_rng(rows)
    kinds = {"number": "number", "count": "number", "few": "number", "two": "number", "gaps": "number", "word": "category"}

    def drawn(size: int, by: float) -> pl.DataFrame:
        gaps = generator.exponential(1 + by, size)
        return pl.DataFrame(
            {
                "number": generator.normal(size=size) + by,
                "count": generator.poisson(4 + 2 * by, size).astype(float),
                "few": generator.binomial(3, 0.4 + by / 5, size).astype(float),
                "two": generator.binomial(1, 0.3 + by / 5, size).astype(float),
                "gaps": pl.Series(np.where(generator.random(size) < 0.2, np.nan, gaps)).fill_nan(None),
                "word": generator.choice(["a", "b", "c"], size, p=[0.5 - by / 10, 0.3, 0.2 + by / 10]),
            }
        )

    def dataset(frame: pl.DataFrame) -> Dataset:
        names = {kind: [name for name, of in kinds.items() if of == kind] for kind in ("number", "category")}
        definition = DataDefinition(numerical_columns=names["number"], categorical_columns=names["category"])
        return Dataset.from_pandas(frame.to_pandas(), data_definition=definition)

    past = drawn(rows, 0.0)
    columns = [Column(name=name, kind=kind) for name, kind in kinds.items()]  # type: ignore[arg-type]
    ours = {column.name: PeerColumn(Sample.of(past[column.name], column)) for column in columns}
    verdicts = []
    for by in np.linspace(0, 0.6, 10):
        now = drawn(500, float(by))
        found = Report([DataDriftPreset()]).run(dataset(now), dataset(past)).dict()
        [count] = [
            metric["value"]["count"] for metric in found["metrics"] if "DriftedColumnsCount" in metric["metric_name"]
        ]
        said = [ours[column.name].is_evidently_drift(Sample.of(now[column.name], column)) for column in columns]
        assert sum(said) == count
        verdicts += said
    assert True in verdicts
    assert False in verdicts
