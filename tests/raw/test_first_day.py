"""The mistakes of a company's first day: each is refused in one sentence that says what to do, and nothing is written."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from churn_assets.automation.runner import QUIET
from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.failure_policy import RETRY, WRONG_INPUT_TAG
from churn_assets.orchestration.partitions import partitions_of
from churn_assets.raw.assets import raw_assets
from churn_assets.raw.quarantine import in_words
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_store.errors import InputError
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.foreign_keys import forms
from churn_store.mapping.tables import Delivery, Table

pytestmark = pytest.mark.integration

EVER = 2**62
NOW_S = int(datetime(2024, 7, 1, tzinfo=UTC).timestamp())
ROWS = 60

Write = Callable[[Path], object]


def customers(ids: list[str] | None = None, since: str = "2023-05-0{n}") -> str:
    return "id,since\n" + "".join(
        f"{one},{since.format(n=number % 9 + 1)}\n"
        for number, one in enumerate(ids or [f"c{n:04}" for n in range(1, ROWS + 1)])
    )


def payments(
    *,
    who: Callable[[int], str] = lambda n: f"c{n:04}",
    when: Callable[[int], str] = lambda n: f"2024-02-{n % 28 + 1:02}",
    amount: Callable[[int], str] = lambda n: f"{n}.50",
    separator: str = ",",
) -> str:
    lines = (separator.join([who(n), when(n), amount(n)]) for n in range(1, ROWS + 1))
    return separator.join(["who", "when", "amount"]) + "\n" + "".join(f"{line}\n" for line in lines)


def write(name: str, content: str | bytes) -> Write:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def parquet(name: str, **columns: Any) -> Write:
    return lambda folder: pl.DataFrame(columns).write_parquet(folder / name)


def several(*writes: Write) -> Write:
    return lambda folder: [one(folder) for one in writes]


PAID = {"path": "p.csv", "columns": {"customer_id": "who", "occurred": "when", "amount": "amount"}}
KNOWN = {"path": "c.csv", "columns": {"customer_id": "id", "signed_up": "since"}}
LABELLED = {
    "path": "c.csv",
    "columns": {"customer_id": "id"},
    "label": {"column": "left"},
    "attributes": {"age": {"column": "age", "kind": "number"}},
}


@dataclass(frozen=True)
class Mistake:
    """What a company did, and words that it is told."""

    write: Write
    said: tuple[str, ...]
    paid: Mapping[str, Any] = field(default_factory=dict)
    with_customers: bool = False
    labelled: bool = False
    known_customers: str = field(default_factory=customers)


def in_parquet(path: str = "p-*.parquet") -> dict[str, Any]:
    return {"path": path, "format": "parquet"}


DAY = datetime(2024, 2, 1)
MISTAKES = {
    "Windows-1252 without saying so": Mistake(
        write("p.csv", payments(who=lambda n: f"Zoë{n}", amount=lambda n: "5").replace("ë", "€").encode("cp1252")),
        ("p.csv is not encoded in UTF-8 (line 2)", "expected UTF-8", "`encoding: windows-1252`"),
    ),
    "Latin-1 without saying so, compressed": Mistake(
        write("p.csv.gz", gzip.compress(payments(who=lambda n: f"Zoë{n}").encode("latin-1"))),
        ("p.csv.gz is not encoded in UTF-8 (line 2)", "`encoding: windows-1252`"),
        {"path": "p.csv.gz"},
    ),
    "UTF-16 without saying so": Mistake(
        write("p.csv", payments().encode("utf-16")), ("p.csv is encoded in UTF-16", "`encoding: utf-16`")
    ),
    "UTF-8 that is called Latin-1": Mistake(
        write("p.csv", payments(who=lambda n: f"Zoë{n}")),
        ("p.csv is encoded in UTF-8; expected latin-1", "Take `encoding` out"),
        {"encoding": "latin-1"},
    ),
    "UTF-8 that is called UTF-16": Mistake(
        write("p.csv", payments() + "x"),
        ("p.csv is encoded in UTF-8; expected utf-16", "Take `encoding` out"),
        {"encoding": "utf-16"},
    ),
    "half a letter of UTF-16": Mistake(
        write("p.csv", payments().encode("utf-16") + b"x"),
        ("p.csv is not encoded in utf-16", "Change `encoding`"),
        {"encoding": "utf-16"},
    ),
    "rows without a header": Mistake(
        write("p.csv", payments().partition("\n")[2]),
        ("p.csv has no header, its first line looks like a row", "Write them into the file"),
    ),
    "rows of words without a header": Mistake(
        write("p.csv", "anna.schmidt@example.org,gestern,viel\n" * ROWS),
        ("p.csv has no column who, when, amount", "has 3 fields and none of these names", "write a header into the file"),
    ),
    "an amount that is mapped to the customer": Mistake(
        write("p.csv", payments(who=lambda n: f"Anna Schmidt {n}")),
        ("column who holds the ids of customers; expected an amount like 11.77", "60 rows are"),
        {"columns": {**PAID["columns"], "amount": "who"}},  # type: ignore[dict-item]
    ),
    "a time that is mapped to the customer": Mistake(
        write("p.csv", payments(who=lambda n: f"{n:04}")),
        ("column who: 60 of 60 times lie in the first days of 1970, like the id of a customer; expected",),
        {"columns": {**PAID["columns"], "occurred": "who"}, "time_format": "epoch_s"},  # type: ignore[dict-item]
    ),
    "an amount that is mapped to a message": Mistake(
        write(
            "p.csv", payments(amount=lambda n: "a@b.example" if n > 1 else "Dear Sir or Madam: my name is Anna Schmidt and")
        ),
        ("column amount holds a text of 46 characters (line 2), what looks like an e-mail address (line 3);",),
    ),
    "a zip archive": Mistake(
        write("p.csv", b"PK\x03\x04" + bytes(40)),
        ("p.csv is a zip archive, or an Excel workbook", "Unpack it, or save it as CSV"),
    ),
    "bzip2": Mistake(
        write("p.csv", bz2.compress(payments().encode())), ("p.csv is compressed by bzip2", "gzip or zstd. Unpack it")
    ),
    "xz": Mistake(write("p.csv", lzma.compress(payments().encode())), ("p.csv is compressed by xz", "Unpack it")),
    "Parquet that is called CSV": Mistake(
        parquet("p.csv", who=["a"], when=[DAY], amount=[1.0]), ("p.csv is Parquet", "Write `format: parquet`")
    ),
    "decimal commas": Mistake(
        write("p.csv", payments(amount=lambda n: f"{n},50", separator=";")),
        ("column amount holds '1,50' (line 2)", "expected an amount like 11.77", 'write `decimal: ","`', "60 rows are"),
        {"separator": ";"},
    ),
    "decimal points though commas were promised": Mistake(
        write("p.csv", payments(amount=lambda n: f"{n}.50")),
        ("column amount holds '1.50'", "expected an amount like 11,77", 'write `decimal: "."`'),
        {"decimal": ","},
    ),
    "times with and without an offset": Mistake(
        write("p.csv", payments(when=lambda n: f"2024-02-01T0{n % 9}:00:00" + ("Z" if n % 3 else ""))),
        (
            "column when holds times that name an offset",
            "20 that name none, like '2024-02-01T03:00:00'",
            "Write the `time_zone`",
        ),
    ),
    "days of another country": Mistake(
        write("p.csv", payments(when=lambda n: f"{n % 28 + 1:02}/02/2024")),
        ("column when holds '02/02/2024' (line 2)", "ISO 8601", "`time_format`"),
    ),
    "milliseconds for seconds": Mistake(
        write("p.csv", payments(when=lambda n: str(1_706_745_600_000 + n))),
        (
            "60 of 60 times lie in the future, like '1706745600001'",
            "The format or the unit is wrong",
            "write `time_format: epoch_ms`",
        ),
        {"time_format": "epoch_s"},
    ),
    "seconds for milliseconds": Mistake(
        write("p.csv", payments(when=lambda n: str(1_706_745_600 + n))),
        ("60 of 60 times lie in the first days of 1970", "write `time_format: epoch_s`"),
        {"time_format": "epoch_ms"},
    ),
    "most dates in the future": Mistake(
        write("p.csv", payments(when=lambda n: f"{2024 + n % 3}-12-01")), ("60 of 60 times lie in the future",)
    ),
    "years of two digits": Mistake(
        write("p.csv", payments(when=lambda n: "01.02.24")),
        ("60 of 60 times lie before 1900, like '01.02.24'",),
        {"time_format": "%d.%m.%Y"},
    ),
    "ids that are text here and numbers there": Mistake(
        write("p.csv", payments(who=lambda n: str(n + 100))),
        (
            "60 of 60 rows (100.0%) are of customers who are not in `customers`",
            "raw.quarantine_limit 2.0%",
            "their ids are digits of length 3",
            "those in `customers` are c + digits of length 4",
            "Write the ids the same way",
        ),
        with_customers=True,
    ),
    "ids that lost their leading zeros": Mistake(
        write("p.csv", payments(who=str)),
        ("digits of length 4 with leading zeros", "they would match without leading zeros"),
        with_customers=True,
        known_customers=customers([f"{n:04}" for n in range(1, ROWS + 1)]),
    ),
    "ids in capitals": Mistake(
        write("p.csv", payments(who=lambda n: f"C{n:04}")),
        ("C + digits of length 4", "they would match in lower case"),
        with_customers=True,
    ),
    "other words than yes and no": Mistake(
        write("c.csv", "id,left,age\n" + "".join(f"{n},{'j' if n % 2 else 'n'},30\n" for n in range(ROWS))),
        (
            "column left holds 'n' (line 2), 'j' (line 3);",
            "expected 'Yes' or 'No'",
            "change `label` in churn.yaml",
            "60 rows",
        ),
        labelled=True,
    ),
    "a header and nothing else": Mistake(
        write("p.csv", "who,when,amount\n"), ("no rows; expected at least one", "Fill the file")
    ),
    "no byte at all": Mistake(write("p.csv", ""), ("p.csv is empty; expected a header and rows", "Fill the file")),
    "several files without a row": Mistake(
        several(write("p-1.csv", "who,when,amount\n"), write("p-2.csv", "")), ("no rows; expected",), {"path": "p-*.csv"}
    ),
    "a folder": Mistake(
        lambda folder: (folder / "p.csv").mkdir(), ("p.csv is a folder; expected a file", "`path: p.csv/*.csv`")
    ),
    "no file": Mistake(lambda _: None, ("no file matches", "put the file there or change `path`")),
    "a file that was cut off": Mistake(
        write("p.csv", payments()[:-10]),
        ("p.csv ends in the middle of a line", "2 of 3 fields", "copy it again"),
    ),
    "a file that was cut off inside quotes": Mistake(
        write("p.csv", payments(amount=lambda n: f'"{n}.50"')[:-3]), ("p.csv ends in the middle of a line", "copy it again")
    ),
    "a compressed file that was cut off": Mistake(
        write("p.csv.gz", gzip.compress(payments().encode())[:-20]),
        ("p.csv.gz can't be read", "expected whole CSV"),
        {"path": "p.csv.gz"},
    ),
    "a compressed file of one that was cut off": Mistake(
        write("p.csv.gz", gzip.compress(payments().encode()[:-10])),
        ("p.csv.gz ends in the middle of a line",),
        {"path": "p.csv.gz"},
    ),
    "a Parquet file that was cut off": Mistake(
        several(
            parquet("p-1.parquet", who=["a"], when=[DAY], amount=[1.0]),
            lambda folder: (folder / "p-1.parquet").write_bytes((folder / "p-1.parquet").read_bytes()[:-9]),
        ),
        ("p-1.parquet can't be read", "expected a whole Parquet file"),
        in_parquet(),
    ),
    "times that are text in one Parquet file": Mistake(
        several(
            parquet("p-1.parquet", who=["a"], when=[DAY], amount=[1.0]),
            parquet("p-2.parquet", who=["a"], when=["2024-02-01"], amount=[1.0]),
        ),
        ("column when is text in p-2.parquet, but times without a zone in p-1.parquet", "expected one type", "Write one"),
        in_parquet(),
    ),
}


def source_of(folder: Path, mistake: Mistake) -> FilesSource:
    settings: dict[str, Any] = {"kind": "files", "shape": "table", "customers": LABELLED}
    if not mistake.labelled:
        settings = {"kind": "files", "start": "2024-01-01", "payments": {**PAID, **mistake.paid}}
        if mistake.with_customers:
            (folder / "c.csv").write_text(mistake.known_customers)
            settings["customers"] = KNOWN
    mistake.write(folder)
    return FilesSource(FilesSettings.model_validate(settings), folder, Rules(now_s=NOW_S))


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_of_the_first_day_gets_its_sentence_and_nothing_is_written(tmp_path: Path, mistake: Mistake) -> None:
    source = source_of(tmp_path, mistake)
    before = sorted(tmp_path.rglob("*"))
    table: Table = "customers" if mistake.labelled else "payments"
    with pytest.raises(InputError) as error:
        source.read(table, -EVER, EVER)
    said = str(error.value)
    for words in (f"source.{table}", *mistake.said):
        assert words in said
    assert "\n" not in said
    assert not any(word in said for word in ("Traceback", "polars", "Expr"))
    for one in (f"c{ROWS:04}", f"{ROWS:04}", "Zo", f"C{ROWS:04}", "nna", "a@b"):
        assert one not in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, dg.DagsterInstance]]:
    """A company with a good January in its lake."""
    folder = tmp_path_factory.mktemp("shop")
    january = payments(when=lambda n: f"2024-01-{n % 28 + 1:02}")
    source = source_of(folder, Mistake(write("p.csv", january), (), with_customers=True))
    settings = Settings(home=folder, source=source._settings, label=Label(kind="inactivity"))
    settings.clock.fix(datetime(2024, 7, 1, tzinfo=UTC))
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        assert ingest(settings, source, instance, "2024-01-01").success
        yield settings, instance


def ingest(settings: Settings, source: FilesSource, instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
    defs = dg.Definitions(
        assets=raw_assets(
            source,
            partitions_of(settings.timeline),
            described=settings.source,
            timeline=settings.timeline,
            raw=settings.raw,
            quality=settings.quality,
        ),
        resources={"lake": Lake(settings.lake_url), "clock": settings.clock},
        jobs=[dg.define_asset_job("ingest", op_retry_policy=RETRY)],
    )
    job = defs.resolve_job_def("ingest")
    return job.execute_in_process(instance=instance, partition_key=month, run_config=QUIET, raise_on_error=False)


@pytest.mark.parametrize(
    "name", ["a file that was cut off", "decimal commas", "ids that are text here and numbers there"]
)  # a refusal of bytes, one of values, and one of rows beside another table: the sentences of all have their test above
def test_a_mistake_of_a_later_day_is_told_by_the_run_at_once_and_leaves_the_lake_as_it_was(
    tmp_path: Path, shop: tuple[Settings, dg.DagsterInstance], name: str
) -> None:
    settings, instance = shop
    mistake = MISTAKES[name]
    lake, wrong = Lake(settings.lake_url), source_of(tmp_path, mistake)
    there = {table: (lake.version(table), lake.read(table, "2024-01-01")) for table in ("payments", "payments_quarantine")}
    result = ingest(settings.model_copy(update={"source": wrong._settings}), wrong, instance, "2024-02-01")
    [failure] = [event for event in result.all_events if event.is_step_failure and event.step_key == "payments"]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert all(words in str(told.description) for words in mistake.said)
    assert not any(event.is_step_up_for_retry for event in result.all_events)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[WRONG_INPUT_TAG] == "true"
    assert instance.get_materialized_partitions(dg.AssetKey("payments")) == {"2024-01-01"}
    for table, (version, rows) in there.items():
        assert lake.version(table) == version
        assert lake.read(table, "2024-01-01").equals(rows)


def test_a_country_that_is_called_as_what_is_missing_is_one_if_that_is_said(tmp_path: Path) -> None:
    def plans(**said: Any) -> list[str | None]:
        described = {**LABELLED, "attributes": {"country": {"column": "country", "kind": "category"}}, **said}
        (tmp_path / "c.csv").write_text("id,left,country\n1,Yes,NA\n2,No,DE\n")
        settings = FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": described})
        return FilesSource(settings, tmp_path, Rules()).read("customers", 0, 0).rows["country"].to_list()

    assert plans() == [None, "DE"]
    assert plans(missing=[""]) == ["NA", "DE"]


def read(folder: Path, write_file: Write, *, with_customers: bool = False, **paid: Any) -> Delivery:
    mistake = Mistake(write_file, (), paid, with_customers)
    return source_of(folder, mistake).read("payments", -EVER, EVER)


FINE = {
    "Windows-1252 that is said": (
        write("p.csv", payments(who=lambda n: f"Zoë€{n}").encode("cp1252")),
        {"encoding": "windows-1252"},
    ),
    "UTF-16 that is said, compressed": (
        write("p.csv.gz", gzip.compress(payments().encode("utf-16"))),
        {"encoding": "utf-16", "path": "p.csv.gz"},
    ),
    "zstd": (
        write("p.csv.zst", pa.Codec("zstd").compress(payments().encode(), asbytes=True)),
        {"path": "p.csv.zst"},
    ),
    "a byte order mark": (write("p.csv", b"\xef\xbb\xbf" + payments().encode()), {}),
    "no line's end at the end": (write("p.csv", payments().strip()), {}),
    "decimal commas that are said": (
        write("p.csv", payments(amount=lambda n: f"{n},50", separator=";")),
        {"separator": ";", "decimal": ","},
    ),
    "a mixture of times whose zone is said": (
        write("p.csv", payments(when=lambda n: "2024-02-01T09:00:00" + ("Z" if n % 3 else ""))),
        {"time_zone": "UTC"},
    ),
    "an empty file beside others": (
        several(write("p-1.csv", payments()), write("p-2.csv", ""), write("p-3.csv", "who,when,amount\n")),
        {"path": "p-*.csv"},
    ),
    "an empty column in one Parquet file": (
        several(
            parquet("p-1.parquet", who=["a"] * ROWS, when=[DAY] * ROWS, amount=[1.5] * ROWS),
            parquet("p-2.parquet", who=pl.Series([], dtype=pl.Null), when=pl.Series([], dtype=pl.Null), amount=[]),
        ),
        in_parquet(),
    ),
}


@pytest.mark.parametrize(("write_file", "paid"), FINE.values(), ids=FINE.keys())
def test_what_only_looks_like_a_mistake_is_read(tmp_path: Path, write_file: Write, paid: dict[str, Any]) -> None:
    found = read(tmp_path, write_file, **paid)
    assert (found.rows.height, found.unreadable.height) == (ROWS, 0)
    assert found.rows["amount_cents"].null_count() == 0


def test_letters_survive_the_encoding_that_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, FINE["Windows-1252 that is said"][0], encoding="windows-1252")
    assert "Zoë€7" in found.rows["customer_id"].to_list()


@pytest.mark.parametrize(
    ("written", "in_cents"),
    [
        ("11,77", 1177),
        ("1.234,50", 123_450),
        ("1.234.567,5", 123_456_750),
        ("-1.234,5", 123_450),
        ("1234", 123_400),
        ("+0,05", 5),
    ],
)
def test_amounts_with_decimal_commas_become_cents(tmp_path: Path, written: str, in_cents: int) -> None:
    found = read(tmp_path, write("p.csv", f"who;when;amount\nc;2024-02-01;{written}\n"), separator=";", decimal=",")
    assert found.rows["amount_cents"].to_list() == [in_cents]


@pytest.mark.parametrize("written", ["1,2,3", "1.23,5", "12,", "1,234.50", "a,5"])
def test_what_is_no_amount_with_a_decimal_comma_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(InputError, match="expected an amount like 11,77"):
        read(tmp_path, write("p.csv", f"who;when;amount\nc;2024-02-01;{written}\n"), separator=";", decimal=",")


def test_numbers_of_a_parquet_file_have_no_commas_whatever_is_said_of_text(tmp_path: Path) -> None:
    content = parquet("p-1.parquet", who=["a"], when=[DAY], amount=[11.77])
    found = read(tmp_path, content, **in_parquet(), decimal=",", time_format="%d.%m.%Y")
    assert found.rows["amount_cents"].to_list() == [1177]


@pytest.mark.parametrize(
    ("time_format", "written"),
    [("epoch_s", "1706745600"), ("epoch_ms", "1706745600999"), ("epoch_s", "1706745600.5"), ("epoch_s", "1.7067456e9")],
)
def test_times_that_are_counted_become_seconds(tmp_path: Path, time_format: str, written: str) -> None:
    found = read(tmp_path, write("p.csv", f"who,when,amount\nc,{written},1\n"), time_format=time_format)
    assert found.rows["occurred_s"].to_list() == [1_706_745_600]


def test_some_rows_that_can_not_be_read_are_set_aside_with_value_and_row(tmp_path: Path) -> None:
    content = payments(
        when=lambda n: "soon" if n == 7 else "2024-02-01", amount=lambda n: {7: "?", 8: "much"}.get(n, "1.50")
    )
    mistake = Mistake(write("p.csv", content), ())
    source = source_of(tmp_path, mistake)
    with pytest.raises(InputError, match="2 rows are like that"):
        source.read("payments", -EVER, EVER)
    generous = FilesSource(source._settings, tmp_path, Rules(limit=0.05, now_s=NOW_S))
    found = generous.read("payments", -EVER, EVER)
    assert found.rows.height == ROWS - 2
    assert found.unreadable.sort("value").rows() == [
        (
            "an amount like 11.77",
            "amount",
            "much",
            '{"who":"c0008","when":"2024-02-01","amount":"much"}',
            int(datetime(2024, 2, 1, tzinfo=UTC).timestamp()),
        ),
        (
            "an ISO 8601 date or time like 2024-01-31 or 2024-01-31T09:30:00Z (or a `time_format` in churn.yaml)",
            "when",
            "soon",
            '{"who":"c0007","when":"soon","amount":"?"}',
            None,
        ),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('who,when,amount,note\n1,2024-01-01,1,"x\ny\nz"\n1,soon,1,\n', 5),
        ('who,when,amount,note\n1,2024-01-01,1,"x\ny\nz"\n1,soon,1,', 5),
        ('who,when,amount,note\r\n1,soon,1,"x\r\ny"\r\n', 2),
        ("\n\nwho,when,amount\n1,2024-01-01,1\n1,soon,1\n", 5),
        ('"who",when,amount,"a\nnote"\n1,soon,1,"x\ny"\n', 3),
    ],
)
def test_a_line_is_the_one_that_an_editor_shows_also_after_line_breaks_in_quotes(
    tmp_path: Path, content: str, line: int
) -> None:
    for name, written in (("p.csv", content.encode()), ("p.csv.gz", gzip.compress(content.encode()))):
        with pytest.raises(InputError, match=rf"'soon' \(line {line}\)"):
            read(tmp_path, write(name, written), path=name)


def test_a_customer_who_is_no_amount_is_set_aside_without_being_told(tmp_path: Path) -> None:
    content = payments(who=lambda n: "Anna Schmidt" if n == 7 else f"{n}")
    columns = {**PAID["columns"], "amount": "who"}  # type: ignore[dict-item]
    source = source_of(tmp_path, Mistake(write("p.csv", content), (), {"columns": columns}))
    aside = FilesSource(source._settings, tmp_path, Rules(limit=0.05, now_s=NOW_S)).read("payments", -EVER, EVER).unreadable
    assert aside["value"].to_list() == ["Anna Schmidt"]
    assert in_words(aside) == ["customer_id: an amount like 11.77 broken by 1 rows"]


def test_what_a_person_wrote_is_masked_in_the_words_of_a_quarantine() -> None:
    aside = pl.DataFrame(
        {"rule": ["r"] * 3, "column": ["event_id"] * 3, "value": ["anna@x.de-1", "7", "x" * 41], "row": [""] * 3},
    ).with_columns(known_s=pl.lit(0))
    assert in_words(aside) == [
        "event_id: r broken by 3 rows; found '7', what looks like an e-mail address, a text of 41 characters"
    ]


def test_labels_and_numbers_of_some_rows_may_be_unreadable(tmp_path: Path) -> None:
    labels = {3: "perhaps", 4: "", 5: "No"}
    lines = (f"{n},{labels.get(n, 'Yes')},{'old' if n == 9 else 30}\n" for n in range(ROWS))
    mistake = Mistake(write("c.csv", "id,left,age\n" + "".join(lines)), (), labelled=True)
    source = FilesSource(source_of(tmp_path, mistake)._settings, tmp_path, Rules(limit=0.05))
    found = source.read("customers", 0, 0)
    assert found.rows.height == ROWS - 3
    assert found.unreadable.select("column", "value", "known_s").sort("column", "value").rows() == [
        ("age", "old", None),
        ("left", None, None),
        ("left", "perhaps", None),
    ]


def test_some_dates_in_the_future_wait_and_some_strangers_are_let_in(tmp_path: Path) -> None:
    content = payments(
        who=lambda n: "stranger" if n == 7 else f"c{n:04}", when=lambda n: "2024-12-01" if n < 9 else "2024-02-01"
    )
    found = read(tmp_path, write("p.csv", content), with_customers=True)
    assert (found.rows.height, found.unreadable.height) == (ROWS, 0)
    source = source_of(tmp_path, Mistake(write("p.csv", content), ()))
    assert source.read("payments", -EVER, NOW_S).rows.height == ROWS - 8


def test_due_dates_and_list_prices_are_optional_and_may_lie_ahead(tmp_path: Path) -> None:
    content = "who,when,amount,due,list\na,2024-02-01,1.50,2024-12-01,2\na,2024-02-02,1.50,,\n"
    columns = {**PAID["columns"], "due": "due", "list_price": "list"}  # type: ignore[dict-item]
    mistake = Mistake(write("p.csv", content), (), {"columns": columns})
    source = source_of(tmp_path, mistake)
    assert source.given("payments") == {"due_s", "list_cents"}
    rows = source.read("payments", -EVER, EVER).rows.sort("occurred_s")
    assert rows["due_s"].to_list() == [int(datetime(2024, 12, 1, tzinfo=UTC).timestamp()), None]
    assert rows["list_cents"].to_list() == [200, None]


def test_words_are_translated_and_unknown_ones_stay(tmp_path: Path) -> None:
    content = "who,when,amount,state\na,2024-02-01,1,paid\na,2024-02-02,1,chargeback\na,2024-02-03,1,lost\n"
    columns = {**PAID["columns"], "status": "state"}  # type: ignore[dict-item]
    values = {"status": {"paid": "settled", "chargeback": "refunded"}}
    rows = read(tmp_path, write("p.csv", content), columns=columns, values=values).rows
    assert rows.sort("occurred_s")["status"].to_list() == ["settled", "refunded", "lost"]


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (["123", "456"], "digits of length 3"),
        (["007", "012", "42"], "digits of length 3 with leading zeros or digits of length 2"),
        (["c1", "c2"], "c + digits of length 1"),
        (["anna", "berta"], "letters of length 4 or letters of length 5"),
        (["x@y.de"], "letters of length 1 + @ + letters of length 1 + . + more"),
        (["anna1"], "letters of length 4 + digits of length 1"),
        ([], "none"),
    ],
)
def test_ids_are_told_by_their_form(ids: list[str], told: str) -> None:
    assert forms(pl.Series(ids, dtype=pl.String)) == told


YAML = """
source:
  kind: files
  start: 2024-01-01
  payments: {path: p.csv, columns: {customer_id: who, occurred: when, amount: amount}}
label: {kind: inactivity}
raw: {quarantine_limit: 0.05}
"""


def test_the_limit_is_that_of_the_file_and_a_clock_that_stands_in_the_past_makes_no_date_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "churn.yaml").write_text(YAML)
    (tmp_path / "p.csv").write_text(payments(amount=lambda n: "?" if n < 3 else "1"))
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    settings = Settings.load()
    assert open_source(settings).read("payments", -EVER, EVER).unreadable.height == 2
    (tmp_path / "p.csv").write_text(payments(when=lambda n: "2099-12-31"))
    with pytest.raises(InputError, match="60 of 60 times lie in the future"):
        open_source(settings).read("payments", -EVER, EVER)
    settings.clock.fix(datetime(2024, 7, 1, tzinfo=UTC))
    assert open_source(settings).read("payments", -EVER, EVER).rows.height == ROWS
