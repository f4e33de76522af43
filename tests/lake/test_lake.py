"""The lake: exactly the named partitions change, in one commit, and a killed writer leaves nothing half-written."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_store.errors import InputError
from tests.fault_table import Fault

ROWS = pl.DataFrame({"id": ["a", "b"], "x": [1, 2], "share": [0.5, None], "left": [True, None]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def rows(x: int) -> pl.DataFrame:
    return ROWS.with_columns(pl.col("x") * 0 + x)


def test_only_the_named_partitions_change_and_the_others_keep_their_files(lake: Lake) -> None:
    lake.replace("t", {key: rows(1) for key in ("2024-01-01", "2024-02-01", "2024-03-01")}, run_id="r")
    before = set(DeltaTable(lake.uri("t")).file_uris())
    lake.replace("t", {"2024-02-01": rows(2).head(1), "2024-04-01": rows(4)}, run_id="r")
    kept = before & set(DeltaTable(lake.uri("t")).file_uris())
    assert len(kept) == 2
    assert not any("2024-02-01" in file for file in kept)
    assert lake.read("t", "2024-01-01").equals(rows(1))
    assert lake.read("t", "2024-02-01").equals(rows(2).head(1))
    assert lake.periods("t") == ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]


def test_each_write_is_a_version_and_an_earlier_one_can_be_read_again(lake: Lake) -> None:
    assert [lake.replace("t", {"all": rows(x)}, run_id="r").version for x in range(3)] == [0, 1, 2]
    assert lake.version("t") == 2
    assert lake.versions(["t"]) == {"t": 2}
    for version in range(3):
        assert lake.read("t", "all", version=version).equals(rows(version))
        assert lake.scan("t", version=version).collect()["x"].to_list() == [version, version]
    lake.replace("t", {"2024-01-01": rows(4)}, run_id="r")
    assert (lake.periods("t"), lake.periods("t", version=2)) == (["2024-01-01", "all"], ["all"])


def test_a_version_of_last_year_can_be_read_after_hundreds_of_others(lake: Lake) -> None:
    lake.replace("t", {"all": rows(0)}, run_id="r")
    a_year_ago = time.time() - 365 * 86_400
    for x in range(1, 204):  # Delta cleans its log up at every hundredth version
        lake.replace("t", {"all": rows(x)}, run_id="r")
        for file in Path(lake.uri("t"), "_delta_log").iterdir():
            os.utime(file, (a_year_ago, a_year_ago))
    for version in (0, 99, 150):
        assert lake.read("t", "all", version=version).equals(rows(version))


ODD_NAMES = ["my lake", "50%", "Müller", "lake#1", "a?b", "a*b", "it's", 'a"b', "a=b&c", "{x}", "~", " %?#é'"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_folder_may_have_signs_in_its_name_and_is_not_taken_for_another(tmp_path: Path, name: str) -> None:
    decoy, lake = Lake(str(tmp_path / re.sub("[?*]", "x", f"{name}_"))), Lake(str(tmp_path / f"{name}_"))
    if decoy.url != lake.url:
        decoy.replace("t", {"2026-01-01": rows(9)}, run_id="r")
    lake.replace("t", {"2026-01-01": rows(1)}, run_id="r")
    lake.replace("t", {"2026-02-01": rows(2)}, run_id="r")
    lake.replace("t", {"2026-01-01": rows(3)}, run_id="r", sources={"s": 7})
    assert lake.sources("t") == {"s": 7}
    assert lake.sources("t", version=1) == {}
    assert [commit["version"] for commit in lake.table("t").history(2)] == [2, 1]
    assert lake.read("t", "2026-01-01").equals(rows(3))
    assert lake.read("t", "2026-01-01", version=1).equals(rows(1))
    assert lake.scan("t").collect().height == 2 * ROWS.height
    files = lake.files("t")
    assert files is not None
    assert lake.damaged("t", files) == {}
    assert (tmp_path / f"{name}_" / "t" / "_delta_log").is_dir()
    lake.table("t").restore(0)
    assert lake.version("t") == 3
    assert lake.periods("t") == ["2026-01-01"]


def test_a_folder_with_signs_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    lake, other = Lake(str(tmp_path / "a?b")), Lake(str(tmp_path / "other"))
    for place, x in ((lake, 1), (other, 2)):
        place.replace("t", {"all": rows(x)}, run_id="r")
    assert lake.read("t", "all").equals(rows(1))
    (tmp_path / "a?b" / "t").rename(tmp_path / "former")
    (tmp_path / "other" / "t").rename(tmp_path / "a?b" / "t")
    assert lake.read("t", "all").equals(rows(2))


@pytest.mark.parametrize("name", ["a[b]", "a%20b", "a\\b"])
def test_a_folder_that_deltas_library_takes_for_another_is_refused_before_anything_is_touched(
    tmp_path: Path, name: str
) -> None:
    lake = Lake(str(tmp_path / name))
    for refused in (lambda: lake.replace("t", {"all": ROWS}, run_id="r"), lambda: lake.table("t"), lambda: lake.has("t")):
        with pytest.raises(InputError, match=r"can't lie in .* set `home` in churn\.yaml"):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_some_columns_of_a_period_can_be_read_alone(lake: Lake) -> None:
    lake.replace("t", {"all": ROWS}, run_id="r")
    assert lake.read("t", "all", columns=["x", "id"]).equals(ROWS.select("x", "id"))


def test_the_least_and_greatest_value_of_each_period_are_known_without_reading_rows(lake: Lake) -> None:
    lake.replace("t", {"2024-01-01": rows(3), "2024-02-01": ROWS}, run_id="r")
    assert lake.spans("t", "x") == {"2024-01-01": (3, 3), "2024-02-01": (1, 2)}


def test_a_commit_keeps_the_versions_of_what_its_rows_were_made_from(lake: Lake) -> None:
    lake.replace("t", {"all": rows(1)}, run_id="r7", sources={"events": 4, "payments": 0})
    assert lake.sources("t") == {"events": 4, "payments": 0}
    assert DeltaTable(lake.uri("t")).history(1)[0]["run_id"] == "r7"
    lake.replace("t", {"all": rows(1)}, run_id="r8")
    assert lake.sources("t") == {}
    lake.replace("t", {"all": rows(1)}, run_id="r9", sources={"events": 5})
    assert [lake.sources("t", version=version) for version in range(3)] == [{"events": 4, "payments": 0}, {}, {"events": 5}]


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    lake.replace("t", {"all": ROWS}, run_id="r")
    assert lake.read("t", "all").equals(ROWS)
    assert dict(lake.read("t", "all").schema) == dict(ROWS.schema)


def test_a_partition_can_be_empty_from_the_first_or_become_so(lake: Lake) -> None:
    lake.replace("t", {"2024-01-01": ROWS.clear()}, run_id="r")
    assert (lake.periods("t"), lake.read("t", "2024-01-01").schema) == ([], ROWS.schema)
    lake.replace("t", {"2024-01-01": rows(1), "2024-02-01": rows(2)}, run_id="r")
    lake.replace("t", {"2024-01-01": ROWS.clear()}, run_id="r")
    assert lake.periods("t") == ["2024-02-01"]
    assert lake.read("t", "2024-02-01").equals(rows(2))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (ROWS.with_columns(tip=pl.lit(1, pl.Int64)), "tip (not there in the lake, Int64 now)"),
        (ROWS.drop("x"), "x (Int64 in the lake, not there now)"),
        (ROWS.rename({"x": "z"}), "x (Int64 in the lake, not there now), z (not there in the lake, Int64 now)"),
        (ROWS.with_columns(pl.col("x").cast(pl.Float64) + 0.5), "x (Int64 in the lake, Float64 now)"),
        (ROWS.with_columns(pl.col("x").cast(pl.String)), "x (Int64 in the lake, String now)"),
    ],
)
def test_other_columns_beside_periods_that_stay_are_refused_and_nothing_changes(
    lake: Lake, changed: pl.DataFrame, said: str
) -> None:
    lake.replace("t", {"2024-01-01": ROWS, "2024-02-01": ROWS}, run_id="r")
    with pytest.raises(InputError) as error:
        lake.replace("t", {"2024-02-01": changed}, run_id="r")
    assert said in str(error.value)
    assert "rebuild all its periods in one run" in str(error.value)
    assert lake.version("t") == 0
    assert lake.read("t", "2024-02-01").equals(ROWS)


def test_all_periods_together_may_have_other_columns(lake: Lake) -> None:
    lake.replace("t", {"2024-01-01": ROWS, "2024-02-01": ROWS}, run_id="r")
    changed = ROWS.with_columns(tip=1)
    lake.replace("t", {"2024-01-01": changed, "2024-02-01": changed, "2024-03-01": changed}, run_id="r")
    assert "tip" in lake.read("t", "2024-01-01").columns


def test_columns_in_another_order_are_the_same_columns(lake: Lake) -> None:
    lake.replace("t", {"2024-01-01": ROWS, "2024-02-01": ROWS}, run_id="r")
    lake.replace("t", {"2024-02-01": rows(5).select(reversed(ROWS.columns))}, run_id="r")
    assert lake.read("t", "2024-02-01").equals(rows(5))


def test_a_table_that_was_never_written_is_named_with_what_to_do(lake: Lake) -> None:
    for use in (lake.version, lake.scan, lake.periods, lake.sources, lambda table: lake.read(table, "all")):
        with pytest.raises(InputError, match="the lake has no table events yet; materialize the asset events first"):
            use("events")


WRITER = """
import sys
import polars as pl
from churn_assets.lake.lake import Lake
lake = Lake(sys.argv[1])
for x in range(1, 10**6):
    part = pl.DataFrame({"id": list(range(2_000)), "x": [x] * 2_000})
    lake.replace("t", {"2024-01-01": part, "2024-02-01": part}, run_id=str(x))
    print(x, flush=True)
"""


@pytest.mark.faults
def test_a_writer_killed_at_any_time_leaves_whole_versions_only(lake: Lake, fault: Fault) -> None:
    fault.names("writer of the lake killed (folder)", done="-9 at three moments while it replaces two periods")
    part = pl.DataFrame({"id": list(range(2_000)), "x": [0] * 2_000})
    lake.replace("t", dict.fromkeys(("2024-01-01", "2024-02-01", "2024-03-01"), part), run_id="0")
    for wait_s in (0.0, 0.004, 0.011):
        with subprocess.Popen([sys.executable, "-c", WRITER, lake.url], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert [writer.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
            time.sleep(wait_s)
            writer.send_signal(signal.SIGKILL)
        found = lake.scan("t").group_by("period").agg(pl.len(), pl.col("x").n_unique(), pl.col("x").first().alias("of"))
        by_period = {period: (count, kinds, of) for period, count, kinds, of in found.collect().iter_rows()}
        assert by_period["2024-03-01"] == (2_000, 1, 0)
        assert by_period["2024-01-01"] == by_period["2024-02-01"]
        assert by_period["2024-01-01"][:2] == (2_000, 1)
    assert lake.version("t") >= 9
    lake.replace("t", {"2024-01-01": part}, run_id="after")
    assert lake.read("t", "2024-01-01")["x"].unique().to_list() == [0]
    fault.held("only whole versions; the next write succeeds")


values = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(2**60), 2**60)),
        st.one_of(st.none(), st.floats(allow_nan=False)),
        st.one_of(st.none(), st.text(max_size=4)),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=8,
)
SCHEMA = {"id": pl.Int64, "n": pl.Int64, "f": pl.Float64, "s": pl.String, "b": pl.Boolean}


def framed(drawn: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame([(i, *row) for i, row in enumerate(drawn)], schema=SCHEMA, orient="row")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(values, values, st.integers(0, 99))
def test_a_digest_is_equal_for_equal_rows_only_whatever_their_order(
    one: list[tuple[object, ...]], other: list[tuple[object, ...]], seed: int
) -> None:
    frame = framed(one)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed) if frame.height else frame
    assert digest(shuffled, key=["id"]) == digest(frame, key=["id"])
    same = frame.equals(framed(other)) and repr(one) == repr(other)
    assert (digest(framed(other), key=["id"]) == digest(frame, key=["id"])) is same


@pytest.mark.parametrize(
    "changed",
    [
        pl.col("x").cast(pl.Int32),
        pl.col("x").cast(pl.Float64),
        pl.col("x").alias("y"),
        pl.col("share").fill_null(0.0),
        pl.col("left").fill_null(value=False),
        pl.Series("id", ["a", "c"]),
    ],
)
def test_a_digest_sees_types_names_and_missing_values(changed: pl.Expr | pl.Series) -> None:
    assert digest(ROWS.with_columns(changed), key=["id"]) != digest(ROWS, key=["id"])


def test_text_that_is_cut_elsewhere_has_another_digest() -> None:
    one, other = (pl.DataFrame({"id": [1, 2], "s": words}) for words in (["ab", "c"], ["a", "bc"]))
    assert digest(one, key=["id"]) != digest(other, key=["id"])


def test_rows_written_again_have_the_digest_that_they_had(lake: Lake) -> None:
    found = []
    for written in (ROWS, ROWS.reverse()):
        lake.replace("t", {"all": written}, run_id="r")
        found.append(digest(lake.read("t", "all"), key=["id"]))
    assert found[0] == found[1] == digest(ROWS, key=["id"])
