"""A tiny company with everything that belongs to it, in one folder: files, lake, instance, serving database, store, service.

Belongs here: how it begins, how a month passes, and how it comes to rest. Does not belong here: troubles (``steps``).
"""

import datetime as dt
import importlib
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster._daemon.monitoring import run_monitoring
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from churn_assets.automation import watch
from churn_assets.automation.jobs import FEATURES, INGEST, LABELS
from churn_assets.champion.gate.verdict import RULES
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.dagster_internals import WILL_RETRY_TAG
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.run_history import ATTEMPTS, CAUSE, data_versions
from churn_assets.orchestration.run_history import _periods as periods_of
from churn_assets.periods import text
from churn_assets.settings.company import Settings
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.database.migrate import migrate
from churn_store.releases.log import Serving
from tests.automation.company import CALENDAR, CONFIGURATION, START, TABLES, write_month
from tests.automation.company_at_home import CompanyAtHome
from tests.automation.installation import REPOSITORY, load_anew
from tests.year import dagster_storage
from tests.year.boundaries import installed_boundaries
from tests.year.daemon import Daemon
from tests.year.feed import Feed
from tests.year.machine import MACHINE
from tests.year.service import Service

CUSTOMERS, MONTHS = 1_200, 10
COMPARED = ("customers", "events", "payments", "customer_features", "churn_labels")
INSTANCE = "year.yaml"
MOST_MINUTES, QUIET_MINUTES = 60, 2

Digests = dict[str, dict[str, str]]
"""The digest of each period's rows, by table."""


@dataclass(frozen=True)
class Untroubled:
    """What a year without troubles leaves.

    Attributes:
        at: digests by table and period when the clock stood at a month and everything had come to rest.
        raw: rows of the raw tables, by table and period.
    """

    at: dict[str, Digests]
    raw: dict[tuple[str, str], pl.DataFrame]

    def ever(self, table: str, period: str, until: str) -> set[str]:
        """The digests that a period has had up to a month."""
        return {found[table][period] for month, found in self.at.items() if month <= until and period in found[table]}


