"""A company's files: what fits comes out canonical; every mistake of the first day gets its one sentence."""

import gzip
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.connectors.files.source import FilesSource
from churn_assets.contracts import violations
from churn_assets.raw.contracts import labelled_contract, raw_contract
from churn_assets.settings.company import Settings
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import SCHEMAS, Table

EVER = 2**62
HEAD = "who,when,amount\n"
PAYMENTS = {"path": "p.csv", "columns": {"customer_id": "who", "occurred": "when", "amount": "amount"}}
CUSTOMERS = {
    "path": "c.csv",
    "columns": {"customer_id": "id"},
    "label": {"column": "left", "churned": "Yes", "stayed": "No"},
    "attributes": {
        "age": {"column": "age", "kind": "number", "low": 0, "nullable": True},
        "plan": {"column": "plan", "kind": "category"},
    },
}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def payments(folder: Path, content: str | bytes, **changed: Any) -> pl.DataFrame:
    """The canonical payments of a file ``p.csv`` with the columns who, when, amount."""
    (folder / "p.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "payments": {**PAYMENTS, **changed}})
    return FilesSource(settings, folder).read("payments", -EVER, EVER).rows


def table(folder: Path, content: str, **changed: Any) -> pl.DataFrame:
    """The labelled customers of a file ``c.csv`` with the columns id, left, age, plan."""
    (folder / "c.csv").write_text(content, encoding="utf-8")
    settings = FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": {**CUSTOMERS, **changed}})
    return FilesSource(settings, folder).read("customers", 0, 0).rows


def is_one_sentence(message: str) -> bool:
    """Whether a person can read it: one line, without the words of the library that failed."""
    return "\n" not in message and not any(word in message for word in ("Traceback", "polars", "SchemaError", "Expr"))


@pytest.mark.parametrize(
    ("content", "changed", "said"),
    [
        ("", {}, ["source.payments (p.csv)", "p.csv is empty", "expected a header and rows"]),
        (HEAD, {}, ["source.payments (p.csv)", "no rows", "expected at least one"]),
        (
            "a,b\n1,2\n",
            {},
            ["no column who, when, amount", "has 2 fields and none of these", "Change the mapping in churn.yaml"],
        ),
        ("who,b\n1,2\n", {}, ["no column when, amount", "it has who, b", "Change the mapping in churn.yaml"]),
        (HEAD.replace(",", ";"), {}, ["has one column; expected who, when, amount", 'write `separator: ";"`']),
        ("who,who,when,amount\n1,2,2024-01-01,1\n", {}, ["several columns who", "expected one"]),
        (
            HEAD + "1,2024-01-01,1\n2,01.02.2024,1\n",
            {},
            ["source.payments (p.csv)", "column when holds '01.02.2024' (line 3)", "ISO 8601", "`time_format`", "1 row is"],
        ),
        (HEAD + "1,2024-01-01T25:00:00,1\n", {}, ["'2024-01-01T25:00:00' (line 2)"]),
        (HEAD + "1,2024-02-30,1\n", {}, ["'2024-02-30' (line 2)"]),
        (HEAD + "1,,1\n2,NA,2\n", {}, ["column when holds nothing (line 2);", "2 rows are like that"]),
        (HEAD + "1,20240101,1\n", {"time_format": "%d.%m.%Y"}, ["'20240101' (line 2)", "a time like '%d.%m.%Y'"]),
        (HEAD + "1,2024-01-01,1\n", {"time_format": "%d.%m.%Y %H"}, ["`time_format`", "one like %d.%m.%Y"]),
        (HEAD + '1,2024-01-01,"11,77"\n', {}, ["column amount holds '11,77' (line 2)", "expected an amount like 11.77"]),
        (HEAD + "1,2024-01-01,12 EUR\n", {}, ["'12 EUR' (line 2)", "expected an amount like 11.77"]),
        (HEAD + "1,2024-01-01,nan\n1,2024-01-01,inf\n1,2024-01-01,1e300\n", {}, ["'nan'", "'inf'", "'1e300' (line 4)"]),
        (HEAD + "1,2024-01-01,11.77\n", {"amount_unit": "cents"}, ["'11.77'", "whole cents like 1177", "amount_unit"]),
        (
            HEAD + "1,2024-01-01,1,5\n",
            {},
            ["p.csv", "line 2 has 4 fields; expected 3", "in double quotes", "1 line is like that"],
        ),
        (
            HEAD + '1,"2024-01-01,1\n2,2024-01-01,2\n',
            {},
            ["p.csv): line 2 has a quote without an end; expected 3 fields", "1 line is like that"],
        ),
        (
            HEAD.encode() + b"1,2024-01-01,1\n" * 5_000 + "Jürgen,2024-01-01,1\n".encode("latin-1"),
            {},
            ["p.csv is not encoded in UTF-8 (line 5002)", "`encoding: windows-1252`", "save it as UTF-8"],
        ),
        (
            (HEAD + "1,2024-01-01,1\n").encode("utf-16"),
            {},
            ["p.csv is encoded in UTF-16", "`encoding: utf-16`", "save it as UTF-8"],
        ),
        (HEAD + "1,2024-01-01,1\n", {"format": "parquet"}, ["p.csv can't be read", "expected a whole Parquet file"]),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, content: str | bytes, changed: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        payments(tmp_path, content, **changed)
    assert is_one_sentence(str(error.value))
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize("path", ["nowhere.csv", "data-*.csv"])
def test_a_missing_file_or_a_pattern_without_a_match_is_named(tmp_path: Path, path: str) -> None:
    settings = FilesSettings.model_validate(
        {"kind": "files", "start": "2024-01-01", "payments": {**PAYMENTS, "path": path}}
    )
    source = FilesSource(settings, tmp_path)
    for use in (lambda: source.read("payments", 0, EVER), source.fingerprint):
        with pytest.raises(InputError, match=rf"no file matches .*{path.replace('*', '.')}.* change `path` in churn.yaml"):
            use()


def test_of_several_files_the_bad_one_and_its_line_are_named(tmp_path: Path) -> None:
    (tmp_path / "p-1.csv").write_text(HEAD + "1,2024-01-01,1\n" * 9)
    (tmp_path / "p-2.csv").write_text(HEAD + "1,2024-01-01,1\n1,yesterday,1\n")
    with pytest.raises(InputError, match=r"'yesterday' \(p-2.csv, line 3\)"):
        payments(tmp_path, "", path="p-*.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,left,age,plan\n1,maybe,3,a\n2,Yes,1,b\n", ["column left holds 'maybe' (line 2)", "expected 'Yes' or 'No'"]),
        ("id,left,age,plan\n1,true,3,a\n2,false,1,b\n", ["'true' (line 2), 'false' (line 3)", "change `label`"]),
        ("id,left,age,plan\n1,,3,a\n", ["column left holds nothing (line 2)"]),
        ("id,age,plan\n1,3,a\n", ["no column left; it has id, age, plan"]),
        ("id,left,age,plan\n1,Yes,old,a\n", ["column age holds 'old' (line 2)", "expected a number like 11.77"]),
        ("id,left,age,plan\n1,Yes,1e300,a\n2,No,inf,a\n", ["column age holds '1e300' (line 2), 'inf' (line 3)"]),
    ],
)
def test_a_table_with_wrong_labels_or_numbers_is_refused_in_one_sentence(
    tmp_path: Path, content: str, said: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        table(tmp_path, content)
    assert is_one_sentence(str(error.value))
    for words in said:
        assert words in str(error.value)


def test_a_table_gives_its_attributes_and_whether_each_customer_churned(tmp_path: Path) -> None:
    frame = table(tmp_path, "id,left,age,plan\n007,Yes,,a\n8,No,41.5,b\n")
    assert frame.rows() == [("007", None, "a", True), ("8", 41.5, "b", False)]
    assert violations(labelled_contract(FilesSource(_table_settings(), tmp_path).attributes), frame) == []


def test_a_customer_who_is_twice_in_a_table_breaks_its_contract(tmp_path: Path) -> None:
    frame = table(tmp_path, "id,left,age,plan\n1,Yes,3,a\n1,No,4,b\n2,No,5,b\n")
    [broken] = violations(labelled_contract(FilesSource(_table_settings(), tmp_path).attributes), frame)
    assert (broken.kind, broken.rows, broken.values) == ("unique_keys", 2, ())


def _table_settings() -> FilesSettings:
    return FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": CUSTOMERS})


HISTORY = "company: c\nsource:\n  kind: files\n  start: 2024-01-01\n"
EVENTS = "  events: {path: e.csv, columns: {customer_id: a, event_type: b, occurred: c}}\n"
ONLY_PAYMENTS = "  payments: {path: p.csv, columns: {customer_id: a, amount: b, occurred: c}}\n"


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("source: {kind: files, shape: table}\n", "shape `table` needs `customers` with a `label`"),
        (
            "source: {kind: files, shape: table, customers: {path: c.csv, columns: {customer_id: a}}}\n",
            "shape `table` needs `customers` with a `label`",
        ),
        (
            "source:\n  kind: files\n  shape: table\n  customers: {path: c.csv, columns: {customer_id: a}, "
            "label: {column: b}}\n" + EVENTS,
            "neither `events` nor `payments`",
        ),
        ("source: {kind: files, start: 2024-01-01}\n", "shape `history` needs `events` or `payments`"),
        ("source:\n  kind: files\n" + EVENTS, "shape `history` needs `start`"),
        (
            HISTORY + EVENTS + "  customers: {path: c.csv, columns: {customer_id: a, signed_up: b}, label: {column: c}}\n",
            "a `label` column belongs to shape `table`",
        ),
        (
            HISTORY + "  events: {path: e.csv, columns: {customer_id: a}}\n",
            "`events.columns` must map event_type, occurred",
        ),
        (
            HISTORY + EVENTS.replace("occurred: c", "occurred: c, happened: d"),
            "maps unknown happened; expected customer_id",
        ),
        (HISTORY + EVENTS.replace("}}", "}, constants: {event_type: use}}"), "event_type is given in `columns` and in"),
        (HISTORY + EVENTS.replace("}}", "}, time_zone: Mars/Olympus}"), "'Mars/Olympus' is not a time zone"),
        (HISTORY + EVENTS.replace("}}", "}, time_format: '%H:%M %-Z'}"), "has %Z, the name of a zone"),
        (HISTORY + EVENTS.replace("}}", "}, separator: ';;'}"), "separator"),
        (HISTORY + EVENTS.replace("}}", "}, format: xlsx}"), "'csv' or 'parquet'"),
        (HISTORY + EVENTS.replace("}}", "}, colums: {}}"), "colums"),
        (HISTORY + EVENTS.replace("}}", "}, label: {column: x}}"), "belong to `customers`, not to `events`"),
        (HISTORY + ONLY_PAYMENTS, "label.kind `event` looks for the event 'cancelled', but the source has no `events`"),
        (HISTORY.replace("2024-01-01", "tomorrow") + EVENTS, "start"),
        (
            "source:\n  kind: files\n  shape: table\n  customers: {path: c.csv, columns: {customer_id: a}, "
            "label: {column: b}, attributes: {churned: {column: x, kind: number}}}\n",
            "churned can't be names of attributes",
        ),
        (
            HISTORY + EVENTS + "  customers: {path: c.csv, columns: {customer_id: a, signed_up: b}, attributes: "
            "{row: {column: x, kind: number}, rule: {column: x, kind: number}}}\n",
            "row, rule can't be names of attributes",
        ),
        (
            "source: {kind: files, shape: table, customers: {path: c.csv, columns: {customer_id: a}, "
            "label: {column: b, churned: left, stayed: left}}}\n",
            "`churned` and `stayed` are both 'left'; expected two words",
        ),
        ("source: {kind: oracle}\n", "oracle"),
        ("monitoring: {agreeing: 4}\n", "monitoring.agreeing must not be more than monitoring.windows"),
        ("gate: {auc_floor: 0.96}\n", "gate.auc_floor must be less than gate.auc_plausible"),
        ("sorce: {kind: files}\n", "unknown sorce; expected some of"),
        ("- a\n", "expected names with values"),
        ("source: [\n", "not YAML"),
    ],
)
def test_an_impossible_configuration_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str, said: str
) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(yaml)
    monkeypatch.setenv("CHURN_CONFIG", str(file))
    with pytest.raises(InputError) as error:
        Settings.load()
    assert said in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = payments(tmp_path, HEAD + "007,2024-01-01,1\n7,2024-01-01,1\n7.0,2024-01-01,1\n1e3,2024-01-01,1\n")
    assert sorted(rows["customer_id"]) == ["007", "1e3", "7", "7"]  # 7.0 is 7, as in a file of numbers


