"""`churn_scores`: every customer at risk once, scored by the release that serves, or a sentence why not."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.scoring.assets import scoring_assets
from churn_assets.settings.company import Settings
from churn_store.clock import Clock
from churn_store.errors import InputError
from tests.champion.world import company_of_one_table
from tests.release_factory import make_release, rows_of, small_columns

COLUMNS = small_columns(4)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A company of data without time, whose customer_features are in the lake."""
    return company_of_one_table(tmp_path, monkeypatch, attribute="sessions_30d")


def materialized(settings: Settings, frame: pl.DataFrame) -> dg.ExecuteInProcessResult:
    lake = Lake(settings.lake_url)
    lake.replace("customer_features", {"all": frame}, run_id="test")
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    features = features_of(["customers"], COLUMNS, has_time=False)
    scores, _ = scoring_assets(features, None, has_time=False, online_url=settings.online_url)
    return dg.materialize(
        [scores], resources={"lake": lake, "serving": store, "clock": Clock(settings.home / "as_of")}, raise_on_error=False
    )


def customers(count: int) -> pl.DataFrame:
    rows = pl.DataFrame(rows_of(COLUMNS, count, seed=3), infer_schema_length=None)
    return rows.select(
        pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"),
        *(pl.col(c.name).cast(pl.Float64 if c.kind == "number" else pl.String) for c in COLUMNS),
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert error.cause.cls_name == InputError.__name__
    return error.cause.message


def test_every_customer_is_scored_once_by_the_release_that_serves(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    row = make_release(store.engine, store.files, columns=COLUMNS, threshold=0.4)
    frame = customers(150)
    result = materialized(home, frame)
    assert result.success
    scores = Lake(home.lake_url).read("churn_scores", "all").sort("customer_id")
    bundle = store.champion()
    assert bundle is not None
    frame = frame.sort("customer_id")
    assert scores["customer_id"].to_list() == frame["customer_id"].to_list()
    assert scores["probability"].to_list() == bundle.scorer.score_frame(frame).tolist()
    assert (scores["churn"] == (scores["probability"] >= 0.4)).all()
    assert scores["release"].unique().to_list() == [row.champion]
    assert Lake(home.lake_url).sources("churn_scores") == {"customer_features": 0}
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == dict.fromkeys(
        ("schema", "nulls", "ranges", "unique_keys"), True
    )


def test_without_a_release_or_its_columns_it_fails_with_a_sentence_and_writes_nothing(home: Settings) -> None:
    frame = customers(20)
    assert failure(materialized(home, frame)).endswith("no release serves yet; materialize the asset champion first\n")
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    make_release(store.engine, store.files, columns=COLUMNS)
    said = failure(materialized(home, frame.drop("sessions_30d")))
    assert "customer_features all has no sessions_30d, which the serving release was trained on" in said
    assert "`churn approve ID --override` releases a rejected candidate of them" in said
    with pytest.raises(InputError, match="no table churn_scores"):
        Lake(home.lake_url).version("churn_scores")
