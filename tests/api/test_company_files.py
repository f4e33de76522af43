"""CSV bodies: read by the mapping of churn.yaml as `churn score` reads a file, or refused with the lines and without a value."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from churn_api.settings import ServiceConfig
from tests.api.conftest import ONLINE_ROWS, Installation, Service
from tests.release_factory import Candidate, rows_of, small_columns, train
from tests.store.mapping.reading import GERMAN_CUSTOMERS

COLUMNS = small_columns(4)
RAW = {
    "sessions_30d": "Sitzungen", "paid_0_cents": "Gezahlt", "paid_1_cents": "Davor", "days_since_ticket": "Tage",
    "plan": "Tarif", "country": "Land", "channel": "Kanal",
}  # fmt: skip
PLANS = {"basic": "Grund", "plus": "Größer", "pro": "Profi"}
CUSTOMERS: dict[str, Any] = {
    **GERMAN_CUSTOMERS,
    "values": {"plan": {raw: own for own, raw in PLANS.items()}},
    "attributes": {
        column.name: {"column": RAW[column.name], "kind": column.kind, "nullable": column.nullable} for column in COLUMNS
    },
}
ROWS = rows_of(COLUMNS, 40, 7)


def installation(home: Path, source: dict[str, Any], **limits: Any) -> Iterator[Installation]:
    """An installation whose churn.yaml has a section ``source``."""
    with Installation.make(home, **limits) as made:
        file = home / "churn.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "source": source}, allow_unicode=True))
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("CHURN_CONFIG", str(file))
            object.__setattr__(made, "config", ServiceConfig.load())
        made.release(train(COLUMNS))
        yield made


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of a company whose own table is a German CSV; it takes at most 40 rows."""
    source = {"kind": "files", "shape": "table", "customers": CUSTOMERS}
    for made in installation(tmp_path_factory.mktemp("mapped"), source, max_batch=40, max_batch_body_bytes=300_000):
        with made.serve() as service:
            yield service


