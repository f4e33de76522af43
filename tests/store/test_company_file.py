"""`churn score` of a company's own file: read by the mapping of churn.yaml, as ingest reads it, or refused with a sentence."""

import csv
import datetime
import gzip
import io
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from churn_assets.connectors.open_source import open_source
from churn_assets.settings.company import Settings
from churn_store.cli.main import churn
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import ChurnError
from churn_store.mapping.csv_records import blocks_of
from churn_store.model.signature import Column
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import newest
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import make_release
from tests.store.mapping.reading import GERMAN_CUSTOMERS

COLUMNS = (
    Column(name="tenure", kind="number", low=0, high=1_200, unit="months"),
    Column(name="charges", kind="number", low=0),
    Column(name="debt", kind="number", nullable=True),
    Column(name="contract", kind="category", categories=("monthly", "yearly", "süß")),
    Column(name="tier", kind="category", categories=("1", "2", "3")),
)

GERMAN: dict[str, Any] = {
    **GERMAN_CUSTOMERS,
    "values": {"contract": {"Monat": "monthly", "Jahr": "yearly"}},
    "attributes": {
        "tenure": {"column": "Monate", "kind": "number", "low": 0, "high": 1200},
        "charges": {"column": "Betrag", "kind": "number", "low": 0},
        "debt": {"column": "Schuld", "kind": "number", "nullable": True},
        "contract": {"column": "Vertrag", "kind": "category"},
        "tier": {"column": "Stufe", "kind": "category"},
        "gender": {"column": "Geschlecht", "kind": "category"},
    },
}
PLAIN = {**GERMAN, "separator": ",", "decimal": ".", "encoding": "utf-8", "path": "kunden.parquet", "format": "parquet"}

WORDS = ("Monat", "Jahr", "süß")
HEADER = ["Kunde", "Monate", "Betrag", "Schuld", "Vertrag", "Stufe", "Geschlecht", "weg", "Notiz"]


def customers(count: int) -> list[list[str]]:
    return [
        [f"k{i:05}", str(i % 80), f"1.{i % 9}00,5{i % 10}", "k. A." if i % 3 == 0 else f"-{i},25", WORDS[i % 3],
         str(1 + i % 3), "w", "ja" if i % 2 else "nein", f"n{i}"]
        for i in range(count)
    ]  # fmt: skip


def german(rows: list[list[str]], header: list[str] = HEADER) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([header, *rows])
    return text.getvalue().encode("windows-1252")


Score = Callable[..., Result]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a company with a release of its attributes without the protected one."""
    home = tmp_path_factory.mktemp("released") / ".churn"
    home.mkdir()
    migrate(f"sqlite:///{home}/serving.db")
    engine = connect(f"sqlite:///{home}/serving.db")
    make_release(engine, DigestStore(str(home / "releases")), columns=COLUMNS, threshold=0.4)
    engine.dispose()
    return home


@pytest.fixture
def folder(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A company whose own file is a German CSV, and a release serves."""
    shutil.copytree(released, tmp_path / ".churn")
    describe(tmp_path, GERMAN)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path


def describe(folder: Path, customers: dict[str, Any], **source: Any) -> None:
    written = {"kind": "files", "shape": "table", "customers": customers, **source}
    (folder / "churn.yaml").write_text(yaml.safe_dump({"company": "acme", "source": written}, allow_unicode=True))


def champion(folder: Path) -> Bundle:
    engine = connect(f"sqlite:///{folder}/.churn/serving.db")
    row = newest(engine)
    engine.dispose()
    assert row is not None
    return load_bundle(DigestStore(str(folder / ".churn/releases")), row.champion)


def score(*arguments: object) -> Result:
    return CliRunner().invoke(churn, ["score", *map(str, arguments)])


def ingested() -> pl.DataFrame:
    """What the graph makes of the configured file."""
    return open_source(Settings.load()).read("customers", 0, 1).rows


def refusal(result: Result) -> str:
    assert isinstance(result.exception, ChurnError), result
    return str(result.exception)


