"""Earlier versions of a table: what each wrote, by what two differ, and how one comes back."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from churn_assets.cli.data.group import data
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import restore
from churn_assets.lake.versions import differences, digest_at, versions
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.instance import instance_of, report_restored, require_no_run
from churn_assets.orchestration.run_history import data_versions, present, versions_digest
from churn_store.errors import InputError
from churn_store.mapping.tables import SCHEMAS

pytestmark = pytest.mark.integration

JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"
SECRET = "anna.schmidt@example.org"


def events(*types: str) -> pl.DataFrame:
    """An event of each type."""
    return pl.DataFrame(
        [(f"e{i}", SECRET, word, 10 + i, 20 + i) for i, word in enumerate(types)], schema=SCHEMAS["events"], orient="row"
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A table of three versions: January and February, then another February, then March."""
    lake = Lake(str(tmp_path / ".churn" / "lake"))
    lake.replace("events", {JAN: events("a", "b"), FEB: events("a", "b", "c")}, run_id="run-1")
    lake.replace("events", {FEB: events("a", "x", "c", "d").tail(3)}, run_id="run-2", sources={"customers": 7})
    lake.replace("events", {MAR: events("a")}, run_id="run-3")
    return lake


@pytest.fixture
def folder(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a company that has the lake."""
    (tmp_path / "dagster.yaml").write_text((Path(__file__).parents[2] / "dagster.yaml").read_text())
    (tmp_path / "churn.yaml").write_text("company: small\n")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*arguments: str) -> str:
    """What a command prints; an error of it is raised as it is."""
    result = CliRunner().invoke(data, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_log_names_run_periods_rows_and_what_they_were_made_from_newest_first(lake: Lake) -> None:
    found = versions(lake, "events", limit=20)
    assert [(one.number, one.run_id, one.periods, one.rows, one.sources) for one in found] == [
        (2, "run-3", (MAR,), 1, {}),
        (1, "run-2", (FEB,), 3, {"customers": 7}),
        (0, "run-1", (JAN, FEB), 5, {}),
    ]
    assert [one.number for one in versions(lake, "events", limit=1)] == [2]


def test_the_difference_counts_rows_by_key_and_names_the_columns_and_reads_only_what_differs(lake: Lake) -> None:
    for file in DeltaTable(lake.uri("events"), version=0).file_uris():
        if JAN in file:
            Path(file).unlink()
    [found] = differences(lake, "events", 0, 1)
    assert (found.period, found.rows, found.added, found.removed, found.changed) == (FEB, (3, 3), 1, 1, 1)
    assert found.columns == {"event_type": 1}
    assert found.digests[0] == digest_at("events", lake.read("events", FEB, version=0))
    assert list(differences(lake, "events", 1, 1)) == []


def test_rows_without_a_key_are_compared_whole(lake: Lake) -> None:
    rows = pl.DataFrame({"rule": ["a", "a", "b"], "value": [None, None, "1"]})
    lake.replace("events_quarantine", {JAN: rows}, run_id="r")
    lake.replace("events_quarantine", {JAN: pl.concat([rows.tail(2), rows.tail(1)])}, run_id="r")
    [found] = differences(lake, "events_quarantine", 0, 1)
    assert (found.added, found.removed, found.changed) == (1, 1, 0)


def test_the_commands_show_no_customer(folder: Path) -> None:
    shown = said("log", "events") + said("diff", "events", "0") + said("restore", "events", "0", "--period", FEB)
    assert "version 2" in shown
    assert SECRET not in shown
    assert f"{FEB}  3 -> 3 rows: 1 added, 1 removed, 1 changed in event_type (1)" in shown
    assert f"{MAR}  0 -> 1 rows: 1 added" in shown


def test_a_version_comes_back_whole_as_a_new_version_without_a_file_being_written(lake: Lake) -> None:
    files = set(DeltaTable(lake.uri("events"), version=0).file_uris())
    done = restore(lake, "events", 0)
    assert (done.version, sorted(done.periods), done.periods[MAR].rows) == (3, [FEB, MAR], 0)
    assert set(DeltaTable(lake.uri("events")).file_uris()) == files
    assert lake.read("events", FEB).equals(events("a", "b", "c"))
    assert versions(lake, "events", limit=1)[0].run_id == "churn data restore of version 0"
    restore(lake, "events", 2)
    assert lake.read("events", MAR).equals(events("a"))


def test_only_the_named_periods_come_back(lake: Lake) -> None:
    done = restore(lake, "events", 0, periods=[FEB])
    assert (done.version, list(done.periods)) == (3, [FEB])
    assert lake.read("events", FEB).equals(events("a", "b", "c"))
    assert lake.read("events", MAR).equals(events("a"))
    again = restore(lake, "events", 0, periods=[FEB, JAN])
    assert (again.version, list(again.periods)) == (3, [FEB, JAN])
    assert lake.version("events") == 3


def test_a_period_comes_back_into_a_table_that_was_given_columns_since(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    payments = pl.DataFrame([("p1", "c", 100, "settled", None, None, 1, 2)], schema=SCHEMAS["payments"], orient="row")
    lake.replace(
        "payments", {JAN: payments.drop("due_s", "list_cents"), FEB: payments.drop("due_s", "list_cents")}, run_id="r"
    )
    lake.replace(
        "payments",
        {JAN: payments.with_columns(due_s=pl.lit(5, pl.Int64)), FEB: payments.with_columns(due_s=pl.lit(6, pl.Int64))},
        run_id="r",
    )
    done = restore(lake, "payments", 0, periods=[FEB])
    assert lake.read("payments", FEB)["due_s"].to_list() == [None]
    assert lake.read("payments", JAN)["due_s"].to_list() == [5]
    assert done.periods[FEB].digest == digest_at("payments", payments)


def test_what_a_run_recorded_of_the_same_rows_is_the_digest_that_a_restore_tells_dagster(folder: Path, lake: Lake) -> None:
    """So that a schedule sees other data than before it, and none where the rows are the ones that it knows."""
    known = digest_at("events", events("a", "b", "c"))
    with instance_of(folder) as instance:
        before = versions_digest(instance, ["events"])
    shown = said("restore", "events", "0")
    assert "version 0 is back as version 3" in shown
    assert f"version 0 had no rows of {MAR}; materialize events for them to have them again" in shown
    with instance_of(folder) as instance:
        assert data_versions(instance, "events")[FEB] == known
        assert set(data_versions(instance, "events")) == {FEB, MAR}
        assert versions_digest(instance, ["events"]) != before
        event = instance.get_latest_materialization_event(dg.AssetKey("events"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["restored_version"].value == 0


def test_a_period_that_a_restore_has_taken_away_is_missing_until_it_is_ingested_again(folder: Path, lake: Lake) -> None:
    with instance_of(folder) as instance:
        for period in (FEB, MAR):
            instance.report_runless_asset_event(dg.AssetMaterialization("events", partition=period))
        assert present(instance, lake, "events") == {FEB, MAR}
    said("restore", "events", "0")
    with instance_of(folder) as instance:
        assert present(instance, lake, "events") == {FEB}
        lake.replace("events", {MAR: events("a").clear()}, run_id="r")
        instance.report_runless_asset_event(dg.AssetMaterialization("events", partition=MAR))
        assert present(instance, lake, "events") == {FEB, MAR}, "a quiet period has no rows, and is there"
    shutil.rmtree(lake.uri("events"))
    with instance_of(folder) as instance:
        assert present(instance, lake, "events") == set()


def test_a_restore_that_died_before_it_told_dagster_tells_it_the_next_time(folder: Path, lake: Lake) -> None:
    with instance_of(folder) as instance:
        for period in (FEB, MAR):
            instance.report_runless_asset_event(
                dg.AssetMaterialization("events", partition=period, tags={DATA_VERSION_TAG: "as before"})
            )
    restore(lake, "events", 0)
    shown = said("restore", "events", "0")
    assert "holds the rows of version 0 already; nothing was written, but Dagster was told of" in shown
    with instance_of(folder) as instance:
        assert MAR not in present(instance, lake, "events")
        assert data_versions(instance, "events")[FEB] == digest_at("events", events("a", "b", "c"))
    assert said("restore", "events", "0").strip().endswith("nothing was written")


def test_data_without_time_is_told_as_an_asset_without_periods(lake: Lake, folder: Path) -> None:
    lake.replace("customers", {"all": pl.DataFrame({"customer_id": ["a"], "churned": [True]})}, run_id="r")
    lake.replace("customers", {"all": pl.DataFrame({"customer_id": ["a"], "churned": [False]})}, run_id="r")
    said("restore", "customers", "0")
    with instance_of(folder) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("customers"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition is None
    assert lake.read("customers", "all")["churned"].to_list() == [True]


def test_nothing_is_restored_while_a_run_may_write(folder: Path, lake: Lake) -> None:
    with instance_of(folder) as instance:
        instance.add_run(dg.DagsterRun(job_name="ingest", run_id="0" * 32, status=dg.DagsterRunStatus.STARTED))
        with pytest.raises(InputError, match="of ingest is started and may use events"):
            require_no_run(instance, "events")
    with pytest.raises(InputError, match="wait until it has ended"):
        said("restore", "events", "0")
    assert lake.version("events") == 2


def test_rows_are_verified_beside_other_runs_and_after_the_run_that_writes_them(folder: Path, lake: Lake) -> None:
    with instance_of(folder) as instance:
        rows = {JAN: events("a", "b"), FEB: events("a", "x", "c", "d").tail(3), MAR: events("a")}
        for period, written in rows.items():
            tags = {DATA_VERSION_TAG: digest_at("events", written)}
            instance.report_runless_asset_event(dg.AssetMaterialization("events", partition=period, tags=tags))
        instance.add_run(dg.DagsterRun(job_name="retrain", run_id="another", status=dg.DagsterRunStatus.STARTED))
        assert CliRunner().invoke(data, ["verify", "events"]).output == "events: 3 periods as written\n"

        instance.add_run(dg.DagsterRun(job_name="ingest", run_id="run-3", status=dg.DagsterRunStatus.STARTED))
        with ThreadPoolExecutor() as beside:
            verified = beside.submit(CliRunner().invoke, data, ["verify", "events"])
            time.sleep(1.5)
            assert not verified.done()
            [run] = instance.get_runs(dg.RunsFilter(run_ids=["run-3"]))
            instance.report_run_canceled(run)
            found = verified.result(60)
    assert found.exit_code == 0
    assert found.stdout == "events: 3 periods as written\n"
    assert found.stderr == "events: a run writes it; waiting until that has ended\n"


class Raced(Lake):
    """A lake into which somebody writes just before a restore commits."""

    def sources(self, table: str, *, version: int | None = None) -> dict[str, int]:
        """As ever, and another writer was faster."""
        Lake(self.url).replace(table, {MAR: events("z")}, run_id="faster")
        return super().sources(table, version=version)


def test_of_a_restore_and_a_writer_at_once_the_slower_one_fails_and_nothing_is_lost(lake: Lake) -> None:
    with pytest.raises(InputError, match="another run wrote it at the same time"):
        restore(Raced(lake.url), "events", 0)
    assert lake.version("events") == 3
    assert lake.read("events", MAR).equals(events("z"))


def test_the_folder_of_a_company_must_have_an_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(InputError, match=r"has no dagster\.yaml; run this where churn.yaml and dagster.yaml lie"):
        instance_of(tmp_path)


def test_reporting_twice_is_harmless(lake: Lake, folder: Path) -> None:
    done = restore(lake, "events", 0)
    with instance_of(folder) as instance:
        for _ in range(2):
            report_restored(
                instance,
                lake,
                "events",
                done.periods,
                of=0,
                version=done.version,
            )
        assert data_versions(instance, "events")[FEB] == done.periods[FEB].digest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["log", "evnts"], "has no table 'evnts'; expected one of events"),
        (["diff", "../events", "0"], "has no table '../events'"),
        (["diff", "events", "9"], "table events has no version 9; expected 0 to 2"),
        (["diff", "events", "0", "9"], "table events has no version 9; expected 0 to 2"),
        (["restore", "events", "9"], "table events has no version 9"),
        (
            ["restore", "events", "0", "--period", "2024-09-01"],
            "version 0 of events has no rows of 2024-09-01; expected some of",
        ),
    ],
)
def test_a_table_or_version_that_is_not_there_is_one_sentence(folder: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        said(*arguments)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "arguments", [["diff", "events", "0"], ["restore", "events", "0"], ["restore", "events", "0", "--period", FEB]]
)
def test_a_version_whose_files_were_removed_is_one_sentence_and_the_table_stays(
    folder: Path, lake: Lake, arguments: list[str]
) -> None:
    DeltaTable(lake.uri("events")).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(InputError, match="version 0 of table events can't be read any more: its files were removed"):
        said(*arguments)
    assert lake.version("events") in (2, 4)  # the vacuum itself is two commits
    assert lake.read("events", MAR).equals(events("a"))