@pytest.mark.parametrize(
    ("unit", "written", "cents"),
    [
        ("units", "11.77", 1177),
        ("units", "0.1", 10),
        ("units", "1e2", 10_000),
        ("units", "-3", 300),
        ("cents", "1177", 1177),
    ],
)
def test_amounts_become_cents(tmp_path: Path, unit: str, written: str, cents: int) -> None:
    assert payments(tmp_path, f"{HEAD}1,2024-01-01,{written}\n", amount_unit=unit)["amount_cents"].to_list() == [cents]


@pytest.mark.parametrize(
    ("zone", "written", "utc"),
    [
        ("UTC", "2024-01-31", "2024-01-31T00:00:00"),
        ("UTC", "2024-01-31 09:30", "2024-01-31T09:30:00"),
        ("UTC", "2024-01-31T09:30:15.987", "2024-01-31T09:30:15"),
        ("Europe/Berlin", "2024-01-31T09:30:00", "2024-01-31T08:30:00"),
        ("Europe/Berlin", "2024-07-31T00:00", "2024-07-30T22:00:00"),
        # A day is a day of the calendar in every zone, so that a snapshot at its beginning can't see it.
        ("Europe/Berlin", "2024-07-31", "2024-07-31T00:00:00"),
        ("Pacific/Kiritimati", "2024-07-31", "2024-07-31T00:00:00"),
        ("America/Los_Angeles", "2024-07-31", "2024-07-31T00:00:00"),
        ("Europe/Berlin", "2024-01-31T09:30:00Z", "2024-01-31T09:30:00"),
        ("Europe/Berlin", "2024-01-31T09:30:00-05:30", "2024-01-31T15:00:00"),
        ("Europe/Berlin", "2024-01-31T09:30:00+0200", "2024-01-31T07:30:00"),
        # Clocks go from 02:00 to 03:00: a time in between is moved on, as if they had not.
        ("Europe/Berlin", "2024-03-31 02:30:00", "2024-03-31T01:30:00"),
        # Clocks go back: the first of the two.
        ("Europe/Berlin", "2024-10-27 02:30:00", "2024-10-27T00:30:00"),
        # A day without a midnight begins an hour later.
        ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00:00"),
    ],
)
def test_times_become_seconds_of_utc(tmp_path: Path, zone: str, written: str, utc: str) -> None:
    rows = payments(tmp_path, f"{HEAD}1,{written},1\n", time_zone=zone)
    assert rows["occurred_s"].to_list() == [at(utc)]