@dataclass
class World(CompanyAtHome):
    """The company at a time of its year.

    Attributes:
        folder: folder of everything.
        month: first day of the month at which the clock stands.
        cancelled: runs that a person has cancelled.
        releases: rows of ``releases`` that were ever seen, oldest first.
        gate_faults: runs that trained while a rule of the gate was broken.
        troubled_runs: runs whose failure has a known trouble.
        was_away: whether a part of the machine was away since the daemon last looked in quiet weather.
        torn: whether the lake was torn.
        backfilled: whether a person has launched a backfill.
        broken_rules: rules of the gate that raise now, by name, as they were.
    """

    folder: Path
    settings: Settings
    daemon: Daemon
    feed: Feed
    service: Service
    untroubled: Untroubled | None = None
    month: str = ""
    cancelled: set[str] = field(default_factory=set)
    releases: list[Serving] = field(default_factory=list)
    seen: dict[Any, Any] = field(default_factory=dict)
    gate_faults: set[str] = field(default_factory=set)
    troubled_runs: set[str] = field(default_factory=set)
    was_away: bool = False
    torn: bool = False
    backfilled: bool = False
    broken_rules: dict[str, Any] = field(default_factory=dict)

    def set_clock(self, day: str) -> None:
        """Let the platform's clock stand at the first day of a month."""
        self.month = day
        super().set_clock(day)

    def pass_month(self) -> bool:
        """Let a month pass: its files arrive, and the clock stands at the next one's first day. `False` where the year has ended."""
        coming = text(CALENDAR.next(dt.date.fromisoformat(self.month)))
        if coming > LAST:
            return False
        self.feed.deliver(self.month)
        self.set_clock(coming)
        return True

    def come_to_rest(self) -> None:
        """Let the daemon look, and runs be executed, until nothing more is asked for."""
        quiet = 0
        for _ in range(MOST_MINUTES):
            before = self.daemon.instance.get_runs_count()
            self.daemon.minute()
            is_quiet = self.daemon.instance.get_runs_count() == before and self.daemon.is_at_rest()
            quiet = quiet + 1 if is_quiet else 0
            if quiet == QUIET_MINUTES:
                return
        runs = self.daemon.instance.get_runs(limit=12)
        raise AssertionError(f"it does not come to rest: {[(run.job_name, run.status.value) for run in runs]}")

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is wrong that may make a run or a tick fail."""
        return not (self.was_away or MACHINE.away or self.feed.wrong or self.torn or self.broken_rules)

    def step_is_over(self) -> None:
        """Forget an outage once the daemon has looked without it."""
        if not MACHINE.away and self.daemon.looked_in_quiet:
            self.was_away = False
        self.daemon.looked_in_quiet = False

    def break_rule(self, name: str) -> None:
        """Let a rule of the gate raise."""

        def raises(*_: Any, **__: Any) -> Any:
            self.gate_faults.update(worker.run_id for worker in self.daemon.workers)
            raise RuntimeError(f"rule {name} is broken")

        self.broken_rules.setdefault(name, RULES[name])
        RULES[name] = raises

    def mend_rules(self) -> None:
        """Put the rules of the gate back."""
        for name, rule in self.broken_rules.items():
            RULES[name] = rule
        self.broken_rules.clear()

    def given_up(self, assets: list[str], period: str) -> bool:
        """Whether a person has cancelled a run of these assets for the period, or its runs have failed too often for one cause."""
        failed: Counter[str] = Counter()
        for run in self._runs(assets, period):
            if run.run_id in self.cancelled:
                return True
            if run.status == dg.DagsterRunStatus.FAILURE:
                failed[run.tags.get(CAUSE, "")] += 1
        return any(times >= ATTEMPTS for times in failed.values())

    def runs_in_words(self, assets: list[str], period: str) -> str:
        """The runs of some assets for a period, oldest first, and what the sensors say now."""
        runs = [
            f"{run.job_name} {run.status.value}"
            + "".join(f" {name}={value[:8]}" for name, value in sorted(run.tags.items()) if name in TOLD)
            for run in reversed(self._runs(assets, period))
        ]
        ticks = [f"{tick.instigator_name}: {tick.skip_reason}" for tick in self.daemon.ticks()]
        return "\n".join(["Its runs:", *runs, "The sensors say:", *ticks])

    def _runs(self, assets: list[str], period: str) -> list[dg.DagsterRun]:
        """The runs of a job or a backfill that were for some assets and a period, newest first."""
        wanted, job = {dg.AssetKey(asset) for asset in assets}, JOB_OF[assets[0]]
        return [
            run
            for run in self.daemon.instance.get_runs()
            if (run.job_name == job or (run.asset_selection and wanted & set(run.asset_selection)))
            and period in periods_of(run, self.settings.calendar)
        ]

    def rows(self, table: str, period: str, files: object) -> tuple[str, pl.DataFrame]:
        """The rows of a period and their digest, read once as long as its files stay the same."""
        key = (table, period, str(files))
        if key not in self.seen:
            rows = self.lake.read(table, period)
            self.seen[key] = digest_at(table, rows), rows
        found: tuple[str, pl.DataFrame] = self.seen[key]
        return found

    def digests(self) -> Digests:
        """What the lake holds."""
        return {
            table: {period: self.rows(table, period, files)[0] for period, files in (self.lake.files(table) or {}).items()}
            for table in COMPARED
        }


FIRST_SNAPSHOT = str(CONFIGURATION["features"]["first_snapshot"])

TOLD = (CAUSE, WRONG_INPUT_TAG, WILL_RETRY_TAG, "dagster/retry_number", "dagster/auto_retry_run_id")

JOB_OF = {"customers": INGEST, "customer_features": FEATURES, "churn_labels": LABELS}

LAST = "2024-11-01"
"""The day on which the year ends: the first of the month after the last one with files."""


def configuration() -> dict[str, Any]:
    """The company's ``churn.yaml``: that of the story, made smaller."""
    return {**CONFIGURATION, "training": {**CONFIGURATION["training"], "trials": 1}}


def write_right_files(folder: Path) -> None:
    """Write the files of every month."""
    source = SyntheticSource(SyntheticSettings(customers=CUSTOMERS, start=START, months=MONTHS, monthly_churn=0.12))
    (folder / "data").mkdir(parents=True)
    for month in CALENDAR.complete(dt.date.fromisoformat(LAST)):
        for table in TABLES:
            write_month(folder, table, text(month), source.read(table, *CALENDAR.bounds_s(text(month))).rows)


def write_installation(folder: Path) -> None:
    """Write what a person has after cloning and writing a ``churn.yaml``; Dagster's storages are those of ``dagster_storage``."""
    (folder / "data").mkdir(parents=True)
    (folder / "churn.yaml").write_text(yaml.safe_dump(configuration()), encoding="utf-8")
    shipped = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    del shipped["storage"]
    classes = {"run_storage": "Runs", "event_log_storage": "Events", "schedule_storage": "Schedules"}
    module = dagster_storage.__name__
    for name, cls in classes.items():
        base_dir = str(folder / ".dagster" / "storage")
        shipped[name] = {"module": module, "class": cls, "config": {"base_dir": base_dir}}
    shipped["run_launcher"] = {"module": module, "class": "Workers"}
    (folder / INSTANCE).write_text(yaml.safe_dump(shipped), encoding="utf-8")