def test_the_file_that_the_company_trains_on_gets_the_scores_of_what_ingest_reads(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(300)))
    result = score("kunden.csv", "out.csv", "--keep", "Notiz", "--keep", "Monate")
    assert result.exit_code == 0, result.exception
    scores = pl.read_csv(folder / "out.csv", separator=";")
    rows = ingested()
    assert scores.columns == ["customer_id", "Notiz", "Monate", "probability", "churn", "release", "known_label"]
    assert scores["customer_id"].to_list() == rows["customer_id"].to_list()
    assert scores["probability"].to_list() == pytest.approx(champion(folder).scorer.score_frame(rows).tolist(), abs=1e-9)
    assert scores["Notiz"].to_list() == [f"n{i}" for i in range(300)]
    assert "training never saw" not in result.stderr  # `values` were applied
    assert not (folder / "out.rejected.csv").exists()


def test_customers_whose_outcome_is_known_are_marked_and_who_left_is_not_called_churn(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(300)))
    result = score("kunden.csv", "out.csv")
    scores, left = pl.read_csv(folder / "out.csv", separator=";"), ingested()["churned"]
    assert (scores["known_label"] == "churned").to_list() == left.to_list()
    assert (scores["known_label"] == "stayed").to_list() == (~left).to_list()
    assert f"note: {left.sum()} scored rows are of customers who left" in result.stderr
    assert f"and {(~left).sum()} of customers who stayed" in result.stderr
    called = scores.filter(pl.col("churn"), pl.col("known_label") != "churned").height
    assert f"{called} called churn" in result.output


def test_a_file_is_read_in_parts_as_it_is_as_a_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = customers(500)
    rows[7][-1] = 'a "note"\nover; lines'
    rows[300].append("one more")
    rows[400][1] = "viele"
    (folder / "kunden.csv").write_bytes(german(rows))
    assert score("kunden.csv", "whole.csv", "--keep", "Notiz").exit_code == 0
    monkeypatch.setattr("churn_store.mapping.parts.PART", 2_000)
    assert score("kunden.csv", "parts.csv", "--keep", "Notiz").exit_code == 0
    assert (folder / "parts.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert (folder / "parts.rejected.csv").read_bytes() == (folder / "whole.rejected.csv").read_bytes()
    rejected = pl.read_csv(folder / "parts.rejected.csv", separator=";")
    assert rejected.rows() == [
        (301, 303, None, "10 fields, expected 9"),
        (401, 403, "k00400", "column Monate holds 'viele'; expected a number like 11,77, or nothing"),
    ]


def test_rows_that_ingest_or_the_release_would_not_take_are_set_aside_with_line_and_reason(folder: Path) -> None:
    rows = customers(200)
    rows[1][1] = "12.50"  # a point, where commas mark decimals
    rows[2][1] = "1300"
    rows[3][0] = ""
    rows[4][4] = "k. A."
    del rows[5][3]
    (folder / "kunden.csv").write_bytes(german(rows))
    result = score("kunden.csv", "out.csv")
    assert result.exit_code == 0, result.exception
    assert "warning: 5 of 200 rows could not be scored" in result.stderr
    rejected = pl.read_csv(folder / "out.rejected.csv", separator=";")
    assert rejected.columns == ["row", "line", "customer_id", "reason"]
    assert rejected.select("line", "reason").rows() == [
        (3, "column Monate holds '12.50'; expected a number like 11,77, or nothing"),
        (4, "tenure: 1300.0 is out of the range from 0 to 1200"),
        (5, "the id customer_id is missing"),
        (6, "contract is missing"),
        (7, "8 fields, expected 9"),
    ]


def test_columns_that_the_release_does_not_take_need_not_be_there(folder: Path) -> None:
    rows = [row[:6] for row in customers(30)]
    (folder / "in/new.csv").write_bytes(german(rows, HEADER[:6]))
    assert score("in/new.csv", "out.csv").exit_code == 0
    assert pl.read_csv(folder / "out.csv", separator=";").height == 30


def test_a_gzipped_file_and_one_of_another_ending_are_read(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(30)))
    (folder / "in/kunden.csv.gz").write_bytes(gzip.compress(german(customers(30))))
    (folder / "in/kunden.txt").write_bytes(german(customers(30)))
    for name in ("kunden.csv", "in/kunden.csv.gz", "in/kunden.txt"):
        assert score(name, "out.csv", "--force").exit_code == 0
        assert pl.read_csv(folder / "out.csv", separator=";").height == 30
    (folder / "in/kunden.csv.gz").write_bytes(gzip.compress(german(customers(30)))[:-30])
    assert "kunden.csv.gz can't be read" in refusal(score("in/kunden.csv.gz", "out2.csv"))
    assert not (folder / "out2.csv").exists()


def test_like_release_reads_a_table_in_the_release_s_own_names(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(60)))
    own = ingested()
    own.write_csv(folder / "in/own.csv")
    own.drop("contract").with_columns(contract=pl.lit("monthly")).write_csv(folder / "in/ascii.csv")
    assert "it has release" in refusal(score("in/ascii.csv", "out.csv", "--separator", ","))
    assert score("in/own.csv", "out.csv", "--like-release").exit_code == 0
    assert score("kunden.csv", "raw.csv").exit_code == 0
    raw = pl.read_csv(folder / "raw.csv", separator=";")
    assert pl.read_csv(folder / "out.csv").equals(raw.drop("known_label"))


def test_a_file_of_other_names_is_refused_with_both_ways_to_read_it(folder: Path) -> None:
    (folder / "in/other.csv").write_text("a;b\n1;2\n")
    said = refusal(score("in/other.csv", "out.csv"))
    assert "lacks 5 columns of the mapping in churn.yaml: Monate, Betrag, Schuld, Vertrag, Stufe" in said
    assert "5 of release" in said
    assert "own names: tenure, charges, debt, contract, tier" in said
    assert "--like-release" in said
    assert not (folder / "out.csv").exists()


def test_a_release_of_other_attributes_is_refused(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(3)))
    without = {name: value for name, value in GERMAN["attributes"].items() if name != "tier"}
    describe(folder, {**GERMAN, "attributes": without})
    assert "takes tier, which source.customers.attributes of churn.yaml does not describe" in refusal(
        score("kunden.csv", "out.csv")
    )
    number = {**GERMAN["attributes"], "tier": {"column": "Stufe", "kind": "number"}}
    describe(folder, {**GERMAN, "attributes": number})
    assert "describes tier as another kind" in refusal(score("kunden.csv", "out.csv"))
    describe(folder, {**GERMAN, "time_zone": "Mars"})
    assert "source.customers: time_zone" in refusal(score("kunden.csv", "out.csv"))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"kind": "synthetic"}, "the source is synthetic"),
        ({"kind": "files", "start": "2024-01-01", "events": {"path": "e.csv", "columns": {}}}, "the source is a history"),
    ],
)
def test_without_a_table_of_customers_a_file_is_read_by_the_release_s_own_names_and_that_is_said(
    folder: Path, source: dict[str, Any], why: str
) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(60)))
    ingested().write_csv(folder / "in/own.csv")
    (folder / "churn.yaml").write_text(yaml.safe_dump({"source": source}))
    result = score("in/own.csv", "out.csv")
    assert result.exit_code == 0, result.exception
    assert f"{why}" in result.stderr
    assert "the release's own names (--like-release)" in result.stderr


def test_a_table_in_postgresql_is_described_for_files_too(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(60)))
    own = ingested()
    in_files = {"path", "separator", "encoding", "missing"}
    table = {name: value for name, value in GERMAN.items() if name not in in_files}
    describe(folder, {**table, "table": "shop.kunden"}, kind="postgres", url="postgresql://reader@db/shop")
    text = german(customers(60)).decode("windows-1252").replace("k. A.", "")
    (folder / "in/export.csv").write_text(text, encoding="utf-8")
    result = score("in/export.csv", "out.csv", "--separator", ";")
    assert result.exit_code == 0, result.exception
    assert pl.read_csv(folder / "out.csv", separator=";")["probability"].to_list() == pytest.approx(
        champion(folder).scorer.score_frame(own).tolist(), abs=1e-9
    )


