"""`churn score`: a file's rows get the answers that the service would give, and what it would refuse is set aside with a reason."""

import gzip
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from churn_api.predictions.requests import RequestTypes
from churn_api.problems import Problem
from churn_store.batch_rows import sort_rows
from churn_store.batch_tables import CsvTable
from churn_store.bundles import Bundle, load_bundle
from churn_store.cli import churn
from churn_store.errors import ChurnError
from churn_store.files import DigestStore
from churn_store.migrate import migrate
from churn_store.releases import history
from churn_store.settings import ConfigFile
from churn_store.signature import Column
from churn_store.tables import connect
from tests.release_factory import make_release, rows_of, small_columns

COLUMNS = (*small_columns(4), Column(name="tone", kind="category", nullable=True, categories=("", "kind")))
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
    monkeypatch.setattr("churn_store.batch_tables.VALUES_AT_ONCE", 1)  # a thousand rows a part
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


def test_strict_leaves_no_scores_where_a_row_is_set_aside(score: Score, tmp_path: Path) -> None:
    write(customers(5).with_columns(sessions_30d=pl.Series([1.0, None, 1.0, 1.0, math.inf])), tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / "out.parquet", "--strict")
    assert isinstance(result.exception, ChurnError)
    assert "2 of 5 rows could not be scored" in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.rejected.parquet"]
    assert pl.read_parquet(tmp_path / "out.rejected.parquet")["row"].to_list() == [2, 5]
    assert score(tmp_path / "in.parquet", tmp_path / "out.parquet", "--force").exit_code == 0


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
def test_a_file_without_rows_gives_a_header_and_a_sentence(score: Score, tmp_path: Path, kind: str) -> None:
    result = score(write(customers(3).clear(), tmp_path / f"in.{kind}"), tmp_path / f"out.{kind}")
    assert result.exit_code == 0
    assert "has no rows" in result.stderr
    assert read(tmp_path / f"out.{kind}").columns == ["customer_id", "probability", "churn", "release"]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (customers(2).rename({"sessions_30d": "session_30d"}), [], "lacks 1 of the 8 columns .* sessions_30d .there is session_30d"),
        (customers(2), ["--id", "customer"], "no column customer .there is customer_id.; name the column of ids with --id"),
        (customers(2), ["--keep", "nose"], "no column nose .there is note. to keep"),
        (customers(2).with_columns(churn=1), ["--keep", "churn"], "--keep churn: the scores have a column of that name"),
        (customers(2), ["--separator", "ab"], "--separator is one character"),
        (b"", [], "is empty; expected a line with the names"),
        (b"a,a\n1,2\n", [], "has the column a more than once"),
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
    write(customers(2).with_columns(plan=1), tmp_path / "in.parquet")
    assert "plan is Int32; expected text" in str(score(tmp_path / "in.parquet", tmp_path / "out.csv").exception)
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
        "import sys, churn_store.batch_tables as tables\n"
        "tables.TableWriter.put_in_place = lambda self: (print('written', flush=True), sys.stdin.read())\n"
        "from churn_store.cli import main; main()"
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
    expected: dict[int, float] = {}
    for position, (customer_id, *values) in enumerate(drawn, start=1):
        attributes = dict(zip(signature.names, values, strict=True))
        body = json.dumps({"attributes": attributes, "customer_id": customer_id}).encode()
        try:
            _, row = RequestTypes(signature, max_batch=10).decode_single(body)
        except Problem:
            continue
        expected[position] = float(champion.scorer.score_rows([row])[0])
    schema = {"id": pl.String, **{c.name: pl.String if c.kind == "category" else pl.Float64 for c in COLUMNS}}
    own_types = pl.DataFrame([(i, *map(_float, row)) for i, *row in drawn], schema=schema, orient="row")
    csv = tmp_path_factory.mktemp("drawn") / "in.csv"
    own_types.write_csv(csv, quote_style="non_numeric")
    as_text = pl.concat(chunk.rows for chunk in CsvTable(csv, ",").chunks(own_types.columns))
    for frame in (own_types.with_row_index("row", 1), as_text):
        found = sort_rows(frame, signature, id_column="id")
        probabilities = champion.scorer.score_frame(found.rows).tolist()
        assert dict(zip(found.found["row"].to_list(), probabilities, strict=True)) == pytest.approx(expected, abs=1e-6)


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def test_the_limit_of_a_text_is_the_service_s(champion: Bundle) -> None:
    [plan] = [field for field in msgspec.structs.fields(champion.manifest.signature.attributes) if field.name == "plan"]
    assert "257" not in str(plan.type)
    assert "max_length=256" in str(plan.type)
