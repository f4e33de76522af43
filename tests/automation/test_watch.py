"""How a sensor looks: at length when something has changed, from memory while nothing has, and never while something does."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.automation.watch import Watch, signs_of
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.simulator.source import SyntheticSettings
from churn_store.database.migrate import migrate
from churn_store.mapping.file_settings import FilesSettings
from tests.automation.company import CONFIGURATION, file_of, write_company

NOTHING, SOMETHING = dg.SkipReason("no period is due"), dg.RunRequest(run_key="k")


class World:
    """Signs that a test changes, and a sensor that counts how often it looked at length."""

    def __init__(self, answer: dg.RunRequest | dg.SkipReason) -> None:
        self.signs: object = 0
        self.answer = answer
        self.looks = 0
        self.changes_meanwhile = False

    def ask(self, _: dg.DagsterInstance) -> list[dg.RunRequest | dg.SkipReason]:
        """Look at length."""
        self.looks += 1
        if self.changes_meanwhile:
            self.signs = object()
        return [self.answer]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def said(watch: Watch, world: World, instance: dg.DagsterInstance) -> str | None:
    [answer] = watch.answers(instance, world.ask)
    return answer.skip_message if isinstance(answer, dg.SkipReason) else None


def test_while_nothing_changes_the_last_reason_is_given_from_memory(instance: dg.DagsterInstance) -> None:
    world = World(NOTHING)
    watch = Watch(lambda _: world.signs)
    assert [said(watch, world, instance) for _ in range(3)] == ["no period is due"] * 3
    assert world.looks == 1
    world.signs = 1
    said(watch, world, instance)
    assert world.looks == 2


def test_after_a_while_it_looks_again_whatever_it_sees(instance: dg.DagsterInstance) -> None:
    world = World(NOTHING)
    watch = Watch(lambda _: world.signs, rest_s=0.0)
    for _ in range(3):
        said(watch, world, instance)
    assert world.looks == 3


def test_after_a_request_it_looks_at_length(instance: dg.DagsterInstance) -> None:
    """The daemon may have died before it made the run."""
    world = World(SOMETHING)
    watch = Watch(lambda _: world.signs)
    assert [said(watch, world, instance) for _ in range(2)] == [None, None]
    assert world.looks == 2


def test_nothing_is_asked_for_on_what_changed_during_the_look(instance: dg.DagsterInstance) -> None:
    world = World(SOMETHING)
    world.changes_meanwhile = True
    watch = Watch(lambda _: world.signs)
    assert "something changed during this look" in str(said(watch, world, instance))
    world.changes_meanwhile = False
    assert said(watch, world, instance) is None


def test_what_changes_during_a_look_that_found_nothing_is_seen_at_the_next(instance: dg.DagsterInstance) -> None:
    world = World(NOTHING)
    world.changes_meanwhile = True
    watch = Watch(lambda _: world.signs)
    said(watch, world, instance)
    world.changes_meanwhile = False
    said(watch, world, instance)
    assert world.looks == 2


def test_every_change_that_makes_something_due_has_a_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=50, until=dt.date(2024, 3, 1))
    settings = Settings(home=tmp_path / "home", source=FilesSettings.model_validate(CONFIGURATION["source"]))
    migrate(settings.database_url)
    settings.clock.fix(dt.datetime(2024, 2, 1, tzinfo=dt.UTC))
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    signs = signs_of(settings.source, settings.lake_url, settings.clock, serving)
    events = file_of(tmp_path, "events", "2024-02-01")
    table = Path(settings.lake_url) / "events"

    def another_file() -> None:
        (table / "_delta_log").mkdir(parents=True)
        (table / "_delta_log" / "0.json").write_text("{}", encoding="utf-8")

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        changes = {
            "the clock": lambda: settings.clock.fix(dt.datetime(2024, 2, 2, tzinfo=dt.UTC)),
            "a materialization": lambda: instance.report_runless_asset_event(dg.AssetMaterialization("a")),
            "a row in a file of the source": lambda: events.write_bytes(events.read_bytes() + b"x"),
            "another file of the source": lambda: (events.parent / "events-2024-03-01.csv").write_bytes(b"x"),
            "a commit in the lake": another_file,
            "a file of the lake that is gone": (table / "_delta_log" / "0.json").unlink,
        }
        for what, change in changes.items():
            before = signs(instance)
            assert signs(instance) == before
            change()
            assert signs(instance) != before, what


def test_a_source_without_files_and_a_lake_that_is_not_there_have_no_signs_and_no_error(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, source=SyntheticSettings(customers=50))
    migrate(settings.database_url)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    with dg.DagsterInstance.ephemeral() as instance:
        assert signs_of(settings.source, settings.lake_url, settings.clock, serving)(instance) == signs_of(
            settings.source, settings.lake_url, settings.clock, serving
        )(instance)
