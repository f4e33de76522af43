"""`churn score --snapshot`: everyone at risk at a snapshot of the lake, by the release that serves, or a sentence why not."""

import gzip
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from churn_assets.lake.lake import Lake
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_store.cli.main import churn
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import ChurnError
from churn_store.releases.bundles import load_bundle
from churn_store.releases.log import newest
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import make_release, rows_of, small_columns

pytestmark = pytest.mark.integration

COLUMNS = small_columns(4)
SNAPSHOTS = ("2025-11-01", "2025-12-01", "2026-01-01")


def score(*arguments: object) -> Result:
    return CliRunner().invoke(churn, ["score", *map(str, arguments)])


def snapshot(day: str, count: int, seed: int) -> pl.DataFrame:
    rows = pl.DataFrame(rows_of(COLUMNS, count, seed), infer_schema_length=None)
    return rows.select(
        pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"),
        pl.lit(epoch_s(date.fromisoformat(day))).alias("snapshot_s"),
        *(pl.col(c.name).cast(pl.Float64 if c.kind == "number" else pl.String) for c in COLUMNS),
    )


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A history company with three snapshots in its lake and a release."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"company": "acme"}))
    settings = Settings.load()
    settings.home.mkdir()
    migrate(settings.database_url)
    engine = connect(settings.database_url)
    make_release(engine, DigestStore(settings.releases_url), columns=COLUMNS, threshold=0.4)
    engine.dispose()
    rows = {day: snapshot(day, 40 + place, place) for place, day in enumerate(SNAPSHOTS)}
    Lake(settings.lake_url).replace("customer_features", rows, run_id="test")
    return settings


@pytest.mark.parametrize(("named", "day"), [("newest", 2), ("2025-11-01", 0)])
def test_everyone_at_risk_at_a_snapshot_is_scored(company: Settings, tmp_path: Path, named: str, day: int) -> None:
    result = score("--snapshot", named, tmp_path / "out.csv")
    assert result.exit_code == 0, result.exception
    scores = pl.read_csv(tmp_path / "out.csv")
    assert scores.columns == ["customer_id", "probability", "churn", "snapshot"]
    rows = Lake(company.lake_url).read("customer_features", SNAPSHOTS[day]).sort("customer_id")
    engine = connect(company.database_url)
    row = newest(engine)
    engine.dispose()
    assert row is not None
    bundle = load_bundle(DigestStore(company.releases_url), row.champion)
    expected = bundle.scorer.score_frame(rows).tolist()
    assert scores["customer_id"].to_list() == rows["customer_id"].to_list()
    assert scores["probability"].to_list() == pytest.approx(expected, abs=1e-9)
    assert scores["churn"].to_list() == [bundle.churns(probability) for probability in expected]
    assert set(scores["snapshot"]) == {SNAPSHOTS[day]}
    assert f"{40 + day} customers at risk at {SNAPSHOTS[day]} scored by release {bundle.digest[:12]}" in result.stdout


def test_parquet_has_the_snapshot_as_a_date(company: Settings, tmp_path: Path) -> None:
    assert score("--snapshot", "newest", tmp_path / "out.parquet").exit_code == 0
    scores = pl.read_parquet(tmp_path / "out.parquet")
    assert scores["snapshot"].to_list() == [date(2026, 1, 1)] * 42


def test_a_snapshot_that_is_not_there_is_refused_with_those_that_are(company: Settings, tmp_path: Path) -> None:
    for named in ("2026-02-01", "yesterday"):
        result = score("--snapshot", named, tmp_path / "out.csv")
        assert isinstance(result.exception, ChurnError)
        assert f"no snapshot {named}; it has 2025-11-01, 2025-12-01, 2026-01-01. Name one of them, or newest" in str(
            result.exception
        )
    lake = Lake(company.lake_url)
    lake.replace("customer_features", {day: snapshot(day, 3, 1).drop("plan") for day in SNAPSHOTS}, run_id="test")
    said = str(score("--snapshot", "newest", tmp_path / "out.csv").exception)
    assert "the lake's features of 2026-01-01 have no plan, which release" in said
    assert not (tmp_path / "out.csv").exists()


def test_ids_that_a_spreadsheet_would_run_are_shown_beside(company: Settings, tmp_path: Path) -> None:
    rows = snapshot(SNAPSHOTS[2], 3, 1).with_columns(customer_id=pl.Series(["=1+1", "a", "b"]))
    Lake(company.lake_url).replace("customer_features", {SNAPSHOTS[2]: rows}, run_id="test")
    result = score("--snapshot", "newest", tmp_path / "out.csv.gz")
    assert "a spreadsheet may run some of the ids" in result.stderr
    header, first, *_ = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode().splitlines()
    assert header == "customer_id,customer_id_shown,probability,churn,snapshot"
    assert first.startswith("=1+1,'=1+1,")


def test_data_without_time_or_without_a_lake_has_no_snapshots(
    company: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_STORE__LAKE_URL", str(tmp_path / "empty"))
    assert "the lake has no table customer_features yet" in str(
        score("--snapshot", "newest", tmp_path / "out.csv").exception
    )
    table = {"path": "c.csv", "columns": {"customer_id": "id"}, "label": {"column": "left"}}
    (tmp_path / "churn.yaml").write_text(
        yaml.safe_dump({"source": {"kind": "files", "shape": "table", "customers": table}})
    )
    said = str(score("--snapshot", "newest", tmp_path / "out.csv").exception)
    assert "the data has no time, and so no snapshots; score a file of customers: churn score IN OUT" in said


def test_files_and_options_that_do_not_go_together_are_wrong_use(company: Settings, tmp_path: Path) -> None:
    for arguments, said in (
        (["--snapshot", "newest", "in.csv", "out.csv"], "expected OUT (with --snapshot the lake is read), found 2"),
        (["in.csv"], "expected IN and OUT (or --snapshot newest and OUT), found 1"),
        (["--snapshot", "newest", "--keep", "plan", "out.csv"], "are for a file"),
    ):
        result = score(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr
