"""`churn score`: a file's rows get the answers that the service would give, and what it would refuse is set aside with a reason."""

import csv as python_csv
import gzip
import io
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from churn_api.http.problems import Problem
from churn_api.schemas.requests import RequestTypes
from churn_store.batch.request import ScoringRequest
from churn_store.batch.rows import sort_rows
from churn_store.batch.score_file import score_file
from churn_store.batch.tables import FIRST_LINE, LINE, ROW, CsvTable, open_table
from churn_store.cli.main import churn
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import ChurnError
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Column
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import history
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import make_release, rows_of, small_columns, train

COLUMNS = (*small_columns(4), Column(name="tone", kind="category", nullable=True, categories=("", "kind")))
WORDS = {column.name for column in COLUMNS if column.kind == "category" and not column.nullable}
Score = Callable[..., Result]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company with two releases: epoch 2 serves."""
    folder = tmp_path_factory.mktemp("company")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = ConfigFile.load()
        settings.home.mkdir()
        migrate(settings.database_url)
        engine = connect(settings.database_url)
        for seed in (1, 2):
            make_release(engine, DigestStore(settings.releases_url), columns=COLUMNS, seed=seed, threshold=0.4)
        engine.dispose()
    return folder


@pytest.fixture
def score(company: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    monkeypatch.chdir(company)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(churn, ["score", *map(str, arguments)])

    return run


@pytest.fixture(scope="module")
def champion(company: Path) -> Bundle:
    engine = connect(f"sqlite:///{company}/.churn/serving.db")
    bundle = load_bundle(DigestStore(str(company / ".churn/releases")), history(engine)[0].champion)
    engine.dispose()
    return bundle


def customers(count: int, *, seed: int = 3) -> pl.DataFrame:
    rows = pl.DataFrame(rows_of(COLUMNS, count, seed), infer_schema_length=None)
    return rows.select(pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"), pl.all(), pl.lit("x").alias("note"))


def write(frame: pl.DataFrame, path: Path) -> Path:
    if path.name.endswith(".parquet"):
        frame.write_parquet(path)
    elif path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_csv(path)
    return path


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path) if path.name.endswith(".parquet") else pl.read_csv(path)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_every_row_gets_the_champions_probability_and_decision(
    score: Score, champion: Bundle, tmp_path: Path, kind: str
) -> None:
    frame, out = customers(2_500), tmp_path / f"scores.{kind}"
    result = score(write(frame, tmp_path / f"in.{kind}"), out)
    assert (result.exit_code, result.stdout) == (
        0,
        f"{out}: 2,500 rows scored by release {champion.digest[:12]}, {read(out)['churn'].sum():,} called churn\n",
    )
    scores = read(out)
    assert scores.columns == ["customer_id", "probability", "churn", "release"]
    assert scores["customer_id"].to_list() == frame["customer_id"].to_list()
    assert scores["probability"].to_list() == pytest.approx(champion.scorer.score_frame(frame).tolist(), abs=1e-9)
    assert scores["churn"].to_list() == [champion.churns(p) for p in scores["probability"].to_list()]
    assert 0 < scores["churn"].sum() < 2_500
    assert scores["release"].unique().to_list() == [champion.digest]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in.{kind}", f"scores.{kind}"]


def test_a_file_of_several_parts_is_scored_whole_and_in_order(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_store.batch.tables.VALUES_AT_ONCE", 1)  # a thousand rows a part
    for kind in ("csv", "parquet"):
        write(customers(3_500), tmp_path / f"in.{kind}")
        assert score(tmp_path / f"in.{kind}", tmp_path / f"out.{kind}", "--keep", "note").exit_code == 0
        assert read(tmp_path / f"out.{kind}")["customer_id"].to_list() == [f"c{i}" for i in range(3_500)]
    assert read(tmp_path / "out.csv").equals(read(tmp_path / "out.parquet"))


def test_what_cannot_be_scored_is_set_aside_with_its_line_and_the_reason(score: Score, tmp_path: Path) -> None:
    header, *lines = customers(12).with_columns(days_since_ticket=pl.lit(5.0)).write_csv().splitlines()
    rows = [line.split(",") for line in lines]
    names = header.split(",")

    def put(row: int, name: str, value: str) -> None:
        rows[row][names.index(name)] = value

    put(1, "sessions_30d", "")
    put(2, "sessions_30d", "many")
    put(2, "paid_0_cents", "-1")
    put(3, "sessions_30d", "1001")
    put(4, "paid_0_cents", "inf")
    put(5, "customer_id", "")
    put(6, "plan", "p" * 257)
    put(7, "paid_0_cents", "NaN")
    put(8, "plan", "platinum")
    text = [",".join(row) for row in rows]
    text[9] += ",more"
    text[10] = text[10].replace("c10", '"c1"0')
    content = "\n".join([header, *text, '"c12,an open quote']).encode().replace(b"c11,", b"c11\xff,")
    (tmp_path / "in.csv").write_bytes(content)
    result = score(tmp_path / "in.csv", tmp_path / "out.csv")
    assert result.exit_code == 0
    assert "warning: 11 of 13 rows could not be scored" in result.stderr
    assert "scored as unknown: plan 1" in result.stderr
    assert pl.read_csv(tmp_path / "out.csv")["customer_id"].to_list() == ["c0", "c8"]
    rejected = pl.read_csv(tmp_path / "out.rejected.csv")
    assert rejected.columns == ["row", "line", "customer_id", "reason"]
    said = {row: (line, reason) for row, line, _, reason in rejected.iter_rows()}
    assert said.pop(11)[1].startswith("the line can't be read as CSV")
    assert said.pop(13)[1].startswith("the line can't be read as CSV")
    assert said == {
        2: (3, "sessions_30d is missing"),
        3: (4, "sessions_30d: 'many' is not a number; paid_0_cents: -1 is out of the range from 0 to 3.40282e+38"),
        4: (5, "sessions_30d: 1001 is out of the range from 0 to 1000"),
        5: (6, "paid_0_cents is infinite"),
        6: (7, "the id customer_id is missing"),
        7: (8, "plan has 257 characters, at most 256 are read"),
        8: (9, "paid_0_cents: 'NaN' is not a number"),
        10: (11, f"{len(names) + 1} fields, expected {len(names)}"),
        12: (13, "the line is not UTF-8"),
    }


def written(frame: pl.DataFrame, changed: dict[int, Callable[[str], str]]) -> bytes:
    lines = frame.write_csv().splitlines()
    return "\n".join(changed.get(row, str)(line) for row, line in enumerate(lines)).encode() + b"\n"


def test_one_stray_quote_costs_its_own_row_alone(score: Score, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(written(customers(3_000), {10: lambda line: '"' + line}))
    result = score(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "warning: 1 of 3,000 rows could not be scored" in result.stderr
    assert pl.read_csv(tmp_path / "out.csv")["customer_id"].to_list() == [f"c{i}" for i in range(3_000) if i != 9]
    [rejected] = pl.read_csv(tmp_path / "out.rejected.csv").rows(named=True)
    assert (rejected["row"], rejected["line"]) == (10, 11)
    assert rejected["reason"].startswith("the line can't be read as CSV")


def test_quotes_that_swallow_rows_between_them_are_taken_apart_again_or_their_lines_are_named(
    score: Score, tmp_path: Path
) -> None:
    swallowing = {5: lambda line: '"' + line, 9: lambda line: line.replace(",x", ',"x')}
    (tmp_path / "in.csv").write_bytes(written(customers(20), swallowing))
    result = score(tmp_path / "in.csv", tmp_path / "out.csv")
    assert "warning: 2 of 20 rows could not be scored" in result.stderr
    one_row = {5: lambda line: '"' + line, 9: lambda line: line.replace("c8,", 'c8",')}
    (tmp_path / "in.csv").write_bytes(written(customers(20), one_row))
    assert score(tmp_path / "in.csv", tmp_path / "out.csv", "--force").exit_code == 0
    [rejected] = pl.read_csv(tmp_path / "out.rejected.csv").rows(named=True)
    assert (rejected["row"], rejected["line"]) == (5, 10)
    assert rejected["reason"].endswith("by their quotes the lines 6 to 10 are one row")


@given(
    st.lists(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"1", b"\xff", b"\x00", b'""', b"a,1\n", b'"x\ny",1\n']))
)
def test_of_any_bytes_each_line_is_read_set_aside_or_empty(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[bytes]
) -> None:
    content = b"a,b\n" + b"".join(drawn)
    file = tmp_path_factory.mktemp("bytes") / "in.csv"
    file.write_bytes(content)
    chunks = list(open_table(file, separator=",").chunks(["a", "b"]))
    spans = [span for chunk in chunks for span in chunk.rows.select(ROW, FIRST_LINE, LINE).rows()]
    spans += [(row, line, line) for chunk in chunks for row, line, _ in chunk.broken]
    assert sorted(row for row, _, _ in spans) == list(range(1, len(spans) + 1))
    covered = [line for _, first, last in spans for line in range(first, last + 1)]
    text = io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline="")
    blank = [number for number, line in enumerate(text, start=1) if not line.strip("\r\n")]
    assert len(covered) == len(set(covered))
    text.seek(0)
    lines = sum(1 for _ in text)
    assert set(range(2, lines + 1)) - set(covered) <= set(blank)
    try:
        text.seek(0)
        records = [record for record in python_csv.reader(text, strict=True) if record][1:]
    except python_csv.Error:
        return
    if all(len(record) == 2 for record in records):  # well-defined: then the count is that of anybody
        assert len(spans) == len(records)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_of_the_company_s_own_may_be_called_as_the_platform_calls_its_own(tmp_path: Path, kind: str) -> None:
    names = ("row", "line", "reason", "probability")
    columns = (*(Column(name=name, kind="number") for name in names), *small_columns(2)[2:])
    candidate = train(columns)
    bundle = Bundle("d" * 64, candidate.manifest, Scorer(candidate.contents["model.onnx"], candidate.manifest.signature))
    rows = pl.DataFrame(rows_of(columns, 9, 4), infer_schema_length=None)
    bad = rows.head(1).with_columns(row=pl.lit(None, pl.Float64))
    frame = pl.concat([rows, bad]).with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
    asked = ScoringRequest(write(frame, tmp_path / f"in.{kind}"), tmp_path / f"out.{kind}")
    assert score_file(bundle, asked, progress=lambda _: None).rejected == 1
    assert read(asked.target)["probability"].to_list() == pytest.approx(bundle.scorer.score_frame(rows).tolist(), abs=1e-9)
    [rejected] = read(asked.rejected).rows(named=True)
    assert (rejected["row"], rejected["customer_id"], rejected["reason"]) == (10, "c9", "row is missing")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["row", "line", "reason", "probability", "churn", "release"])
def test_ids_may_not_be_called_as_what_is_written_beside_them(score: Score, tmp_path: Path, kind: str, name: str) -> None:
    source = write(customers(2).rename({"customer_id": name}), tmp_path / f"in.{kind}")
    result = score(source, tmp_path / f"out.{kind}", "--id", name)
    assert isinstance(result.exception, ChurnError)
    assert f"--id {name}: the files that are written have a column of that name" in str(result.exception)
    assert list(tmp_path.iterdir()) == [source]


def test_an_empty_word_is_a_word_in_csv_as_in_parquet_and_as_in_the_service(
    score: Score, champion: Bundle, tmp_path: Path
) -> None:
    frame = customers(3).with_columns(plan=pl.Series(["", "basic", "plus"]))
    for kind in ("csv", "parquet"):
        result = score(write(frame, tmp_path / f"in.{kind}"), tmp_path / f"out.{kind}")
        assert result.exit_code == 0
        assert "scored as unknown: plan 1" in result.stderr
        assert read(tmp_path / f"out.{kind}")["probability"].to_list() == pytest.approx(
            champion.scorer.score_frame(frame).tolist(), abs=1e-9
        )
    write(frame.with_columns(plan=pl.Series([None, "basic", "plus"])), tmp_path / "null.parquet")
    assert score(tmp_path / "null.parquet", tmp_path / "null.out.parquet").exit_code == 0
    assert read(tmp_path / "null.out.rejected.parquet")["reason"].to_list() == ["plan is missing"]


def test_strict_leaves_no_scores_where_a_row_is_set_aside(score: Score, tmp_path: Path) -> None:
    write(customers(5).with_columns(sessions_30d=pl.Series([1.0, None, 1.0, 1.0, math.inf])), tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / "out.parquet", "--strict")
    assert isinstance(result.exception, ChurnError)
    assert "2 of 5 rows could not be scored" in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.rejected.parquet"]
    assert pl.read_parquet(tmp_path / "out.rejected.parquet")["row"].to_list() == [2, 5]
    assert score(tmp_path / "in.parquet", tmp_path / "out.parquet", "--force").exit_code == 0
    assert isinstance(score(tmp_path / "in.parquet", tmp_path / "out.parquet", "--force", "--strict").exception, ChurnError)
    assert not (tmp_path / "out.parquet").exists()  # what follows does not find those of yesterday


def test_force_takes_rejected_rows_of_yesterday_away(score: Score, tmp_path: Path) -> None:
    (tmp_path / "out.rejected.csv").write_text("of yesterday")
    assert score(write(customers(2), tmp_path / "in.csv"), tmp_path / "out.csv", "--force").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_row_to_which_the_model_gives_no_number_is_set_aside(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    monkeypatch.setattr(Scorer, "score_frame", lambda _, rows: np.array([0.5, number, 0.25][: rows.height]))
    assert score(write(customers(3), tmp_path / "in.csv"), tmp_path / "out.csv").exit_code == 0
    assert pl.read_csv(tmp_path / "out.csv")["customer_id"].to_list() == ["c0", "c2"]
    [rejected] = pl.read_csv(tmp_path / "out.rejected.csv").rows(named=True)
    assert (rejected["customer_id"], rejected["reason"]) == ("c1", "the model gave no number for it")


def test_each_group_of_rows_of_a_parquet_file_is_read(score: Score, tmp_path: Path) -> None:
    customers(2_500).write_parquet(tmp_path / "in.parquet", row_group_size=400)
    assert pq.ParquetFile(tmp_path / "in.parquet").num_row_groups > 1
    assert score(tmp_path / "in.parquet", tmp_path / "out.parquet").exit_code == 0
    assert read(tmp_path / "out.parquet")["customer_id"].to_list() == [f"c{i}" for i in range(2_500)]


def damaged(content: bytes) -> Iterable[bytes]:
    yield from (content[:cut] for cut in (5, 20, len(content) // 2, len(content) - 4))
    for place in (0, 3, 11, len(content) // 2, len(content) - 6):
        yield content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :]
    yield content[:40] + b"\xff" * 200 + content[240:]


def test_a_gzipped_file_that_is_damaged_or_cut_off_ends_in_a_sentence_and_leaves_nothing(
    score: Score, tmp_path: Path
) -> None:
    whole = gzip.compress(customers(2_000).write_csv().encode(), mtime=0)
    for content in damaged(whole):
        (tmp_path / "in.csv.gz").write_bytes(content)
        result = score(tmp_path / "in.csv.gz", tmp_path / "out.csv")
        assert isinstance(result.exception, ChurnError), (result.exception, len(content))
        assert "read" in str(result.exception)
        assert [path.name for path in tmp_path.iterdir()] == ["in.csv.gz"]


def test_an_earlier_release_can_be_asked_by_epoch_or_digest(score: Score, company: Path, tmp_path: Path) -> None:
    source = write(customers(40), tmp_path / "in.csv")
    engine = connect(f"sqlite:///{company}/.churn/serving.db")
    digests = {row.epoch: row.champion for row in history(engine)}
    engine.dispose()
    assert score(source, tmp_path / "one.csv", "--release", "1").exit_code == 0
    assert score(source, tmp_path / "same.csv", "--release", digests[1][:10]).exit_code == 0
    assert score(source, tmp_path / "now.csv").exit_code == 0
    one, same, now = (pl.read_csv(tmp_path / f"{name}.csv") for name in ("one", "same", "now"))
    assert one.equals(same)
    assert one["release"][0] == digests[1] != now["release"][0]
    assert one["probability"].to_list() != now["probability"].to_list()
    assert "names no model" in str(score(source, tmp_path / "none.csv", "--release", "77").exception)


def test_further_columns_are_kept_if_asked_and_ids_may_have_another_name_or_be_absent(score: Score, tmp_path: Path) -> None:
    source = write(customers(3).rename({"customer_id": "account"}), tmp_path / "in.csv")
    assert score(source, tmp_path / "a.csv", "--id", "account", "--keep", "note", "--keep", "plan").exit_code == 0
    assert pl.read_csv(tmp_path / "a.csv").columns == ["account", "note", "plan", "probability", "churn", "release"]
    assert score(source, tmp_path / "b.csv").exit_code == 0
    assert pl.read_csv(tmp_path / "b.csv")["row"].to_list() == [1, 2, 3]


def test_another_separator_and_a_mark_at_the_beginning_are_read(score: Score, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbf" + customers(3).write_csv(separator=";").encode())
    assert score(tmp_path / "in.csv", tmp_path / "out.csv", "--separator", ";").exit_code == 0
    assert (tmp_path / "out.csv").read_text().startswith("customer_id;probability")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_without_rows_gives_a_sentence_and_no_scores(score: Score, tmp_path: Path, kind: str) -> None:
    source = write(customers(3).clear(), tmp_path / f"in.{kind}")
    result = score(source, tmp_path / f"out.{kind}")
    assert isinstance(result.exception, ChurnError)
    assert "has no rows, so nothing was scored" in str(result.exception)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (customers(2).rename({"sessions_30d": "session_30d"}), [], "lacks 1 of the 8 columns .* sessions_30d .there is session_30d"),
        (customers(2), ["--id", "customer"], "no column customer .there is customer_id.; name the column of ids with --id"),
        (customers(2), ["--keep", "nose"], "no column nose .there is note. to keep"),
        (customers(2).with_columns(churn=1), ["--keep", "churn"], "--keep churn: the scores have a column of that name"),
        (customers(2), ["--separator", "ab"], "--separator is one character"),
        (b"", [], "is empty; expected a line with the names"),
        (b"a,a\n1,2\n", [], "has one name for its columns 1 and 2"),
        (b"a\xff,b\n", [], "has no header in UTF-8"),
    ],
    ids=["column", "id", "keep", "taken", "separator", "empty", "twice", "bytes"],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_refused_with_a_sentence_and_nothing_is_written(
    score: Score, tmp_path: Path, content: pl.DataFrame | bytes, arguments: list[str], said: str
) -> None:
    source = tmp_path / "in.csv"
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        write(content, source)
    result = score(source, tmp_path / "out.csv", *arguments)
    assert isinstance(result.exception, ChurnError)
    assert re.search(said, str(result.exception)), result.exception
    assert list(tmp_path.iterdir()) == [source]


def test_parquet_that_is_none_or_has_other_types_is_refused(score: Score, tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"PAR1 and nothing more")
    assert "can't be read as Parquet" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
    write(customers(2).with_columns(sessions_30d=True), tmp_path / "in.parquet")
    assert "sessions_30d is Boolean; expected numbers" in str(
        score(tmp_path / "in.parquet", tmp_path / "out.csv").exception
    )
    for ids, said in ((pl.lit(b"\xff"), "Binary"), (pl.concat_list("note"), "List(String)"), (pl.struct("note"), "Struct")):
        write(customers(2).with_columns(customer_id=ids), tmp_path / "in.parquet")
        assert f"customer_id is {said}" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
    table = customers(2).to_arrow()
    pq.write_table(table.append_column("plan", table["plan"]), tmp_path / "in.parquet")
    assert "has one name for its columns" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
    pq.write_table(table.append_column("a\0b", pa.array([1, 2])), tmp_path / "in.parquet")
    assert "has the byte 0 in the name of its column" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
    write(customers(2).with_columns(note=pl.concat_list("note")), tmp_path / "in.parquet")
    kept = score(tmp_path / "in.parquet", tmp_path / "out.csv", "--keep", "note")
    assert "can't hold these columns" in str(kept.exception)
    write(customers(2).with_columns(plan=pl.concat_list("plan")), tmp_path / "in.parquet")
    assert "plan is List(String); expected text" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_files_that_are_there_are_replaced_only_by_force_and_never_the_one_that_is_read(
    score: Score, tmp_path: Path
) -> None:
    source, out = write(customers(2), tmp_path / "in.csv"), tmp_path / "out.csv"
    out.write_text("mine")
    assert "exists already" in str(score(source, out).exception)
    assert out.read_text() == "mine"
    assert score(source, out, "--force").exit_code == 0
    assert out.read_text() != "mine"
    for same in (source, tmp_path / "link.csv"):
        if same != source:
            same.symlink_to(source)
        assert "over the file that is read" in str(score(source, same, "--force").exception)
    assert source.read_text() == customers(2).write_csv()
    assert "another ending" in str(score(source, tmp_path / "out.xlsx").exception)
    assert "does not exist" in str(score(tmp_path / "no.csv", tmp_path / "new.csv").exception)


def test_a_killed_run_leaves_no_scores_under_their_name(company: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(customers(20).write_csv())
    code = (
        "import sys, churn_store.batch.row_writer as row_writer\n"
        "row_writer.RowWriter.put_in_place = lambda self: (print('written', flush=True), sys.stdin.read())\n"
        "from churn_store.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "score", str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    with subprocess.Popen(command, cwd=company, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "written\n"
        run.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out.csv").exists()


numbers = st.one_of(
    st.none(), st.floats(width=64), st.integers(-5, 1_500), st.sampled_from([0, 1_000, 1_000.5, -0.0, 3.5e38, 1e300])
)
words = st.one_of(
    st.none(),
    st.sampled_from(["basic", "plus", "at", "web", "kind"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    st.just(""),
    st.just("x" * 257),
)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)


@given(
    st.lists(
        st.tuples(ids, *(words if column.kind == "category" else numbers for column in COLUMNS)), min_size=1, max_size=6
    )
)
def test_batch_and_service_take_the_same_rows_and_give_the_same_answers(
    champion: Bundle, tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Any, ...]]
) -> None:
    signature = champion.manifest.signature
    expected = answers(champion, [dict(zip(("id", *signature.names), row, strict=True)) for row in drawn])
    schema = {"id": pl.String, **{c.name: pl.String if c.kind == "category" else pl.Float64 for c in COLUMNS}}
    own_types = pl.DataFrame([(i, *map(_float, row)) for i, *row in drawn], schema=schema, orient="row")
    csv = tmp_path_factory.mktemp("drawn") / "in.csv"
    # In CSV a missing word and an empty one are the same text: it is a word where none may be missing.
    told = own_types.with_columns(pl.col(name).fill_null("") for name in WORDS)
    told.write_csv(csv, quote_style="non_numeric")
    as_text = pl.concat(chunk.rows for chunk in CsvTable(csv, ",", WORDS).chunks(own_types.columns))
    of_csv = answers(champion, told.rows(named=True))
    for frame, said in ((own_types.with_row_index(ROW, 1), expected), (as_text, of_csv)):
        found = sort_rows(frame, signature, id_column="id")
        probabilities = champion.scorer.score_frame(found.rows).tolist()
        assert dict(zip(found.found[ROW].to_list(), probabilities, strict=True)) == pytest.approx(said, abs=1e-6)


def answers(champion: Bundle, rows: list[dict[str, Any]]) -> dict[int, float]:
    """The service's answers, by position from 1; none where it refuses."""
    signature, found = champion.manifest.signature, {}
    for position, row in enumerate(rows, start=1):
        attributes = {name: row[name] for name in signature.names}
        body = json.dumps({"attributes": attributes, "customer_id": row["id"]}).encode()
        try:
            _, taken = RequestTypes(signature, max_batch=10).decode_single(body)
        except Problem:
            continue
        found[position] = float(champion.scorer.score_rows([taken])[0])
    return found


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def test_the_limit_of_a_text_is_the_service_s(champion: Bundle) -> None:
    [plan] = [field for field in msgspec.structs.fields(champion.manifest.signature.attributes) if field.name == "plan"]
    assert "257" not in str(plan.type)
    assert "max_length=256" in str(plan.type)
