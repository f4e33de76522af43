"""`churn_scores`: every customer at risk once, scored by the release that serves, or a sentence why not."""

import asyncio
from dataclasses import replace
from pathlib import Path

import dagster as dg
import msgspec
import polars as pl
import pytest

from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.resources.serving import ServingStore
from churn_assets.scoring.assets import scoring_assets
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_store.batch.reasons import REASON_COLUMNS
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.releases.explaining import explainer_of
from churn_store.releases.manifest import TableVersion
from churn_store.storage.online_store import open_reader
from tests.champion.world import company_of_one_table
from tests.release_factory import make_release, release, rows_of, small_columns, train

pytestmark = pytest.mark.integration

COLUMNS = small_columns(4)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A company of data without time, whose customer_features are in the lake."""
    return company_of_one_table(tmp_path, monkeypatch, attribute="sessions_30d")


def materialized(
    settings: Settings, frame: pl.DataFrame, *, labels: list[bool | None] | None = None, online: bool = False
) -> dg.ExecuteInProcessResult:
    """Score customers; those of whom no label is said stayed."""
    lake = Lake(settings.lake_url)
    churned = pl.Series("churned", labels or [False] * frame.height, dtype=pl.Boolean)
    made_from = lake.replace("customers", {"all": frame.select("customer_id", churned)}, run_id="test").version
    lake.replace("customer_features", {"all": frame}, run_id="test", sources={"customers": made_from})
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    features = features_of(["customers"], COLUMNS, has_time=False)
    scores, served = scoring_assets(features, None, has_time=False, online_url=settings.online_url)
    return dg.materialize(
        [served if online else scores],
        resources={"lake": lake, "serving": store, "clock": Clock(settings.home / "as_of")},
        raise_on_error=False,
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
    assert scores["in_sample"].null_count() == 150, "this release names no training set"
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == dict.fromkeys(
        ("schema", "nulls", "ranges", "unique_keys"), True
    )


LEFT, STAYED, TODAY = True, False, None


@pytest.mark.parametrize(
    ("labels", "risky"),
    [([LEFT, STAYED, TODAY] * 50, TODAY), ([LEFT, STAYED] * 75, STAYED)],
    ids=["some today", "all labelled"],
)
def test_who_left_is_neither_scored_nor_served(home: Settings, labels: list[bool | None], risky: bool | None) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    make_release(store.engine, store.files, columns=COLUMNS)
    frame = customers(150)
    wanted = [name for name, label in zip(frame["customer_id"], labels, strict=True) if label is risky]
    result = materialized(home, frame, labels=labels)
    scores = Lake(home.lake_url).read("churn_scores", "all")
    assert sorted(scores["customer_id"]) == sorted(wanted)
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["at_risk"].value == len(wanted)
    assert materialized(home, frame, labels=labels, online=True).success
    assert set(asyncio.run(served(home, frame["customer_id"].to_list()))) == set(wanted)


async def served(settings: Settings, names: list[str]) -> list[str]:
    """Those of some customers whom the service finds."""
    reader = open_reader(settings.online_url)
    try:
        await reader.refresh()
        found = await reader.get(names)
    finally:
        await reader.close()
    return [name for name, row in zip(names, found, strict=True) if row is not None]


def trained_on(settings: Settings, roles: dict[str, str]) -> TableVersion:
    """Write a training set of some customers, by role."""
    rows = pl.DataFrame({"customer_id": list(roles), "churned": False, "role": list(roles.values())})
    version = Lake(settings.lake_url).replace("training_set", {"all": rows}, run_id="test").version
    return TableVersion(version, digest(rows, key=["customer_id"]))


def test_whom_the_release_was_trained_on_is_scored_in_sample_and_counted(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    roles = {f"c{place}": (TRAIN, SELECT, JUDGE)[place % 3] for place in range(90)}
    candidate = train(COLUMNS)
    manifest = msgspec.structs.replace(candidate.manifest, tables={"training_set": trained_on(home, roles)})
    release(store.engine, store.files, replace(candidate, manifest=manifest))
    trained_on(home, dict.fromkeys(roles, TRAIN))  # a later training set, which the release has not seen
    result = materialized(home, customers(150))
    scores = Lake(home.lake_url).read("churn_scores", "all")
    marked = set(scores.filter("in_sample")["customer_id"])
    assert marked == {name for name, role in roles.items() if role != JUDGE}
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert (metadata["in_sample"].value, metadata["in_sample_unknown"].value) == (60, 0)


def test_where_the_rows_of_the_release_are_gone_nobody_can_say_who_is_in_sample(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    candidate = train(COLUMNS)
    named = TableVersion(trained_on(home, {"c1": TRAIN}).version, "0" * 64)
    manifest = msgspec.structs.replace(candidate.manifest, tables={"training_set": named})
    release(store.engine, store.files, replace(candidate, manifest=manifest))
    result = materialized(home, customers(20))
    assert Lake(home.lake_url).read("churn_scores", "all")["in_sample"].null_count() == 20
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["in_sample_unknown"].value == 20


def test_the_scores_of_an_older_platform_are_replaced_by_those_with_the_mark(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    make_release(store.engine, store.files, columns=COLUMNS)
    lake, frame = Lake(home.lake_url), customers(20)
    old = frame.select("customer_id", probability=pl.lit(0.5), churn=pl.lit(True), release=pl.lit("0" * 64))
    lake.replace("churn_scores", {"all": old}, run_id="older")
    assert materialized(home, frame).success
    assert lake.read("churn_scores", "all").columns == [*old.columns, *REASON_COLUMNS, "in_sample"]
    assert lake.read("churn_scores", "all", version=0).equals(old)


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


def test_each_customer_has_the_reasons_that_the_service_would_give(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    release(store.engine, store.files, train(COLUMNS, reference=True))
    frame = customers(40)
    result = materialized(home, frame)
    scores = Lake(home.lake_url).read("churn_scores", "all").sort("customer_id")
    bundle = store.champion()
    assert bundle is not None
    explainer = explainer_of(bundle)
    for row in scores.iter_rows(named=True):
        [features] = frame.filter(customer_id=row["customer_id"]).select(bundle.manifest.signature.names).to_dicts()
        raising = explainer.explain_row(row["customer_id"], features).raising
        assert [row[f"reason_{place}"] for place in (1, 2, 3)] == [one.code for one in raising] + [None] * (
            3 - len(raising)
        )
        assert row["reason_1_text"] == (raising[0].text if raising else None)
        assert row["reason_1_log_odds"] == (raising[0].contribution if raising else None)
    [event] = result.get_asset_materialization_events()
    said = str(event.materialization.metadata["strongest_reasons"].value)
    assert sum(int(part.split()[-1]) for part in said.split(", ")) == scores["reason_1"].count() > 0


def test_a_release_that_can_not_be_explained_is_scored_without_reasons(home: Settings) -> None:
    store = ServingStore(home.database_url, home.releases_url, home.online_url)
    make_release(store.engine, store.files, columns=COLUMNS)
    result = materialized(home, customers(20))
    scores = Lake(home.lake_url).read("churn_scores", "all")
    assert scores["probability"].null_count() == 0
    assert all(scores[name].null_count() == 20 for name in REASON_COLUMNS)
    [event] = result.get_asset_materialization_events()
    assert "reference.parquet" in str(event.materialization.metadata["strongest_reasons"].value)
