"""The leak alarm: a feature that tells the label alone is found, whichever way it tells; an honest one, or chance, is not."""

import time
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.training.contracts import no_single_feature_tells
from churn_assets.training.leakage import Auc, single_feature_aucs
from churn_store.model.signature import Column

COUNT = 4_000
LIMIT = 0.95
Draw = Callable[[np.random.Generator, np.ndarray], list[object]]


def attribute(kind: str) -> tuple[Feature, ...]:
    return features_of(["customers"], [Column(name="told", kind=kind, nullable=True)], has_time=False)  # type: ignore[arg-type]


def rows_with(draw: Draw, kind: str, seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    churned = generator.random(COUNT) < 0.1
    return pl.DataFrame(
        {
            "told": pl.Series(draw(generator, churned), dtype=pl.Float64 if kind == "number" else pl.String),
            "churned": churned,
        }
    )


def auc_of(rows: pl.DataFrame, kind: str) -> Auc | None:
    return single_feature_aucs(rows, attribute(kind))["told"]


def _where(churned: np.ndarray, left: list[object], stayed: list[object]) -> list[object]:
    return [one if gone else other for gone, one, other in zip(churned, left, stayed, strict=True)]


def _numbers(values: np.ndarray) -> list[object]:
    return [float(value) for value in values]


LEAKS: dict[str, tuple[str, Draw]] = {
    "higher for who left": ("number", lambda g, left: _numbers(g.normal(0, 1, COUNT) + 5 * left)),
    "lower for who left": ("number", lambda g, left: _numbers(g.normal(0, 1, COUNT) - 5 * left)),
    "missing for who stayed": ("number", lambda g, left: _where(left, _numbers(g.random(COUNT)), [None] * COUNT)),
    "missing for who left": ("category", lambda g, left: _where(left, [None] * COUNT, ["a"] * COUNT)),
    "there for half, and tells them": (
        "number",
        lambda g, left: [None if g.random() < 0.5 else float(gone) + g.random() for gone in left],
    ),
    "a word": (
        "category",
        lambda g, left: _where(left, list(g.choice(["x", "y"], COUNT)), list(g.choice(["a", "b"], COUNT))),
    ),
    "a code in the middle": ("number", lambda g, left: _where(left, [5.0] * COUNT, _numbers(g.choice([1, 9], COUNT)))),
}
HONEST: dict[str, tuple[str, Draw]] = {
    "chance": ("number", lambda g, left: _numbers(g.random(COUNT))),
    "a good feature": ("number", lambda g, left: _numbers(g.normal(0, 1, COUNT) + 1.5 * left)),
    "a word for each row": ("category", lambda g, left: [f"id{i}" for i in range(COUNT)]),
    "two thousand words": ("category", lambda g, left: [f"w{i}" for i in g.integers(0, 2_000, COUNT)]),
    "nearly never there": ("number", lambda g, left: [g.random() if i < 40 else None for i in range(COUNT)]),
    "never there": ("number", lambda g, left: [None] * COUNT),
    "always the same": ("category", lambda g, left: ["a"] * COUNT),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_feature_that_tells_the_label_alone_is_found_and_named_with_its_auc(name: str) -> None:
    kind, draw = LEAKS[name]
    aucs = single_feature_aucs(rows_with(draw, kind), attribute(kind))
    found = no_single_feature_tells(aucs, LIMIT)
    assert not found.passed
    assert aucs["told"] is not None
    value = aucs["told"].value
    assert found.found.startswith(f"told (AUC {value:.3f}) alone, above 0.95")
    assert found.metadata == {"features": "told", "largest_auc": value, "not_measured": "none"}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_feature_passes_however_many_words_it_has(name: str) -> None:
    kind, draw = HONEST[name]
    aucs = single_feature_aucs(rows_with(draw, kind), attribute(kind))
    assert aucs["told"] is not None
    assert 0.5 <= aucs["told"].value < 0.9
    assert no_single_feature_tells(aucs, LIMIT).passed


def test_the_auc_of_a_number_is_the_usual_one_in_the_better_direction() -> None:
    rows = rows_with(lambda g, left: _numbers((g.normal(0, 1, COUNT) - left).round(2)), "number")
    found = auc_of(rows, "number")
    assert found is not None
    assert found.value == pytest.approx(1 - roc_auc_score(rows["churned"], rows["told"]))


def few(left: int, stayed: int, kind: str, draw: Draw, *, seed: int = 1) -> pl.DataFrame:
    """Rows of which so few left, spread among those who stayed."""
    generator = np.random.default_rng(seed)
    churned = generator.permutation(np.arange(left + stayed) < left)
    kept = pl.Float64 if kind == "number" else pl.String
    return pl.DataFrame({"told": pl.Series(draw(generator, churned), dtype=kept), "churned": churned})


@pytest.mark.parametrize("kind", ["number", "category"])
@pytest.mark.parametrize(("left", "stayed"), [(5, 100), (9, 60), (20, 2_000), (80, 4_000), (100, 5)])
def test_a_feature_that_is_the_label_is_found_among_few_who_left_or_stayed(kind: str, left: int, stayed: int) -> None:
    rows = few(
        left,
        stayed,
        kind,
        lambda _, gone: _numbers(gone) if kind == "number" else _where(gone, ["x"] * gone.size, ["y"] * gone.size),
    )
    found = no_single_feature_tells(single_feature_aucs(rows, attribute(kind)), LIMIT)
    assert not found.passed
    assert found.metadata["largest_auc"] == 1.0


@pytest.mark.parametrize("kind", ["number", "category"])
@pytest.mark.parametrize("left", [5, 7, 10, 20, 50])
def test_chance_among_few_rows_is_no_alarm(kind: str, left: int) -> None:
    def draw(generator: np.random.Generator, churned: np.ndarray) -> list[object]:
        if kind == "category":
            return list(generator.choice(["a", "b", "c", "d"], churned.size))
        return _numbers(generator.normal(0, 1, churned.size) + churned)

    rows = [few(left, 195, kind, draw, seed=seed) for seed in range(200)]
    alarms = [not no_single_feature_tells(single_feature_aucs(drawn, attribute(kind)), LIMIT).passed for drawn in rows]
    assert sum(alarms) == 0


def test_among_few_rows_the_lower_bound_is_what_counts() -> None:
    assert Auc(0.96, rarer=50, commoner=190).above(LIMIT)
    assert not Auc(0.96, rarer=49, commoner=191).above(LIMIT)
    assert Auc(1.0, rarer=5, commoner=100).above(LIMIT)
    assert not Auc(0.95, rarer=400, commoner=4_000).above(LIMIT)


def test_words_of_which_one_row_each_left_say_nothing() -> None:
    # Of a row that left, the word's other rows all stayed: its rate is the lowest, which is no way to tell it.
    rows = pl.DataFrame({"told": [f"w{i}" for i in range(100)] * 6, "churned": [True] * 100 + [False] * 500})
    found = auc_of(rows.sample(fraction=1, shuffle=True, seed=3), "category")
    assert found is not None
    assert found.value == 0.5


@pytest.mark.proofs
def test_the_standard_error_is_how_far_aucs_of_few_rows_spread() -> None:
    # Of exponential scores, for which the formula is exact; their AUC is 0.9 where one mean is nine times the other.
    generator = np.random.default_rng(4)
    labels = np.arange(60) < 20
    drawn = [roc_auc_score(labels, generator.exponential(np.where(labels, 9.0, 1.0))) for _ in range(2_000)]
    assert Auc(0.9, rarer=20, commoner=40).error == pytest.approx(float(np.std(drawn)), rel=0.05)


@pytest.mark.parametrize("kind", ["number", "category"])
@pytest.mark.parametrize(("left", "stayed"), [(4, 300), (300, 4), (0, 300)])
def test_too_few_rows_of_a_class_are_not_measured_and_the_check_says_so(kind: str, left: int, stayed: int) -> None:
    rows = few(left, stayed, kind, lambda _, gone: _numbers(gone) if kind == "number" else ["x"] * gone.size)
    found = no_single_feature_tells(single_feature_aucs(rows, attribute(kind)), LIMIT)
    assert found.passed
    assert found.found == "not measured: told, as fewer than 5 rows churned or stayed"
    assert found.metadata == {"features": "none", "not_measured": "told"}


def test_a_hundred_thousand_rows_of_fifty_features_take_seconds() -> None:
    generator = np.random.default_rng(2)
    count = 100_000
    features = features_of(["customers"], [Column(name=f"f{i}", kind="number") for i in range(50)], has_time=False)
    rows = pl.DataFrame({f"f{i}": generator.random(count) for i in range(50)}).with_columns(
        churned=pl.Series(generator.random(count) < 0.1)
    )
    began = time.process_time()
    assert len(single_feature_aucs(rows, features)) == 50
    assert time.process_time() - began < 20


def test_a_figure_of_today_is_found_within_the_snapshots() -> None:
    """Who left last month has the value of today at each snapshot: over all rows that says little, within each it says all."""
    generator, last = np.random.default_rng(0), 12
    left_at = generator.integers(1, last + 1, 1_200)
    there = [(snapshot, left_at[left_at >= snapshot]) for snapshot in range(1, last)]
    rows = pl.concat(
        pl.DataFrame({"snapshot_s": snapshot, "told": (last - left).astype(float), "churned": left == snapshot})
        for snapshot, left in there
    )
    within, pooled = auc_of(rows, "number"), auc_of(rows.drop("snapshot_s"), "number")
    assert within is not None
    assert pooled is not None
    assert within.value == 1.0
    assert within.above(0.95)
    assert pooled.value < 0.9
