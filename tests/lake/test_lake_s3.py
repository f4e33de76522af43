"""The lake in an S3 server: what it does in a folder, two writers that lose no commit, and a store that is away."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from churn_assets.doctor.stores import writable
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import migrate_lake
from churn_assets.lake.restore import restore
from churn_assets.lake.row_digest import digest
from churn_assets.lake.versions import differences, versions
from churn_store.errors import InputError, StoreAwayError
from churn_store.storage.object_storage import open_store
from tests.fault_table import Fault
from tests.store.object_storage import ObjectStorage

ROWS = pl.DataFrame({"customer_id": ["a", "b"], "x": [1, 2], "share": [0.5, None], "left": [True, None]})
JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"


@pytest.fixture
def lake(s3: ObjectStorage) -> Lake:
    return Lake(f"{s3.new_bucket()}/company/lake/", patience_s=2)


def rows(x: int) -> pl.DataFrame:
    return ROWS.with_columns(x=pl.lit(x, pl.Int64))


def test_partitions_versions_sources_and_statistics_are_those_of_a_folder(lake: Lake) -> None:
    assert not lake.has("t")
    with pytest.raises(InputError, match="the lake has no table t yet"):
        lake.version("t")
    assert lake.replace("t", {JAN: ROWS, FEB: ROWS}, run_id="r1", sources={"events": 4}).version == 0
    assert lake.replace("t", {FEB: rows(7), MAR: rows(8)}, run_id="r2").version == 1
    assert lake.uri("t").endswith("/company/lake/t")
    assert (lake.has("t"), lake.periods("t"), lake.periods("t", version=0)) == (True, [JAN, FEB, MAR], [JAN, FEB])
    assert lake.read("t", JAN).equals(ROWS)
    assert digest(lake.read("t", JAN), key=["customer_id"]) == digest(ROWS, key=["customer_id"])
    assert lake.read("t", FEB, version=0).equals(ROWS)
    assert lake.read("t", MAR, columns=["x"])["x"].to_list() == [8, 8]
    assert lake.spans("t", "x") == {JAN: (1, 2), FEB: (7, 7), MAR: (8, 8)}
    assert (lake.sources("t", version=0), lake.sources("t")) == ({"events": 4}, {})
    with pytest.raises(InputError, match="has other columns: x"):
        lake.replace("t", {JAN: ROWS.drop("x")}, run_id="r3")
    assert lake.version("t") == 1


@pytest.mark.integration
def test_the_commands_for_versions_and_restores_work_on_it(lake: Lake) -> None:
    table = "churn_scores"
    for x in (1, 2):
        lake.replace(table, {JAN: rows(x), FEB: rows(x)}, run_id=f"r{x}")
    assert [(found.number, found.run_id, found.rows) for found in versions(lake, table, limit=9)] == [
        (1, "r2", 4),
        (0, "r1", 4),
    ]
    assert [found.changed for found in differences(lake, table, 0, 1)] == [2, 2]
    assert restore(lake, table, 0, periods=[FEB]).version == 2
    assert (lake.read(table, JAN)["x"][0], lake.read(table, FEB)["x"][0]) == (2, 1)
    assert restore(lake, table, 0).version == 3
    assert (lake.read(table, JAN)["x"][0], lake.read(table, FEB)["x"][0]) == (1, 1)
    assert migrate_lake(lake) == {}
    assert "can be written and read" in writable(lake)
    assert not [file for batch in open_store(lake.url).list() for file in batch if "doctor" in file["path"]]


WRITER = """
import sys
import polars as pl
from churn_assets.lake.lake import Lake
lake, who, count = Lake(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
for x in range(count):
    part = pl.DataFrame({"customer_id": ["a"], "x": [who * 1000 + x]})
    lake.replace("t", {f"20{10 + who}-{x % 12 + 1:02}-01": part}, run_id=f"{who} {x}")
    print(x, flush=True)
"""


@pytest.mark.faults
def test_two_writers_at_once_lose_no_commit(lake: Lake, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    fault.names("two writers of one table (S3)", done="6 commits each, at the same time")
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")  # somebody's leftover must not make it unsafe
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, lake.url, str(who), "6"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL,
        )
        for who in (1, 2)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    # The first may have lost to the other the making of the table, which is one version more; no version is there twice.
    commits = lake.table("t").history()
    assert sorted(commit["run_id"] for commit in commits) == sorted(f"{who} {x}" for who in (1, 2) for x in range(6))
    assert lake.periods("t") == [f"20{10 + who}-{x + 1:02}-01" for who in (1, 2) for x in range(6)]
    assert lake.scan("t").collect()["x"].sort().to_list() == [who * 1000 + x for who in (1, 2) for x in range(6)]
    fault.held("12 commits, none lost, none twice")


def test_a_write_that_meets_another_s_commit_looks_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writes a new period between this one's look and its write of all periods that it saw."""
    lake.replace("t", {JAN: rows(1)}, run_id="r")
    import churn_assets.lake.lake as module  # noqa: PLC0415

    write, other = deltalake.write_deltalake, Lake(lake.url)
    met: list[bool] = []

    def late(*arguments: Any, **options: Any) -> None:
        if not met:
            met.append(True)
            with monkeypatch.context() as patch:
                patch.setattr(module, "write_deltalake", write)
                other.replace("t", {FEB: rows(2)}, run_id="other")
        write(*arguments, **options)

    monkeypatch.setattr(module, "write_deltalake", late)
    lake.replace("t", {JAN: rows(3)}, run_id="r")
    assert (lake.read("t", JAN)["x"][0], lake.read("t", FEB)["x"][0]) == (3, 2)

    def never(*arguments: Any, **options: Any) -> None:
        raise CommitFailedError("met another")

    monkeypatch.setattr(module, "write_deltalake", never)
    with pytest.raises(InputError, match="another run wrote it at the same time, again and again"):
        lake.replace("t", {JAN: rows(4)}, run_id="r")


@pytest.mark.faults
def test_a_writer_killed_at_any_time_leaves_whole_versions_only(lake: Lake, fault: Fault) -> None:
    fault.names("writer of the lake killed (S3)", done="-9 at two moments")
    lake.replace("t", {JAN: pl.DataFrame({"customer_id": ["a"], "x": [0]})}, run_id="0")
    for wait_s in (0.0, 0.02):
        command = [sys.executable, "-c", WRITER, lake.url, "3", "100000"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
            assert [writer.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
            time.sleep(wait_s)
            writer.send_signal(signal.SIGKILL)
    version = lake.version("t")
    assert version >= 4
    assert lake.scan("t").collect().height == len(lake.periods("t"))
    store = open_store(lake.uri("t"))
    for number in range(version + 1):
        for line in bytes(store.get(f"_delta_log/{number:020}.json").bytes()).splitlines():
            json.loads(line)
    lake.replace("t", {JAN: pl.DataFrame({"customer_id": ["a"], "x": [9]})}, run_id="after")
    assert lake.read("t", JAN)["x"].to_list() == [9]
    fault.held("only whole versions; the next write succeeds")


def test_a_store_that_is_away_is_said_so_within_bounds_and_not_taken_for_an_empty_lake(
    s3: ObjectStorage, lake: Lake
) -> None:
    hasty = Lake(lake.url, patience_s=1)
    hasty.replace("t", {JAN: ROWS}, run_id="r")
    with s3.away():
        for use in (
            lambda: hasty.has("t"),
            lambda: hasty.version("t"),
            lambda: hasty.replace("t", {JAN: ROWS}, run_id="r"),
        ):
            began = time.monotonic()
            with pytest.raises(StoreAwayError, match=r"the object store s3://.* does not answer"):
                use()
            assert time.monotonic() - began < 10
    assert hasty.read("t", JAN).equals(ROWS)
    with pytest.raises(StoreAwayError, match="its bucket does not exist"):
        Lake("s3://there-is-none/lake").has("t")
    with pytest.raises(InputError, match=r"can't be written and read: .*bucket does not exist"):
        writable(Lake("s3://there-is-none/lake"))
