"""The leak alarm: a feature that tells the label alone is named and blocks, whichever way it tells; an honest one does not."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from churn_assets.definitions import build_defs
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.periods import ALL
from churn_assets.resources.lake import Lake
from churn_assets.training.contracts import no_single_feature_tells
from churn_assets.training.leak import single_feature_aucs
from churn_assets.training.split import JUDGE, SELECT, TRAIN
from churn_store.signature import Column
from tests.champion.world import company_of_one_table

COUNT = 4_000
LIMIT = 0.95
Draw = Callable[[np.random.Generator, np.ndarray], list[object]]


def attribute(kind: str) -> tuple[Feature, ...]:
    return features_of(("customers",), [Column(name="told", kind=kind, nullable=True)], has_time=False)  # type: ignore[arg-type]


def rows_with(draw: Draw, kind: str, seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    churned = generator.random(COUNT) < 0.1
    return pl.DataFrame(
        {
            "told": pl.Series(draw(generator, churned), dtype=pl.Float64 if kind == "number" else pl.String),
            "churned": churned,
            "role": generator.choice([TRAIN, SELECT, JUDGE], COUNT, p=[0.6, 0.1, 0.3]),
        }
    )


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
    "nearly never there": ("number", lambda g, left: [float(gone) if i < 40 else None for i, gone in enumerate(left)]),
    "never there": ("number", lambda g, left: [None] * COUNT),
    "always the same": ("category", lambda g, left: ["a"] * COUNT),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_feature_that_tells_the_label_alone_is_found_and_named_with_its_auc(name: str) -> None:
    kind, draw = LEAKS[name]
    aucs = single_feature_aucs(rows_with(draw, kind), attribute(kind))
    found = no_single_feature_tells(aucs, LIMIT)
    assert not found.passed
    assert found.found.startswith(f"told (AUC {aucs['told']:.3f}) alone, above 0.95")
    assert found.metadata == {"features": "told", "largest_auc": aucs["told"]}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_feature_passes_however_many_words_it_has(name: str) -> None:
    kind, draw = HONEST[name]
    aucs = single_feature_aucs(rows_with(draw, kind), attribute(kind))
    assert 0.5 <= aucs["told"] < 0.9
    assert no_single_feature_tells(aucs, LIMIT).passed


def test_the_auc_of_a_number_is_the_usual_one_in_the_better_direction() -> None:
    rows = rows_with(lambda g, left: _numbers((g.normal(0, 1, COUNT) - left).round(2)), "number")
    expected = 1 - roc_auc_score(rows["churned"], rows["told"])
    assert single_feature_aucs(rows, attribute("number"))["told"] == pytest.approx(expected)


def test_a_hundred_thousand_rows_of_fifty_features_take_seconds() -> None:
    generator = np.random.default_rng(2)
    count = 100_000
    features = features_of(("customers",), [Column(name=f"f{i}", kind="number") for i in range(50)], has_time=False)
    rows = pl.DataFrame({f"f{i}": generator.random(count) for i in range(50)}).with_columns(
        churned=pl.Series(generator.random(count) < 0.1), role=pl.Series(generator.choice([TRAIN, JUDGE], count))
    )
    began = time.process_time()
    assert len(single_feature_aucs(rows, features)) == 50
    assert time.process_time() - began < 20


@pytest.mark.parametrize("leaks", [True, False])
def test_a_training_set_with_a_leak_is_not_written_and_its_check_names_the_feature(
    leaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = company_of_one_table(tmp_path, monkeypatch)
    generator = np.random.default_rng(3)
    left = generator.random(1_500) < 0.3
    visits = generator.normal(0, 1, 1_500) + (6 if leaks else 0.5) * left
    pl.DataFrame(
        {"id": [f"c{i}" for i in range(1_500)], "v": visits, "left": ["Yes" if gone else "No" for gone in left]}
    ).write_csv(tmp_path / "c.csv")
    defs = build_defs(settings)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        wanted = ["customers", "customer_features", "churn_labels", "training_set"]
        result = dg.materialize(
            [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)],
            selection=dg.AssetSelection.assets(*wanted).required_multi_asset_neighbors(),
            resources=defs.resources,
            instance=instance,
            raise_on_error=False,
        )
        [check] = [e for e in result.get_asset_check_evaluations() if e.check_name == "no_single_feature_tells"]
    assert check.passed is not leaks
    assert check.blocking
    assert "visits (AUC" in str(check.description)
    assert result.success is not leaks
    assert Lake(settings.lake_url).has("training_set") is not leaks
    assert leaks or Lake(settings.lake_url).read("training_set", ALL).height == 1_500
