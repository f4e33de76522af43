"""Nobody is there for a week, by wall time or by the platform's clock; then each due period is asked for once.

The daemon's own functions, hand-ticked; a run is executed in this process. Wall time can be moved only so.
"""

import datetime as dt
import importlib
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from churn_assets.automation.jobs import FEATURES, INGEST
from churn_assets.automation.verification import VERIFY
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import _periods as periods_of
from churn_assets.orchestration.run_history import data_versions
from churn_assets.settings.company import Settings
from churn_store import clock
from churn_store.database.migrate import migrate
from tests.automation.company import CONFIGURATION, TABLES, write_company
from tests.automation.company_at_home import CompanyAtHome
from tests.automation.installation import LOCATION, QUICK, Daemon, in_process, load_anew, write_quick
from tests.fault_table import Fault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FRIDAY = dt.datetime(2024, 1, 19, 12, tzinfo=dt.UTC)
BACK = dt.datetime(2024, 1, 26, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
"""Wall time where the platform's clock is fixed."""

FIRST_SNAPSHOT = dt.date(2024, 1, 15)
SETTINGS = {
    **CONFIGURATION,
    "cadence": "daily",
    "at_risk": {"signed_up_days": 0},
    "features": {**CONFIGURATION["features"], "first_snapshot": FIRST_SNAPSHOT},
}


def days(first: dt.date, last: dt.date) -> list[str]:
    """The periods from a day to another, both included."""
    return [(first + dt.timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


@dataclass
class Shop(CompanyAtHome):
    """The company, and the daemon by whose time the wall clock goes."""

    settings: Settings
    daemon: Daemon

    def runs(self, job: str) -> list[list[str]]:
        """The periods of the runs of a job, oldest first."""
        runs = self.daemon.instance.get_runs(dg.RunsFilter(job_name=job))
        return [periods_of(run, self.settings.calendar) for run in reversed(runs)]

    def unsuccessful(self) -> list[tuple[str, str]]:
        """The runs that have not succeeded, by job and status."""
        done = dg.DagsterRunStatus.SUCCESS
        return [(run.job_name, run.status.value) for run in self.daemon.instance.get_runs() if run.status != done]

    def runs_that_made(self, table: str) -> Counter[str | None]:
        """The number of runs that have materialized each period of a table."""
        records = self.daemon.instance.fetch_materializations(dg.AssetKey(table), limit=1_000).records
        return Counter(period for period, _ in {(record.partition_key, record.run_id) for record in records})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    write_company(tmp_path, customers=1_500, until=dt.date(2024, 2, 1))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    write_quick(tmp_path)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    with chdir(tmp_path), dg.DagsterInstance.from_config(str(tmp_path), QUICK) as instance:
        settings = Settings.load()
        migrate(settings.database_url)
        importlib.import_module(LOCATION)
        load_anew()
        wall = [FRIDAY]

        class Wall(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> "Wall":
                return cls.fromtimestamp(wall[0].timestamp(), tz)

        monkeypatch.setattr(clock, "datetime", Wall)
        with in_process(instance) as context:
            yield Shop(settings, Daemon(context, wall))
    load_anew()  # what other tests import from it is theirs again


@pytest.mark.parametrize("by", ["wall time", "the platform's clock"])
def test_after_a_week_off_each_due_period_is_asked_for_once(shop: Shop, fault: Fault, by: str) -> None:
    fault.names("a week off", done=f"the daemon is silent for seven days of {by}, with a period a day")
    if by != "wall time":
        shop.daemon.now[0] = LATER
        shop.settings.clock.fix(FRIDAY)
    shop.daemon.tick()  # the first look at a schedule only notes when it began
    shop.daemon.tick_until_quiet()
    assert shop.unsuccessful() == []
    assert shop.runs(INGEST) == [days(dt.date(2024, 1, 1), dt.date(2024, 1, 18))]
    assert shop.runs(FEATURES) == [days(FIRST_SNAPSHOT, dt.date(2024, 1, 19))]

    if by == "wall time":
        shop.daemon.now[0] = BACK
    else:
        shop.settings.clock.fix(BACK)
    shop.daemon.tick_until_quiet()
    assert shop.runs(INGEST)[1:] == [days(dt.date(2024, 1, 19), dt.date(2024, 1, 25))]
    assert shop.runs(FEATURES)[1:] == [days(dt.date(2024, 1, 20), dt.date(2024, 1, 26))]
    assert len(shop.runs(VERIFY)) == (by == "wall time"), "of seven nights that were missed, the last is made up for"
    raw, snapshots = days(dt.date(2024, 1, 1), dt.date(2024, 1, 25)), days(FIRST_SNAPSHOT, dt.date(2024, 1, 26))
    for table, made in (*((table, raw) for table in TABLES), ("customer_features", snapshots)):
        assert shop.runs_that_made(table) == dict.fromkeys(made, 1), f"{table}: each period is made once"
        assert sorted(data_versions(shop.daemon.instance, table)) == made
        assert lost(shop.daemon.instance, shop.lake, table) == {}
    assert shop.unsuccessful() == []
    fault.held(f"one run for the 7 periods that were due, of each stage; {len(raw)} periods made once, none twice")
