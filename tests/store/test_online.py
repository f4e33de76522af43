"""Online features: the same answers from a folder and from Redis, and always one whole snapshot."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis

from churn_store.storage.online_store import OnlineReader, SnapshotLostError, open_reader, write_snapshot

COLUMNS = ("sessions", "plan", "days")
ROWS = [("c1", [3.0, "pro", None]), ("c2", [0.0, None, 1.5]), ("ümlaut/1", [1.0, "", 0.0])]


@pytest.fixture(params=["folder", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "online")
    url: str = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return url


def write(address: str, *, name: str = "2026-01-01", rows: list[Any] = ROWS, now_s: int = 7) -> Any:
    return write_snapshot(address, name=name, snapshot_s=1, columns=COLUMNS, rows=rows, now_s=now_s)


def with_reader(address: str, ask: Any) -> Any:
    async def run() -> Any:
        reader = open_reader(address)
        try:
            return await ask(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


def test_what_was_written_is_read_back_in_the_order_of_the_ids(address: str) -> None:
    written = write(address)

    async def ask(reader: OnlineReader) -> Any:
        return await reader.refresh(), reader.snapshot, await reader.get(["c2", "nobody", "ümlaut/1", "c1"])

    refreshed, current, found = with_reader(address, ask)
    assert refreshed == current == written
    assert found == [[0.0, None, 1.5], None, [1.0, "", 0.0], [3.0, "pro", None]]


def test_before_the_first_snapshot_there_is_none(address: str) -> None:
    async def ask(reader: OnlineReader) -> Any:
        return await reader.refresh(), await reader.get(["c1"])

    assert with_reader(address, ask) == (None, [None])


def test_a_reader_follows_to_a_newer_snapshot_when_it_looks(address: str) -> None:
    write(address)

    async def ask(reader: OnlineReader) -> Any:
        await reader.refresh()
        before = reader.snapshot
        write(address, name="2026-02-01", rows=[("c9", [9.0, "pro", 9.0])])
        not_yet = reader.snapshot
        await reader.refresh()
        return before, not_yet, reader.snapshot, await reader.get(["c1", "c9"])

    before, not_yet, after, found = with_reader(address, ask)
    assert before is not_yet
    assert (before.name, after.name) == ("2026-01-01", "2026-02-01")
    assert found == [None, [9.0, "pro", 9.0]]


def test_an_unchanged_pointer_leaves_the_very_same_snapshot_object(address: str) -> None:
    write(address)

    async def ask(reader: OnlineReader) -> Any:
        return await reader.refresh(), await reader.refresh()

    first, second = with_reader(address, ask)
    assert first is second


def test_the_same_features_written_twice_are_the_same_snapshot(address: str) -> None:
    assert write(address).digest == write(address, now_s=99).digest


def test_a_folder_and_redis_name_the_same_features_alike(tmp_path: Path, redis_url: str) -> None:
    assert write(str(tmp_path)) == write(redis_url)


def test_look_ups_go_on_while_snapshots_are_replaced(address: str) -> None:
    async def ask(reader: OnlineReader) -> Any:
        seen = set()
        for number in range(6):
            write(address, name=f"s{number}", rows=[("c1", [float(number), "pro", None])])
            await reader.refresh()
            seen.add((reader.snapshot.name, (await reader.get(["c1"]))[0][0]))
        return seen

    assert with_reader(address, ask) == {(f"s{number}", float(number)) for number in range(6)}


def test_a_redis_that_lost_the_features_is_not_taken_for_one_without_customers(redis_url: str) -> None:
    write(redis_url)

    async def ask(reader: OnlineReader) -> Any:
        await reader.refresh()
        redis.Redis.from_url(redis_url).flushall()
        with pytest.raises(SnapshotLostError, match="no longer holds"):
            await reader.get(["c1"])
        return await reader.refresh()

    assert with_reader(redis_url, ask) is None


def test_a_damaged_pointer_leaves_the_former_snapshot_in_use(tmp_path: Path) -> None:
    write(str(tmp_path))

    async def ask(reader: OnlineReader) -> Any:
        await reader.refresh()
        (tmp_path / "current.json").write_text("{")
        with pytest.raises(Exception, match="truncated"):
            await reader.refresh()
        return await reader.get(["c1"])

    assert with_reader(str(tmp_path), ask) == [[3.0, "pro", None]]