def german(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as the company writes them, with a header and a column that nobody asked for."""
    written = []
    for place, row in enumerate(rows):
        number = ("k. A." if row[name] is None else str(row[name]).replace(".", ",") for name in list(RAW)[:4])
        written.append([f"k{place}", *number, PLANS[row["plan"]], row["country"], row["channel"], "note"])
    return [["Kunde", *RAW.values(), "Notiz"], *written]


def text(lines: list[list[str]], separator: str = ";") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows(lines)
    return file.getvalue()


def send(service: Service, body: bytes | str, path: str = "/predict/batch", charset: str = "") -> httpx.Response:
    content = body if isinstance(body, bytes) else body.encode("windows-1252")
    return service.post(path, content, headers={"content-type": "text/csv" + (f"; charset={charset}" if charset else "")})


def of_json(service: Service, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records = [{"attributes": row, "customer_id": f"k{place}"} for place, row in enumerate(rows)]
    predictions: list[dict[str, Any]] = service.post("/predict/batch", {"records": records}).json()["predictions"]
    return predictions


def refused(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    return found


def test_the_company_s_own_file_is_answered_as_the_same_rows_in_json(mapped: Service) -> None:
    response = send(mapped, text(german(ROWS)))
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == of_json(mapped, ROWS)
    assert response.headers["x-release"]
    assert any(row["plan"] == "plus" for row in ROWS)  # a word with a letter beyond ASCII, which `values` translate


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf-16", "iso-8859-1", "windows-1252"])
def test_the_charset_of_the_request_says_the_encoding(mapped: Service, charset: str) -> None:
    body = text(german(ROWS[:5])).encode(charset.strip('"'))
    assert send(mapped, body, charset=charset).json()["predictions"] == of_json(mapped, ROWS[:5])


def test_rows_that_can_not_be_scored_refuse_the_batch_by_their_lines_without_a_value(mapped: Service) -> None:
    lines = german(ROWS[:9])
    lines[2][1] = "geheim"
    lines[3][1] = "-1"
    lines[4][5] = ""
    lines[5].append("geheim")
    lines[6][0] = "k\x01"
    lines[7][8] = "over\ntwo lines"
    lines[8][1] = "1001"
    found = refused(send(mapped, text(lines)))
    assert [error["path"] for error in found["errors"]] == [f"line {line}" for line in (3, 4, 5, 6, 7, 10)]
    assert found["errors"][0]["detail"] == "column Sitzungen can't be read; expected a number like 11,77, or nothing"
    assert found["errors"][1]["detail"].startswith("attribute sessions_30d: expected a number >= 0 and <= 1000")
    assert found["errors"][3]["detail"] == "10 fields, expected 9"
    assert "6 of 9 rows can't be scored, the first on line 3" in found["detail"]
    assert "geheim" not in json.dumps(found)
    assert "k\\u0001" not in json.dumps(found)


def test_many_faults_are_counted(mapped: Service) -> None:
    lines = german(ROWS)
    for line in lines[1:]:
        line[1] = "x"
    found = refused(send(mapped, text(lines)))
    assert len(found["errors"]) == 21
    assert found["errors"][-1]["detail"] == "and 20 more lines"


HEADER, *LINES = german(ROWS[:2])
WRONG: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "the body is empty"),
    "blank": (b"\n\n  \n", 400, "the body is empty"),
    "header alone": (text([HEADER]).encode(), 400, "no rows"),
    "no header": (text(LINES).encode("windows-1252"), 400, "has no"),
    "other columns": (b"a;b\n1;2\n", 400, "has no column"),
    "a column missing": (text([line[:4] + line[5:] for line in (HEADER, *LINES)]).encode("latin-1"), 400, "has no column Tage"),
    "a column twice": (text([[*line, line[1]] for line in (HEADER, *LINES)]).encode("latin-1"), 400, "several columns Sitzungen"),
    "commas": (text(german(ROWS[:2]), ",").encode("latin-1"), 400, "separated by ','"),
    "NUL": (text([HEADER, *LINES]).encode("latin-1").replace(b"k1", b"k\x00"), 400, "line 3 holds the character NUL"),
    "gzip": (gzip.compress(text([HEADER, *LINES]).encode()), 415, "compressed"),
    "Parquet": (b"PAR1 and more", 400, "Parquet"),
    "a workbook": (b"PK\x03\x04 and more", 400, "Excel"),
    "random bytes": (bytes(range(1, 256)) * 9, 400, "CSV"),
    "too many rows": (text([HEADER, *LINES * 21]).encode("windows-1252"), 400, "1 to 40 rows; found more"),
    "too large": (b"x" * 300_001, 413, "larger than the 300,000 bytes"),
    "cut off": (text([HEADER, *LINES]).encode("latin-1")[:-20], 400, "in the middle of a line"),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/predict/batch", "/validate"])
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_such_file_is_refused_with_a_sentence(mapped: Service, path: str, case: str) -> None:
    body, status, said = WRONG[case]
    found = refused(send(mapped, body, path), status)
    assert said in found["detail"]


@pytest.mark.parametrize("path", ["/predict/batch", "/validate"])
def test_a_charset_that_is_none_or_not_the_body_s_is_refused(mapped: Service, path: str) -> None:
    body = text(german(ROWS[:9]))
    found = refused(send(mapped, body, path, charset="klingon"), 415)
    assert "expected one of latin-1, utf-16, utf-8, windows-1252" in found["detail"]
    assert "klingon" not in found["detail"]
    assert "is not encoded in UTF-8" in refused(send(mapped, body, path, charset="utf-8"))["detail"]


def test_a_quote_without_an_end_costs_its_own_line(mapped: Service) -> None:
    lines = german(ROWS[:5])
    body = text(lines).replace("\r\nk1;", '\r\n"k1;')
    assert refused(send(mapped, body))["errors"] == [{"path": "line 3", "detail": "a quote has no end"}]
    found = send(mapped, body, "/validate").json()
    assert (found["rows"], found["valid"]) == (5, 4)
    assert [(one["rule"], one["first_row"]) for one in found["problems"]] == [("wrong number of cells", 1)]


def test_a_refused_batch_is_neither_scored_nor_logged(mapped: Service) -> None:
    before = len(mapped.installation.spooled())
    refused(send(mapped, WRONG["a column missing"][0]))
    assert len(mapped.installation.spooled()) == before
    assert send(mapped, text(german(ROWS[:3]))).status_code == 200
    assert len(mapped.installation.spooled()) == before + 3


def test_validation_reads_the_same_file_and_explains_each_row(mapped: Service) -> None:
    lines = german(ROWS[:9])
    assert send(mapped, text(lines), "/validate").json()["valid"] == 9
    lines[2][1] = "viele"
    lines[3][5] = "unbekannt"
    lines[4].append("more")
    lines[5][6] = "k. A."
    found = send(mapped, text(lines), "/validate").json()
    assert (found["rows"], found["valid"]) == (9, 6)
    assert {(one["column"], one["rule"], one["first_row"]) for one in found["problems"]} == {
        ("sessions_30d", "not a number", 1), (None, "wrong number of cells", 3), ("country", "missing value", 4),
    }  # fmt: skip
    assert [(one["column"], one["rule"]) for one in found["notices"]] == [("plan", "unknown category")]


def test_a_mapping_that_does_not_fit_the_release_is_said(tmp_path: Path) -> None:
    attributes = {name: value for name, value in CUSTOMERS["attributes"].items() if name != "plan"}
    source = {"kind": "files", "shape": "table", "customers": {**CUSTOMERS, "attributes": attributes, "values": {}}}
    for made in installation(tmp_path, source):
        with made.serve() as service:
            assert "takes plan, which source.customers.attributes" in refused(send(service, text(german(ROWS))))["detail"]


def test_without_a_mapping_csv_has_the_release_s_own_names(service: Service) -> None:
    rows = ONLINE_ROWS[:9]
    names = list(rows[0])
    lines = [[*names, "customer_id", "note"], *([*row.values(), f"k{place}", "x"] for place, row in enumerate(rows))]
    response = send(service, text([["" if cell is None else str(cell) for cell in line] for line in lines], ","))
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == of_json(service, rows)
    without = [[str(cell) for cell in line[1:]] for line in lines]
    assert f"the header line lacks {names[0]}" in refused(send(service, text(without, ",")))["detail"]
    twice = [[*map(str, line), str(line[0])] for line in lines]
    assert "more than once" in refused(send(service, text(twice, ",")))["detail"]
    assert "NUL" in refused(send(service, text([[*names], ["\0"] * len(names)], ","), "/validate"))["detail"]


def test_json_is_answered_as_before_whatever_its_type_is_called(service: Service, candidate: Candidate) -> None:
    body = json.dumps({"records": [{"attributes": ONLINE_ROWS[0]}]}).encode()
    for kind in ("application/json", "text/plain", "text/csvx", ""):
        response = service.post("/predict/batch", body, headers={"content-type": kind})
        assert response.status_code == 200, response.text
    assert candidate.manifest.signature.names == tuple(ONLINE_ROWS[0])


def test_the_document_says_that_a_batch_may_be_csv(mapped: Service) -> None:
    paths = mapped.get("/docs/openapi.json").json()["paths"]
    for path in ("/predict/batch", "/validate"):
        content = paths[path]["post"]["requestBody"]["content"]
        parquet = {"application/vnd.apache.parquet"} if path == "/predict/batch" else set()
        assert set(content) == {"application/json", "text/csv"} | parquet
        assert "mapping in churn.yaml" in content["text/csv"]["schema"]["description"]
        assert "415" in paths[path]["post"]["responses"]