@pytest.mark.parametrize("like_release", [False, True])
def test_a_column_whose_words_the_release_knows_none_of_refuses_the_file(folder: Path, like_release: bool) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(60)))
    if like_release:
        ingested().with_columns(contract=pl.lit("geheim")).write_csv(folder / "in/bad.csv")
    else:
        rows = customers(60)
        for row in rows:
            row[4] = "geheim"
        (folder / "in/bad.csv").write_bytes(german(rows))
    said = refusal(score("in/bad.csv", "out.csv", *(["--like-release"] if like_release else [])))
    assert "knows no word of the column contract: none of its 60 words is one of 'monthly', 'yearly', 'süß'" in said
    assert "geheim" not in said
    assert not list(folder.glob("out*"))


def test_nothing_scored_is_exit_status_2_and_leaves_the_reasons(folder: Path) -> None:
    (folder / "out.csv").write_text("of yesterday")
    rows = customers(5)
    for row in rows:
        row[1] = "1300"
    (folder / "kunden.csv").write_bytes(german(rows))
    said = refusal(score("kunden.csv", "out.csv", "--force"))  # the command line ends a refusal with exit status 2
    assert "5 of 5 rows could not be scored" in said
    assert "out.csv was not written (nothing was scored)" in said
    assert not (folder / "out.csv").exists()
    assert pl.read_csv(folder / "out.rejected.csv", separator=";").height == 5
    (folder / "kunden.csv").write_bytes(german([]))
    assert "no rows" in refusal(score("kunden.csv", "new.csv"))
    assert not (folder / "new.csv").exists()


def test_an_id_may_have_no_name_be_named_or_be_absent_and_repeated_ones_are_told(folder: Path) -> None:
    describe(folder, {**GERMAN, "columns": {"customer_id": ""}})  # as pandas writes an index
    rows = customers(30)
    rows[9][0] = rows[8][0] = rows[7][0]
    (folder / "kunden.csv").write_bytes(german(rows, ["", *HEADER[1:]]))
    result = score("kunden.csv", "out.csv")
    assert result.exit_code == 0, result.exception
    scores = pl.read_csv(folder / "out.csv", separator=";")
    assert scores["customer_id"].to_list() == [row[0] for row in rows]
    assert "note: 3 scored rows have an id that another row has, too" in result.stderr
    assert "k00007" not in result.stderr
    assert score("kunden.csv", "note.csv", "--id", "Notiz").exit_code == 0
    assert pl.read_csv(folder / "note.csv", separator=";").columns[0] == "Notiz"
    (folder / "kunden.csv").write_bytes(german([row[1:] for row in rows], HEADER[1:]))
    result = score("kunden.csv", "none.csv")
    assert "which churn.yaml reads as customer_id: the scores have the position of each row instead" in result.stderr
    assert pl.read_csv(folder / "none.csv", separator=";")["row"].to_list() == list(range(1, 31))


def test_the_unnamed_column_of_pandas_can_be_the_id_of_a_table_in_own_names(folder: Path) -> None:
    (folder / "kunden.csv").write_bytes(german(customers(20)))
    own = ingested().rename({"customer_id": ""})
    own.write_csv(folder / "in/own.csv", quote_style="never")
    assert (folder / "in/own.csv").read_text().startswith(",")
    result = score("in/own.csv", "out.csv", "--like-release", "--id", "")
    assert result.exit_code == 0, result.exception
    scores = pl.read_csv(folder / "out.csv")
    assert scores["customer_id"].to_list() == own[""].to_list()


