"""What is torn, full or read-only is one sentence that names table, file and way out, and never a panic or another library's words."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from churn_assets.lake.identity import ensure_lake_id
from churn_assets.lake.lake import Lake
from churn_store.disk import disk_error
from churn_store.errors import ChurnError, DiskError, InputError, LostError

JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"
ROWS = pl.DataFrame({"k": [str(number) for number in range(2_000)], "v": range(2_000)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    lake = Lake(str(folder))
    for period in (JAN, FEB, MAR):
        lake.replace("events", {period: ROWS}, run_id=period)
    lake.table("events").create_checkpoint()
    return folder


@pytest.fixture
def lake(whole: Path, tmp_path: Path) -> Lake:
    shutil.copytree(whole, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def data_file(lake: Lake, period: str = FEB) -> Path:
    [stored] = (lake.files("events") or {})[period]
    return Path(lake.uri("events")) / stored.path


def log_file(lake: Lake, name: str) -> Path:
    return Path(lake.uri("events")) / "_delta_log" / name


def flip(file: Path, first: int, end: int) -> None:
    content = bytearray(file.read_bytes())
    content[first:end] = bytes(byte ^ 0xFF for byte in content[first:end])
    file.write_bytes(content)


CHECKPOINT, HINT = f"{2:020}.checkpoint.parquet", "_last_checkpoint"


@pytest.mark.parametrize(
    ("tear", "said"),
    [
        (lambda lake: data_file(lake).unlink(), "is missing"),
        (lambda lake: data_file(lake).write_bytes(b""), "has 0 bytes instead of"),
        (lambda lake: data_file(lake).write_bytes(data_file(lake).read_bytes()[:100]), "has 100 bytes instead of"),
        (lambda lake: flip(data_file(lake), 4, 300), "can't be read"),
        (lambda lake: flip(data_file(lake), -300, -8), "can't be read"),
    ],
)
def test_a_torn_file_of_rows_is_named_with_its_period(lake: Lake, tear: Callable[[Lake], None], said: str) -> None:
    name = data_file(lake).name
    tear(lake)
    for read in (
        lambda: lake.read("events", FEB),
        lambda: lake.collect("events", lake.scan("events").select("k", "v")),
    ):
        with pytest.raises(LostError) as refused:
            read()
        assert f"events {FEB} is lost in part: its file" in str(refused.value)
        assert f"{name} {said}" in str(refused.value)
        assert "materialize events again for this period" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert lake.read("events", JAN).equals(ROWS), "its own rows are whole"
    lake.replace("events", {FEB: ROWS}, run_id="again")
    assert lake.read("events", FEB).equals(ROWS)


@pytest.mark.parametrize(
    ("tear", "said", "mend"),
    [
        (lambda lake: log_file(lake, CHECKPOINT).write_bytes(b"PAR1"), f"{CHECKPOINT} is not as it was written", True),
        (lambda lake: log_file(lake, CHECKPOINT).unlink(), f"{HINT} names a checkpoint that is missing", True),
        (
            lambda lake: [log_file(lake, name).unlink() for name in (CHECKPOINT, HINT, f"{1:020}.json")],
            f"{1:020}.json is missing",
            False,
        ),
        (
            lambda lake: [
                log_file(lake, CHECKPOINT).unlink(),
                log_file(lake, HINT).unlink(),
                log_file(lake, f"{2:020}.json").write_text('{"add": {"pa'),
            ],
            f"{2:020}.json is not as it was written",
            False,
        ),
    ],
)
def test_a_torn_log_is_named_with_the_way_back_and_that_way_works(
    lake: Lake, tear: Callable[[Lake], object], said: str, mend: bool
) -> None:
    tear(lake)
    with pytest.raises(LostError) as refused:
        lake.read("events", JAN)
    assert "the lake's table events is lost: Delta's log in" in str(refused.value)
    assert said in str(refused.value)
    with pytest.raises(LostError, match="the lake's table events is lost"):
        lake.replace("events", {JAN: ROWS}, run_id="again")
    if mend:
        assert "away: the other files of the log hold all that it says" in str(refused.value)
        for name in (CHECKPOINT, HINT):
            log_file(lake, name).unlink(missing_ok=True)
        assert lake.read("events", JAN).equals(ROWS)
    else:
        assert "back from a backup; without one move it away" in str(refused.value)


def test_a_version_that_the_log_lacks_is_lost(lake: Lake) -> None:
    with pytest.raises(LostError, match="version 9 of events is lost"):
        lake.read("events", JAN, version=9)


def test_a_write_that_may_fill_the_disk_is_refused_before_it_begins(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(lake.url)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(DiskError, match=r"events in .* can't be written: its disk has 0.0 MiB left, and the rows may need"):
        lake.replace("events", {FEB: ROWS}, run_id="too much")
    assert lake.version("events") == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root mounts a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_that_is_full_or_read_only_is_one_sentence_and_nothing_is_torn(small_disk: Path, state: str) -> None:
    lake = Lake(str(small_disk / "lake"))
    few = ROWS.head(20)
    lake.replace("events", {JAN: few}, run_id="first")
    if state == "full":
        with open(small_disk / "fill", "wb", buffering=0) as fill:
            try:
                while True:
                    fill.write(b"x" * 4096)
            except OSError:
                pass
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    expected = "make room" if state == "full" else "read-only; mount it writable"
    for table in ("events", "payments"):
        with pytest.raises(DiskError) as refused:
            lake.replace(table, {FEB: few}, run_id="second")
        assert f"the lake's table {table} in {lake.uri(table)} can't be written" in str(refused.value)
        assert expected in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(DiskError, match=expected):
        ensure_lake_id(lake.url)
    assert lake.read("events", JAN).equals(few)
    if state == "full":
        os.unlink(small_disk / "fill")
        lake.replace("events", {FEB: few}, run_id="third")
        assert lake.read("events", FEB).equals(few)


def test_only_the_errors_of_a_disk_are_taken_for_one() -> None:
    full = OSError(28, "No space left on device", "/lake/x")
    outer = RuntimeError("whatever")
    outer.__cause__ = full
    said = disk_error(outer, "the table can't be written")
    assert str(said) == (
        "the table can't be written (/lake/x): no space is left on its disk; make room, then run this again. What was there before is unchanged"
    )
    for other in (ValueError("28"), FileNotFoundError(2, "gone"), InputError("wrong"), RuntimeError("os error 9999")):
        assert disk_error(other, "x") is None
    assert issubclass(DiskError, ChurnError)
    assert not issubclass(DiskError, InputError), "another try may help"
