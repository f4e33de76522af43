"""A lake that is lost in part: whatever is torn is named, blocks what is behind it, and is whole again once it was written again."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test

from churn_assets.lake.contents import digest_of_files
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import restore
from churn_assets.orchestration.instance import report_restored
from churn_assets.orchestration.lake_records import record_files, verify
from churn_assets.orchestration.lost_periods import FILES_TAG, causes_of, is_being_written, lost, whole_versions
from churn_assets.orchestration.run_history import data_versions, metadata_of, present
from churn_assets.orchestration.table_writer import Built, Events, TableWriter
from churn_store.errors import InputError, LostError

PERIODS = ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
JAN, FEB, MAR, EMPTY = PERIODS
SCHEMA = {"payment_id": pl.String, "amount_cents": pl.Int64}
CONTRACT = pa.DataFrameSchema({name: pa.Column(kind) for name, kind in SCHEMA.items()}, unique=["payment_id"])


class World:
    """A table of four periods, the last of which has no rows, and the instance that wrote it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance, self.lake = folder / "lake", instance, Lake(str(folder / "lake"))

    def write(self, *periods: str, more: int = 0) -> None:
        """Materialize periods, each in a run of its own."""
        lake = self.lake

        @dg.asset(partitions_def=dg.StaticPartitionsDefinition(PERIODS))
        def payments(context: dg.AssetExecutionContext) -> Events:
            writer = TableWriter(context, lake, "payments", CONTRACT)
            rows = [] if context.partition_key == EMPTY else [f"{context.partition_key}-{n}" for n in range(5 + more)]
            frame = pl.DataFrame({"payment_id": rows, "amount_cents": [len(rows)] * len(rows)}, schema=SCHEMA)
            writer.add(context.partition_key, Built(frame, metadata={"kept": "as it was"}))
            yield from writer.events()

        for period in periods:
            assert dg.materialize([payments], partition_key=period, instance=self.instance).success

    @property
    def table(self) -> Path:
        """The folder of the table."""
        return self.folder / "payments"

    def file(self, period: str) -> Path:
        """The one file of a period."""
        [stored] = (self.lake.files("payments") or {})[period]
        return self.table / stored.path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake and its instance, of which each test has a copy."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / "instance")) as instance:
        World(folder, instance).write(*PERIODS)
    return folder