@contextmanager
def opened(folder: Path, right: Path, untroubled: Untroubled | None, month: str) -> Iterator[World]:
    """The company in a folder, with its daemon and its service."""
    with pytest.MonkeyPatch.context() as environment, chdir(folder):
        environment.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
        environment.setenv("DAGSTER_DISABLE_TELEMETRY", "true")
        settings = Settings.load()
        migrate(settings.database_url)
        importlib.import_module("churn_assets.definitions")
        load_anew()
        with dg.DagsterInstance.from_config(str(folder), INSTANCE) as instance, installed_boundaries(settings.database_url):
            daemon = Daemon(instance, _begins(instance), folder / "data")
            # What a sensor has seen holds for a minute, which passes with every look of the daemon.
            environment.setattr(watch, "time", SimpleNamespace(monotonic=partial(_wall_s, daemon)))
            # A run that does not end by itself counts as cancelled three minutes later.
            environment.setattr(run_monitoring, "time", SimpleNamespace(time=partial(_wall_s, daemon)))
            service = Service(settings, settings.home / "service-of-the-year")
            world = World(folder, settings, daemon, Feed(right, folder / "data"), service, untroubled)
            world.set_clock(month)
            daemon.start()
            service.start()
            try:
                yield world
            finally:
                world.mend_rules()
                MACHINE.away.clear()
                MACHINE.process = None
                daemon.stop()
                service.stop()
                dagster_storage.close_all()
                _close_mlflow()


def _wall_s(daemon: Daemon) -> float:
    """The wall time of a daemon in seconds."""
    return daemon.now.timestamp()


def _begins(instance: dg.DagsterInstance) -> dt.datetime:
    """The wall time at which a daemon is started: now, or an hour after its former ticks, so that all are behind it."""
    ticks = [
        tick.timestamp
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    ]
    now = dt.datetime.now(dt.UTC)
    last = dt.datetime.fromtimestamp(max(ticks, default=now.timestamp()), dt.UTC)
    return max(now, last + dt.timedelta(hours=1)).replace(second=1, microsecond=0)


def _close_mlflow() -> None:
    """Close MLflow's connections to a database that is about to be replaced."""
    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


@dataclass(frozen=True)
class Templates:
    """Installations to begin from, each by the month at which its clock stands, and the untroubled year."""

    base: Path
    untroubled: Untroubled
    begins: tuple[str, ...]

    @property
    def right(self) -> Path:
        """The files of every month."""
        return self.base / "right" / "data"

    @contextmanager
    def begin(self, month: str) -> Iterator[World]:
        """A world of its own, at a month; gone at the end. Always in the same folder, as MLflow keeps absolute paths."""
        here = self.base / "here"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(self.base / month, here)
        with opened(here, self.right, self.untroubled, month) as world:
            yield world


def make_templates(base: Path, begins: tuple[str, ...]) -> Templates:
    """Live through an untroubled year once, and keep copies of the installation at some months.

    After the last of them only the tables are made that are compared.
    """
    here = base / "here"
    write_right_files(base / "right")
    write_installation(here)
    at: dict[str, Digests] = {}
    month = text(START)
    while month < LAST:
        # Closed and opened where a copy is made, so that no database is copied while it is written.
        with opened(here, base / "right" / "data", None, month) as world:
            world.daemon.look()  # the first look at a schedule only notes when it began
            if month >= max(begins):
                world.daemon.let_look(
                    INGEST, FEATURES, LABELS
                )  # nothing begins here any more: only the compared tables are needed
            while world.pass_month():
                world.come_to_rest()
                at[world.month] = {table: data_versions(world.daemon.instance, table) for table in COMPARED}
                assert world.month in at[world.month]["customer_features"] or world.month < FIRST_SNAPSHOT, (
                    "it rested too early"
                )
                if world.month in begins:
                    break
            month = world.month
            raw: dict[tuple[str, str], pl.DataFrame] = {
                (table, period): world.lake.read(table, period) for table in TABLES for period in world.lake.periods(table)
            }
        if month in begins:
            shutil.copytree(here, base / month)
    return Templates(base, Untroubled(at, raw), begins)