def test_parquet_takes_the_types_that_ingest_takes(folder: Path) -> None:
    days = Column(name="contract", kind="category", categories=("2024-01-31", "2024-02-29"))
    columns = [days if column.name == "contract" else column for column in COLUMNS]
    columns.append(Column(name="gender", kind="category", categories=("true", "false")))
    engine = connect(f"sqlite:///{folder}/.churn/serving.db")
    make_release(engine, DigestStore(str(folder / ".churn/releases")), columns=columns, threshold=0.4)
    engine.dispose()
    describe(folder, {**PLAIN, "values": {"tier": {"9": "3"}}})
    frame = pl.DataFrame(
        {
            "Kunde": list(range(100, 140)),
            "Monate": pl.Series(range(40), dtype=pl.Int16),
            "Betrag": [Decimal(f"{i}.25") for i in range(40)],
            "Schuld": [None if i % 3 else float(i) for i in range(40)],
            "Vertrag": [datetime.date(2024, 1, 31) if i % 2 else datetime.date(2024, 2, 29) for i in range(40)],
            "Stufe": pl.Series([(1.0, 2.0, 9.0)[i % 3] for i in range(40)]),
            "Geschlecht": [i % 2 == 0 for i in range(40)],
            "weg": pl.Series(["ja", "nein"] * 20, dtype=pl.Categorical),
            "Notiz": pl.Series(["=1+1", "b"] * 20, dtype=pl.Categorical),
        }
    )
    frame.write_parquet(folder / "kunden.parquet")
    result = score("kunden.parquet", "out.parquet", "--keep", "Vertrag", "--keep", "Notiz")
    assert result.exit_code == 0, result.exception
    scores, rows = pl.read_parquet(folder / "out.parquet"), ingested()
    assert scores["probability"].to_list() == pytest.approx(champion(folder).scorer.score_frame(rows).tolist(), abs=1e-9)
    assert scores["customer_id"].to_list() == rows["customer_id"].to_list() == [str(i) for i in range(100, 140)]
    assert scores["Vertrag"].dtype == pl.Date
    assert scores["Notiz"].cast(pl.String).to_list() == ["=1+1", "b"] * 20  # Parquet is not changed
    assert "training never saw" not in result.stderr
    own = frame.rename({a["column"]: name for name, a in PLAIN["attributes"].items()} | {"Kunde": "customer_id"})
    own.with_columns(tier=pl.col("tier").replace(9.0, 3.0)).write_parquet(folder / "in/own.parquet")
    assert score("in/own.parquet", "own.parquet", "--like-release").exit_code == 0
    assert pl.read_parquet(folder / "own.parquet")["probability"].to_list() == pytest.approx(
        scores["probability"].to_list(), abs=1e-9
    )