@pytest.fixture
def world(written: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as instance:
        yield World(tmp_path, instance)


def test_a_period_of_a_range_whose_run_ended_before_it_was_reported_is_lost(world: World) -> None:
    """Dagster gives the version of the whole range to each of its periods; the period's own follows, or the process has died before."""
    for period in (JAN, EMPTY):
        unreported = dg.AssetMaterialization("payments", partition=period, metadata={"periods": 2, "dagster/row_count": 5})
        world.instance.report_runless_asset_event(unreported)
    said = "the run that wrote it ended before it had reported it"
    assert lost(world.instance, world.lake, "payments") == {JAN: said, EMPTY: said}
    world.write(JAN, EMPTY)
    assert lost(world.instance, world.lake, "payments") == {}


def log_removed(world: World) -> None:
    shutil.rmtree(world.table / "_delta_log")


def older_log(world: World) -> None:
    (world.table / "_delta_log" / f"{2:020}.json").unlink()
    (world.table / "_delta_log" / f"{3:020}.json").unlink()


def file_removed(world: World) -> None:
    world.file(MAR).unlink()


def file_cut_off(world: World) -> None:
    content = world.file(MAR).read_bytes()
    world.file(MAR).write_bytes(content[:100])


def file_grown(world: World) -> None:
    with open(world.file(MAR), "ab") as stream:
        stream.write(b"\0")


def written_past_dagster(world: World) -> None:
    world.lake.replace("payments", {MAR: world.lake.read("payments", MAR).head(2)}, run_id="by hand")


def emptied_past_dagster(world: World) -> None:
    world.lake.replace("payments", {MAR: world.lake.read("payments", MAR).clear()}, run_id="by hand")


def rows_where_none_were(world: World) -> None:
    world.lake.replace("payments", {EMPTY: world.lake.read("payments", MAR).head(2)}, run_id="by hand")


def another_lake(world: World) -> None:
    other = Lake(str(world.folder.parent / "other"))
    for period in PERIODS:
        other.replace("payments", {period: world.lake.read("payments", period)}, run_id="another company's")
    shutil.rmtree(world.table)
    shutil.copytree(other.uri("payments"), world.table)


def table_dropped(world: World) -> None:
    shutil.rmtree(world.table)


Tear = Callable[[World], None]


@pytest.mark.parametrize(
    ("tear", "gone", "said"),
    [
        (log_removed, [JAN, FEB, MAR], "the lake has no rows of it, and it had some"),
        (older_log, [MAR], "the lake has no rows of it, and it had some"),
        (file_removed, [MAR], "is missing"),
        (file_cut_off, [MAR], "has 100 bytes instead of"),
        (file_grown, [MAR], "bytes instead of"),
        (written_past_dagster, [MAR], "the lake holds other files of it than were written"),
        (emptied_past_dagster, [MAR], "the lake has no rows of it, and it had some"),
        (rows_where_none_were, [EMPTY], "the lake has rows of it, and none were written"),
        (another_lake, [JAN, FEB, MAR], "the lake holds other files of it than were written"),
        (table_dropped, [JAN, FEB, MAR], "the lake has no rows of it, and it had some"),
    ],
)
def test_what_is_torn_is_lost_until_it_is_written_again(world: World, tear: Tear, gone: list[str], said: str) -> None:
    assert lost(world.instance, world.lake, "payments") == {}
    versions = data_versions(world.instance, "payments")
    tear(world)
    found = lost(world.instance, world.lake, "payments")
    assert sorted(found) == gone
    assert said in found[gone[0]]
    assert not present(world.instance, world.lake, "payments") & set(gone)
    if world.lake.has("payments"):
        with pytest.raises(LostError, match=f"payments {gone[0]}.* (is|are) lost: .*materialize payments again"):
            whole_versions(world.instance, world.lake, ["payments"])

    world.write(*gone)
    assert lost(world.instance, world.lake, "payments") == {}
    assert present(world.instance, world.lake, "payments") == set(PERIODS)
    assert data_versions(world.instance, "payments") == versions, "the same rows"
    assert whole_versions(world.instance, world.lake, ["payments"])


def test_a_log_that_can_not_be_read_is_one_sentence_with_the_way_back(world: World) -> None:
    (world.table / "_delta_log" / f"{3:020}.json").write_text('{"add": {"pa', encoding="utf-8")
    for ask in (world.lake.has, world.lake.version, lambda table: lost(world.instance, world.lake, table)):
        with pytest.raises(LostError) as refused:
            ask("payments")
        assert f"table payments is lost: Delta's log in {world.table}/_delta_log can't be read" in str(refused.value)
        assert "from a backup; without one move it away" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_the_next_loss_of_a_period_is_another_cause(world: World) -> None:
    """Otherwise the sensors would say that they have asked for it already."""
    causes = []
    for _ in range(2):
        file_removed(world)
        causes.append(causes_of(world.instance, world.lake, ["payments"]))
        world.write(MAR)
        assert causes_of(world.instance, world.lake, ["payments"]) == []
    assert causes[0] != causes[1]
    assert [(table, period) for table, period, _ in causes[0]] == [("payments", MAR)]


def test_a_restored_version_is_recorded(world: World) -> None:
    world.write(MAR, more=3)
    done = restore(world.lake, "payments", 2)
    assert sorted(lost(world.instance, world.lake, "payments")) == [MAR], "it died before it told Dagster"
    report_restored(world.instance, world.lake, "payments", done.periods, of=2, version=done.version)
    assert lost(world.instance, world.lake, "payments") == {}


def test_bytes_that_change_at_equal_size_are_found_by_reading_them(world: World) -> None:
    file = world.file(MAR)
    whole = file.read_bytes()
    content = bytearray(whole)
    content[10:30] = bytes(byte ^ 0xFF for byte in content[10:30])
    file.write_bytes(content)
    assert lost(world.instance, world.lake, "payments") == {}
    found = dict(verify(world.instance, world.lake, "payments"))
    assert [period for period, said in found.items() if said] == [MAR]
    assert lost(world.instance, world.lake, "payments") == {MAR: "its rows are not those that were written"}, (
        "it stays lost"
    )
    assert dict(verify(world.instance, world.lake, "payments")) == found
    file.write_bytes(whole)
    assert not any(said for _, said in verify(world.instance, world.lake, "payments")), "brought back from a backup"
    assert lost(world.instance, world.lake, "payments") == {}
    file.write_bytes(content)
    assert any(said for _, said in verify(world.instance, world.lake, "payments"))
    world.write(MAR)
    assert not any(said for _, said in verify(world.instance, world.lake, "payments")), "written again"


def test_a_period_that_is_written_while_it_is_verified_is_not_marked(world: World) -> None:
    checked = verify(world.instance, world.lake, "payments")
    assert next(checked) == (JAN, "")
    world.write(MAR, more=2)
    assert dict(checked) == {FEB: "", MAR: "", EMPTY: ""}
    assert lost(world.instance, world.lake, "payments") == {}


def test_a_version_that_can_not_be_read_is_not_restored(world: World) -> None:

    file = world.file(MAR)
    whole = file.read_bytes()
    file.write_bytes(bytes(byte ^ 0xFF for byte in whole[:30]) + whole[30:])
    assert any(said for _, said in verify(world.instance, world.lake, "payments"))
    with pytest.raises(InputError):
        restore(world.lake, "payments", 3)
    assert sorted(lost(world.instance, world.lake, "payments")) == [MAR]


def without_tags(instance: dg.DagsterInstance, periods: list[str]) -> None:
    """Report the newest materializations again as the platform of before did."""
    for period in periods:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("payments"), asset_partitions=[period])
        newest: Any = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
        tags = {name: value for name, value in newest.tags.items() if name != FILES_TAG}
        instance.report_runless_asset_event(
            dg.AssetMaterialization("payments", partition=period, metadata=newest.metadata, tags=tags)
        )