@pytest.mark.parametrize(
    ("pattern", "written", "utc"),
    [
        ("%d.%m.%Y", "01.02.2024", "2024-02-01T00:00:00"),
        ("%-d. %B %Y", "1. February 2024", "2024-02-01T00:00:00"),
        ("%Y%m%d", "20240201", "2024-02-01T00:00:00"),
        ("%d.%m.%Y %H:%M", "01.02.2024 00:00", "2024-01-31T23:00:00"),
        ("%F %T", "2024-02-01 00:00:00", "2024-01-31T23:00:00"),
        ("%d/%m/%Y %I:%M %p", "01/02/2024 12:00 AM", "2024-01-31T23:00:00"),
    ],
)
def test_a_pattern_without_a_time_of_day_tells_days_of_the_calendar(
    tmp_path: Path, pattern: str, written: str, utc: str
) -> None:
    rows = payments(tmp_path, f"{HEAD}1,{written},1\n", time_format=pattern, time_zone="Europe/Berlin")
    assert rows["occurred_s"].to_list() == [at(utc)]


def test_days_stay_days_beside_times(tmp_path: Path) -> None:
    content = HEAD + "1,2024-02-01,1\n1,2024-02-01T00:00:00,2\n1,2024-02-01T09:00:00Z,3\n"
    rows = payments(tmp_path, content, time_zone="Asia/Tokyo").sort("amount_cents")
    assert rows["occurred_s"].to_list() == [at("2024-02-01"), at("2024-01-31T15:00:00"), at("2024-02-01T09:00:00")]