RUN = ["=HYPERLINK(1)", "+49 30 1", "-2+3", "@SUM(1)", "\tx"]


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_texts_that_a_spreadsheet_would_run_are_defused_and_ids_stay_beside_their_shown_form(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("churn_store.mapping.parts.PART", 1_000)
    rows = customers(100)
    for row, text in zip(rows[60:], RUN, strict=False):
        row[-1] = text
    rows[0][-1] = "-12,5"
    rows[90][0], rows[91][0], rows[91][1] = "=1+1", "-x", "1300"
    (folder / "kunden.csv").write_bytes(german(rows))
    result = score("kunden.csv", f"out.{ending}", "--keep", "Notiz")
    assert result.exit_code == 0, result.exception
    content = (folder / f"out.{ending}").read_bytes()
    text = (gzip.decompress(content) if ending.endswith("gz") else content).decode()
    scores = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert list(scores[0]) == [
        "customer_id",
        "customer_id_shown",
        "Notiz",
        "probability",
        "churn",
        "release",
        "known_label",
    ]
    assert [one["customer_id"] for one in scores] == [row[0] for row in rows if row[1] != "1300"]
    shown = {
        one["customer_id"]: one["customer_id_shown"] for one in scores if one["customer_id"] != one["customer_id_shown"]
    }
    assert shown == {"=1+1": "'=1+1"}
    assert [one["Notiz"] for one in scores[60:64]] == [f"'{text}" for text in RUN[:4]]
    assert scores[0]["Notiz"] == "-12,5"  # a number stays one
    assert all(float(one["probability"]) < 1 for one in scores)
    rejected = (folder / f"out.rejected.{ending}").read_bytes()
    assert b"-x;'-x;" in (gzip.decompress(rejected) if ending.endswith("gz") else rejected)
    assert "a spreadsheet may run some of the ids" in result.stderr
    assert "=1+1" not in result.stderr


def test_a_file_whose_ids_are_harmless_has_no_second_column_of_them(folder: Path) -> None:
    rows = customers(20)
    rows[3][4] = "=1+1"
    (folder / "kunden.csv").write_bytes(german(rows))
    result = score("kunden.csv", "out.csv", "--keep", "Vertrag")
    assert pl.read_csv(folder / "out.csv", separator=";").columns[:2] == ["customer_id", "Vertrag"]
    assert "spreadsheet" not in result.stderr


def test_a_line_of_another_encoding_far_behind_is_named_by_its_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_store.mapping.parts.PART", 1_000)
    describe(folder, {**GERMAN, "encoding": "utf-8"})
    content = german([[*row[:4], "Monat", *row[5:]] for row in customers(90)])
    (folder / "kunden.csv").write_bytes(content.replace(b"n88", b"\xfc88"))
    assert "kunden.csv is not encoded in UTF-8 (line 90)" in refusal(score("kunden.csv", "out.csv"))
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize("part", [500, 10**7])
def test_ids_are_those_of_ingest_also_where_the_table_has_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr("churn_store.mapping.parts.PART", part)
    monkeypatch.setattr("churn_store.mapping.parts.VALUES_AT_ONCE", part // 100)
    rows = customers(60)
    rows[50][1:7] = rows[3][1:7]  # equal but for the id, far apart
    (folder / "kunden.csv").write_bytes(german(rows))
    describe(folder, {**GERMAN, "columns": {"customer_id": "none"}})
    assert score("kunden.csv", "out.csv").exit_code == 0
    scored = pl.read_csv(folder / "out.csv", separator=";")["customer_id"].to_list()
    assert scored == ingested()["customer_id"].to_list()
    assert len(set(scored)) == 60
    (folder / "in/less.csv").write_bytes(german([[*row[:6], *row[7:]] for row in rows], [*HEADER[:6], *HEADER[7:]]))
    result = score("in/less.csv", "less.csv")
    assert "has no ids, and not all columns that they are made of" in result.stderr
    assert pl.read_csv(folder / "less.csv", separator=";").columns[0] == "row"
    describe(folder, {**GERMAN, "ids": {"pad": 8}})
    assert score("kunden.csv", "padded.csv").exit_code == 0
    padded = pl.read_csv(folder / "padded.csv", separator=";")["customer_id"].to_list()
    assert padded == ingested()["customer_id"].to_list()
    assert padded[0] == "00k00000"


def test_lines_before_the_header_and_empty_ones_are_no_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn_store.mapping.parts.PART", 1_000)
    without = {name: value for name, value in GERMAN.items() if name != "separator"}
    describe(folder, {**without, "skip_lines": 1})
    rows = customers(60)
    rows[40][1] = "viele"
    title = 'Bericht "Januar"\r\nsep=;\r\n# ein Wort\r\n'.encode("windows-1252")
    (folder / "kunden.csv").write_bytes(title + german(rows) + b";;;;;;;;\r\n" * 500 + b"\r\n" * 3_000)
    result = score("kunden.csv", "out.csv")
    assert result.exit_code == 0, result.exception
    assert pl.read_csv(folder / "out.csv").height == 59
    rejected = pl.read_csv(folder / "out.rejected.csv")
    assert rejected["line"].to_list() == [45]
    assert "1 of 60 rows" in result.stderr


def test_a_quote_without_an_end_costs_its_own_line_and_not_the_rest_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row[:-1] for row in customers(900)]
    lines = german(rows, HEADER[:-1]).split(b"\r\n")
    lines[301] = lines[301].replace(b"Monat", b'"Monat')
    (folder / "kunden.csv").write_bytes(b"\r\n".join(lines))
    for part in (10**7, 4_000):
        monkeypatch.setattr("churn_store.mapping.parts.PART", part)
        result = score("kunden.csv", "out.csv", "--force")
        assert result.exit_code == 0, result.exception
        assert pl.read_csv(folder / "out.csv", separator=";").height == 899
        assert pl.read_csv(folder / "out.rejected.csv", separator=";").select("line", "reason").rows() == [
            (302, "a quote has no end")
        ]


def test_blocks_of_a_file_are_whole_records_and_stay_small_where_a_quote_has_no_end() -> None:
    records = b"".join(b'%d,"a\nb"\n' % number for number in range(1_000))
    blocks = list(blocks_of(io.BytesIO(records), ",", size=200))
    assert b"".join(blocks) == records
    assert all(block.endswith(b'"\n') and block.count(b'"') % 2 == 0 for block in blocks)
    open_quote = b'1,"a\n' + b"2,b\n" * 1_000
    blocks = list(blocks_of(io.BytesIO(open_quote), ",", size=200))
    assert b"".join(blocks) == open_quote
    assert max(map(len, blocks)) < 500