def test_an_older_installation_is_recorded_once_and_keeps_what_it_said(world: World) -> None:
    without_tags(world.instance, PERIODS)
    assert lost(world.instance, world.lake, "payments") == {}
    written_past_dagster(world)
    assert lost(world.instance, world.lake, "payments") == {}, "nobody can know"
    emptied_past_dagster(world)
    assert sorted(lost(world.instance, world.lake, "payments")) == [MAR], "it had rows, and has none"
    assert record_files(world.instance, world.lake) == {"payments": 3}
    assert record_files(world.instance, world.lake) == {}
    assert metadata_of(world.instance, "payments", "kept", periods=[JAN]) == {JAN: "as it was"}
    os.unlink(world.file(FEB))
    assert sorted(lost(world.instance, world.lake, "payments")) == [FEB, MAR]


def committed_by(world: World, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run that has committed other rows of a period, and has not reported them."""
    run = create_run_for_test(world.instance, job_name="ingest", status=status)
    world.lake.replace("payments", {FEB: pl.DataFrame({"payment_id": ["new"], "amount_cents": [1]})}, run_id=run.run_id)
    return run


def test_what_a_run_is_writing_is_waited_for_and_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_assets.orchestration.lost_periods.POLL_S", 0.01)
    run = committed_by(world, dg.DagsterRunStatus.STARTED)
    assert is_being_written(world.instance, world.lake, "payments")

    def reports() -> None:
        time.sleep(0.3)
        files = digest_of_files((world.lake.files("payments") or {})[FEB])
        world.instance.report_runless_asset_event(
            dg.AssetMaterialization("payments", partition=FEB, tags={FILES_TAG: files})
        )
        world.instance.report_run_canceled(run)

    writer = threading.Thread(target=reports)
    writer.start()
    begun = time.monotonic()
    try:
        assert whole_versions(world.instance, world.lake, ["payments"]) == {"payments": world.lake.version("payments")}
    finally:
        writer.join()
    assert time.monotonic() - begun > 0.2


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_what_a_run_that_ended_never_reported_is_lost_at_once(world: World, status: dg.DagsterRunStatus) -> None:
    committed_by(world, status)
    assert not is_being_written(world.instance, world.lake, "payments")
    with pytest.raises(LostError, match=f"payments {FEB} is lost: the lake holds other files"):
        whole_versions(world.instance, world.lake, ["payments"])


def test_a_writer_that_never_ends_is_not_waited_for_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_assets.orchestration.lost_periods.PATIENCE_S", 0.1)
    monkeypatch.setattr("churn_assets.orchestration.lost_periods.POLL_S", 0.01)
    committed_by(world, dg.DagsterRunStatus.STARTED)
    with pytest.raises(LostError, match="is lost"):
        whole_versions(world.instance, world.lake, ["payments"])