def test_a_pattern_with_an_offset_needs_no_zone(tmp_path: Path) -> None:
    rows = payments(
        tmp_path, HEAD + "1,31.01.2024 09:30 +0200,1\n", time_format="%d.%m.%Y %H:%M %z", time_zone="Europe/Berlin"
    )
    assert rows["occurred_s"].to_list() == [at("2024-01-31T07:30:00")]


def test_equal_rows_have_ids_of_their_own_and_reading_again_gives_the_same_ones(tmp_path: Path) -> None:
    content = HEAD + "1,2024-01-01,5\n2,2024-01-01,5\n1,2024-01-01,5\n"
    once, again = payments(tmp_path, content), payments(tmp_path, content)
    assert once["payment_id"].n_unique() == 3
    assert once.equals(again)
    one_more = payments(tmp_path, content + "3,2024-01-02,9\n")
    assert set(once["payment_id"]) < set(one_more["payment_id"])


def test_rows_keep_their_ids_when_optional_columns_are_mapped_later(tmp_path: Path) -> None:
    head, lines = (
        "who,when,amount,due\n",
        ["1,2024-01-05,5,2024-01-01\n", "1,2024-01-05,5,2024-02-01\n", "2,2024-01-06,5,\n"],
    )
    mapped = {"columns": {**PAYMENTS["columns"], "due": "due"}}  # type: ignore[dict-item]
    before, after = payments(tmp_path, head + "".join(lines)), payments(tmp_path, head + "".join(lines), **mapped)
    assert before["payment_id"].n_unique() == 3
    assert set(after["payment_id"]) == set(before["payment_id"])
    assert payments(tmp_path, head + "".join(reversed(lines)), **mapped).equals(after)


