"""Proof: one feature that tells the label blocks, whatever it is, and however few rows show it."""

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.build import build_defs
from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.periods import ALL
from churn_assets.training.contracts import no_single_feature_tells
from churn_assets.training.leakage import single_feature_aucs
from churn_store.model.signature import Column
from tests.champion.world import company_of_one_table

LIMIT = 0.95
HONEST = Column(name="visits", kind="number")


@st.composite
def leaks(draw: st.DrawFn) -> tuple[pl.DataFrame, Column]:
    """An honest feature and one that tells the label, as a number, a word, or by being missing, of rows in any order."""
    left, stayed = draw(st.integers(5, 60)), draw(st.integers(60, 400))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    churned = generator.permutation(np.arange(left + stayed) < left)
    kind = draw(st.sampled_from(["higher", "lower", "there", "missing", "words", "a missing word"]))
    numbers = generator.normal(draw(st.floats(-1e6, 1e6)), 1, churned.size)
    if kind in ("words", "a missing word"):
        of_left = ["gone"] * 2 if kind == "words" else [None] * 2
        told = pl.Series([(of_left if gone else ["a", "b"])[i % 2] for i, gone in enumerate(churned)], dtype=pl.String)
    elif kind in ("there", "missing"):
        told = pl.Series(numbers).zip_with(pl.Series(churned == (kind == "there")), pl.Series([None], dtype=pl.Float64))
    else:
        told = pl.Series(numbers + churned * (20 if kind == "higher" else -20))
    rows = pl.DataFrame({"visits": generator.normal(0, 1, churned.size) + churned, "told": told, "churned": churned})
    return rows, Column(name="told", kind="category" if told.dtype == pl.String else "number", nullable=True)


@given(leaks())
def test_one_feature_that_tells_the_label_blocks_and_is_the_one_that_is_named(leak: tuple[pl.DataFrame, Column]) -> None:
    rows, column = leak
    features = features_of(["customers"], [HONEST, column], has_time=False)
    found = no_single_feature_tells(single_feature_aucs(rows, features), LIMIT)
    assert not found.passed
    assert found.metadata["features"] == "told"


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
