"""When the newest snapshot is monitored again: for another release or baseline, and where its history is not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_assets.automation.due_sensors import due_stages
from churn_assets.automation.jobs import MONITOR
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.history import TABLE, rows_of
from churn_assets.orchestration.lost_periods import FILES_TAG
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.monitoring.baselines import pin, unpin
from tests.monitoring.test_history import window
from tests.release_factory import NOW_S, make_release

KEY, OLDER = "2025-07-01", "2025-06-01"
WHO: dict[str, Any] = {"by": "ada", "reason": "the season"}


class Home:
    """A company whose newest snapshot was monitored."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.settings = Settings(home=folder)
        migrate(self.settings.database_url)
        self.store = ServingStore(self.settings.database_url, self.settings.releases_url, self.settings.online_url)
        self.lake, self.instance = Lake(self.settings.lake_url), instance
        self.former, self.release = (
            make_release(self.store.engine, self.store.files, seed=seed).champion for seed in (0, 1)
        )
        self.report("customer_features")
        self.monitored(baseline=self.release)

    def monitored(self, *, baseline: str) -> None:
        """What a run of the job leaves behind."""
        written = self.lake.replace(TABLE, {key: rows_of([window(key)]) for key in (OLDER, KEY)}, run_id="test")
        for key in (OLDER, KEY):
            self.report(TABLE, key, tags={FILES_TAG: written.files[key]})
        self.report("quality_report")
        self.report("drift_report", metadata={"release": self.release, "baseline": baseline})

    def report(self, asset: str, key: str = KEY, **said: Any) -> None:
        """Record a materialization."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, **said))

    def asked(self) -> list[str | None]:
        """The snapshots that the sensor asks for."""
        stage = due_stages(self.settings, open_source(self.settings), self.settings.clock, self.store)[MONITOR]
        return [one.partition_key for one in stage.requests(self.instance) if isinstance(one, dg.RunRequest)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Home(tmp_path, instance)


def test_another_pinned_baseline_makes_the_newest_snapshot_due_once(home: Home) -> None:
    assert home.asked() == []
    pin(home.store.engine, home.store.files, home.former, **WHO, now_s=NOW_S)
    assert home.asked() == [KEY]
    home.monitored(baseline=home.former)
    assert home.asked() == []
    unpin(home.store.engine, home.store.files, **WHO, now_s=NOW_S)
    assert home.asked() == [KEY]


def test_another_release_makes_it_due(home: Home) -> None:
    make_release(home.store.engine, home.store.files, seed=2)
    assert home.asked() == [KEY]


def test_an_installation_that_has_a_report_and_no_history_makes_one(home: Home) -> None:
    home.instance.wipe_assets([dg.AssetKey(TABLE)])
    assert home.asked() == [KEY]


@pytest.mark.parametrize("key", [OLDER, KEY])
def test_a_lost_period_of_the_history_makes_the_newest_snapshot_due(home: Home, key: str) -> None:
    for file in Path(home.settings.lake_url, TABLE).rglob(f"*{key}*/*.parquet"):
        file.unlink()
    assert home.asked() == [KEY]