def test_the_same_rows_in_two_files_have_the_ids_that_they_have_in_one(tmp_path: Path) -> None:
    whole = payments(tmp_path, HEAD + "1,2024-01-01,5\n2,2024-01-01,5\n1,2024-01-01,5\n")
    (tmp_path / "q-1.csv").write_text(HEAD + "1,2024-01-01,5\n")
    (tmp_path / "q-2.csv").write_text(HEAD + "2,2024-01-01,5\n1,2024-01-01,5\n")
    assert set(payments(tmp_path, "", path="q-*.csv")["payment_id"]) == set(whole["payment_id"])


def test_what_is_read_keeps_the_contract_of_its_table(tmp_path: Path) -> None:
    rows = payments(tmp_path, HEAD + "1,2024-01-01,5\n2,2024-01-02,0.5\n")
    assert dict(rows.schema) == SCHEMAS["payments"]
    assert violations(raw_contract("payments", ()), rows) == []


@pytest.mark.parametrize(("content", "kind"), [("1,2024-01-01,\n", "nulls"), ("1,2024-01-01,1e10\n", "ranges")])
def test_an_amount_that_is_missing_or_too_large_breaks_the_contract(tmp_path: Path, content: str, kind: str) -> None:
    [broken] = violations(raw_contract("payments", ()), payments(tmp_path, HEAD + content))
    assert broken.kind == kind
    assert "amount_cents" in broken.rule


@pytest.mark.parametrize(
    ("zone", "seconds"), [(None, at("2024-01-31T09:30:00")), ("Europe/Berlin", at("2024-01-31T08:30:00"))]
)
def test_times_and_amounts_of_a_parquet_file_are_read_by_their_types(
    tmp_path: Path, zone: str | None, seconds: int
) -> None:
    frame = pl.DataFrame({"who": [7], "when": [datetime(2024, 1, 31, 9, 30)], "amount": [11.77]})
    frame.with_columns(pl.col("when").dt.replace_time_zone(zone)).write_parquet(tmp_path / "p.parquet")
    rows = payments(tmp_path, "", path="p.parquet", format="parquet")
    assert rows.select("customer_id", "amount_cents", "occurred_s").rows() == [("7", 1177, seconds)]


def test_a_compressed_file_is_read_and_its_wrong_encoding_refused(tmp_path: Path) -> None:
    (tmp_path / "good.csv.gz").write_bytes(gzip.compress((HEAD + "1,2024-01-01,5\n").encode()))
    (tmp_path / "bad.csv.gz").write_bytes(gzip.compress(HEAD.encode() + b"J\xfcrgen,2024-01-01,5\n"))
    assert payments(tmp_path, "", path="good.csv.gz").height == 1
    with pytest.raises(InputError, match=r"bad\.csv\.gz is not encoded in UTF-8 \(line 2\); expected UTF-8"):
        payments(tmp_path, "", path="bad.csv.gz")


def history(folder: Path, *, customers: str | None, paid: str, known: bool = False) -> FilesSource:
    (folder / "p.csv").write_text(paid)
    described: dict[str, Any] = {**PAYMENTS, "columns": {**PAYMENTS["columns"], **({"known": "known"} if known else {})}}  # type: ignore[dict-item]
    settings: dict[str, Any] = {"kind": "files", "start": "2024-01-15", "payments": described}
    if customers is not None:
        (folder / "c.csv").write_text(customers)
        settings["customers"] = {"path": "c.csv", "columns": {"customer_id": "who", "signed_up": "since"}}
    return FilesSource(FilesSettings.model_validate(settings), folder)


