"""Spark and Polars say the same of the same lake, bit by bit, for every feature of the catalogue."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.cli.smoke_test import SmallCompany
from churn_assets.connectors.open_source import open_source
from churn_assets.features.engines.base import Engine, History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.features.engines.spark_engine import SparkEngine
from churn_assets.features.feature_sets import company_features
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.orchestration.run_history import data_versions
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.engine import Spark
from churn_assets.settings.events import EventRoles
from churn_assets.simulator.source import SyntheticSettings
from tests.features.edges import SNAPSHOTS, lake_of_edges

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

LOCAL = Spark(master="local[2]")
AS_OF = datetime(2024, 9, 1, tzinfo=UTC)
FIRST = date(2024, 7, 1)


def bits(frame: pl.DataFrame) -> Mapping[str, str]:
    """A digest of each column, so that what differs is named."""
    keys = ["customer_id", "snapshot_s"]
    return {name: digest(frame.select({*keys, name}), key=keys) for name in frame.columns}


def company(home: Path, engine: str) -> SmallCompany:
    settings = SmallCompany(
        company="small",
        home=home,
        source=SyntheticSettings(customers=300),
        engine=engine,
        spark=LOCAL,
        features={"first_snapshot": FIRST},
    )
    settings.clock.fix(AS_OF)
    return settings


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> History:
    return lake_of_edges(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_all_features_are_equal_on_the_edges_of_every_window(edges: History, snapshot: date) -> None:
    [(_, polars)], [(_, spark)] = (
        list(engine.snapshots(edges, [snapshot])) for engine in (PolarsEngine(), SparkEngine(LOCAL))
    )
    assert spark.height > 10
    assert spark.schema == polars.schema
    assert bits(spark) == bits(polars)


def test_roles_and_endings_of_several_words_are_equal_as_well(tmp_path: Path) -> None:
    roles = EventRoles(session=("session", "login"), ticket=("support_ticket", "never"), use=())
    history = lake_of_edges(tmp_path, rule=AtRisk(cancelled_event=("cancelled", "gone")), roles=roles)
    [(_, polars)], [(_, spark)] = (
        list(engine.snapshots(history, SNAPSHOTS[-1:])) for engine in (PolarsEngine(), SparkEngine(LOCAL))
    )
    assert spark.height > 10
    assert bits(spark) == bits(polars)


def test_a_snapshot_before_the_first_arrival_has_nobody(edges: History) -> None:
    engine: Engine = SparkEngine(LOCAL)
    [(_, frame)] = engine.snapshots(edges, [edges.calendar.first])
    [(_, polars)] = PolarsEngine().snapshots(edges, [edges.calendar.first])
    assert frame.height == 0
    assert frame.schema == polars.schema


def test_rows_written_after_the_version_that_is_read_change_nothing(tmp_path: Path) -> None:
    history = lake_of_edges(tmp_path / "lake")
    [(day, before)] = SparkEngine(LOCAL).snapshots(history, SNAPSHOTS[:1])
    period = history.lake.periods("events")[-1]
    lake_of_edges(tmp_path / "other", seed=2)
    history.lake.replace("events", {period: history.lake.read("events", period).clear()}, run_id="later")
    other = Lake(str(tmp_path / "other"))
    history.lake.replace("payments", {p: other.read("payments", p) for p in other.periods("payments")}, run_id="later")
    [(_, after)] = SparkEngine(LOCAL).snapshots(history, [day])
    assert bits(after) == bits(before)


def test_the_asset_on_spark_has_the_data_versions_that_it_has_on_polars(tmp_path: Path) -> None:
    versions = {}
    for engine in ("polars", "spark"):
        settings = company(tmp_path / engine, engine)
        defs = build_defs(settings)
        keys = [key.isoformat() for key in settings.calendar.keys(AS_OF.date())]
        with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
            for job, first, last in ((INGEST, keys[0], keys[-2]), (FEATURES, FIRST.isoformat(), keys[-1])):
                tags = {RANGE_START: first, RANGE_END: last}
                job_def = defs.resolve_job_def(job)
                assert job_def.execute_in_process(instance=instance, tags=tags, run_config=QUIET).success
            versions[engine] = data_versions(instance, "customer_features")
        features = company_features(open_source(settings), settings.source, settings.features, settings.events.types)
        assert Lake(settings.lake_url).scan("customer_features").collect_schema().len() == len(features) + 3
    assert len(versions["spark"]) == 3
    assert versions["spark"] == versions["polars"]


def test_without_java_there_is_one_sentence_that_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from churn_assets.features.engines.spark_engine import SparkEngine;"
        "from churn_assets.settings.engine import Spark; from tests.features.edges import SNAPSHOTS, lake_of_edges;"
        f"next(SparkEngine(Spark()).snapshots(lake_of_edges(Path({str(tmp_path)!r})), SNAPSHOTS))"
    )
    without = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "dirname", "python3", "ps", "readlink", "uname"):
        for folder in ("/bin", "/usr/bin"):
            if Path(folder, tool).exists() and not (tools / tool).exists():
                (tools / tool).symlink_to(Path(folder, tool))
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**without, "PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "InputError: `engine: spark` needs Java 17 or 21" in ended.stderr