def test_each_row_arrives_in_exactly_one_period_and_what_is_older_in_the_first(tmp_path: Path) -> None:
    source = history(
        tmp_path,
        customers=None,
        paid="who,when,amount,known\n1,2023-12-31,1,2023-12-31\n1,2024-01-20,2,2024-01-20\n"
        "2,2024-01-31,3,2024-02-29T23:59:59\n2,2024-03-01,4,2024-03-01\n",
        known=True,
    )
    keys = [at(f"2024-0{month}-01") for month in range(1, 5)]
    for name, expected in (("payments", [2, 1, 1]), ("customers", [1, 1, 0])):
        found: Table = name  # type: ignore[assignment]
        assert source.says_when_known(found)
        heights = [source.read(found, start, end).rows.height for start, end in pairwise(keys)]
        assert heights == expected


def test_where_nobody_says_when_rows_became_known_all_come_that_have_happened(tmp_path: Path) -> None:
    source = history(
        tmp_path,
        customers="who,since\n1,2014-03-01\n2,2024-02-10\n",
        paid=HEAD + "1,2023-12-31,1\n1,2024-01-20,2\n2,2024-02-29T23:59:59,3\n2,2024-03-01,4\n",
    )
    names: tuple[Table, ...] = ("payments", "customers")
    for name in names:
        assert not source.says_when_known(name)
    march = source.read("payments", at("2024-02-01"), at("2024-03-01")).rows
    assert march["occurred_s"].len() == 3
    assert march["known_s"].equals(march["occurred_s"], check_names=False)
    assert source.read("customers", -EVER, at("2024-02-01")).rows["customer_id"].to_list() == ["1"]


def test_a_row_that_was_announced_before_it_happened_counts_as_known_when_it_happened(tmp_path: Path) -> None:
    source = history(tmp_path, customers=None, paid="who,when,amount,known\n1,2024-02-01,1,2024-01-20\n", known=True)
    assert source.read("payments", -EVER, EVER).rows["known_s"].to_list() == [at("2024-02-01")]


def test_derived_customers_signed_up_when_first_seen_as_was_known_at_the_time(tmp_path: Path) -> None:
    source = history(
        tmp_path,
        customers=None,
        paid="who,when,amount,known\n1,2024-02-01,1,2024-02-01\n1,2024-01-16,2,2024-03-05\n1,2024-02-20,2,2024-03-09\n",
        known=True,
    )
    versions = source.read("customers", -EVER, EVER).rows
    assert versions.select("known_s", "signed_up_s").rows() == [
        (at("2024-02-01"), at("2024-02-01")),
        (at("2024-03-05"), at("2024-01-16")),
    ]
    assert violations(raw_contract("customers", ()), versions) == []


def test_the_fingerprint_follows_every_byte_of_the_files(tmp_path: Path) -> None:
    source = history(tmp_path, customers="who,since\n1,2014-03-01\n", paid=HEAD + "1,2024-01-20,1\n")
    before = source.fingerprint()
    assert source.fingerprint() == before
    (tmp_path / "c.csv").write_text("who,since\n1,2014-03-02\n")
    assert source.fingerprint() != before


def test_two_stars_are_folders_of_any_depth_and_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for number, folder in enumerate(("d", "d/2024", "d/2024/01")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(f"{HEAD}{number},2024-01-01,1\n")
    assert sorted(payments(tmp_path, "", path="d/**/x.csv")["customer_id"]) == ["0", "1", "2"]
    (tmp_path / "d/2024/x.csv").write_text(f"{HEAD}1,soon,1\n")
    with pytest.raises(InputError, match=r"'soon' \(d/2024/x.csv, line 2\)"):
        payments(tmp_path, "", path="d/**/x.csv")


def test_brackets_in_the_names_of_folders_and_files_are_letters(tmp_path: Path) -> None:
    folder = tmp_path / "shop [old]"
    folder.mkdir()
    assert payments(folder, HEAD + "1,2024-01-01,1\n").height == 1
    assert payments(folder, HEAD + "1,2024-01-01,1\n", path="p*.csv").height == 1
    (folder / "p[1].csv").write_text(HEAD + "2,2024-01-01,1\n")
    assert payments(folder, HEAD, path="p[1].csv")["customer_id"].to_list() == ["2"]
