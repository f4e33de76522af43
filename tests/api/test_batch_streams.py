"""Batches answered line by line: every row has its line, logged as a single prediction is; files of Parquet; and what is bounded."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_api.http.accept import preferred
from churn_api.http.body import StreamedResponse
from churn_api.predictions import parquet_body
from churn_api.predictions.streamed import COLUMNS, FORMS, ROWS_AT_ONCE
from churn_api.schemas.predictions import StreamedPrediction
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.api.test_company_files import COLUMNS as OWN_COLUMNS
from tests.api.test_company_files import CUSTOMERS as MAPPING
from tests.api.test_company_files import RAW, ROWS, german, installation, text
from tests.release_factory import Candidate, rows_of, small_columns

PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a mapping; in one piece it answers at most 40 rows of a file, streamed at most 1,000."""
    source = {"kind": "files", "shape": "table", "customers": MAPPING}
    for made in installation(tmp_path_factory.mktemp("mapped"), source, max_batch=40, max_upload_rows=1_000):
        with made.serve() as service:
            yield service


def send(
    service: Service, body: Any, *, kind: str = "application/json", accept: str = NDJSON, query: str = ""
) -> httpx.Response:
    return service.post(f"/predict/batch{query}", body, headers={"content-type": kind, "accept": accept})


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NDJSON
    for line in response.content.splitlines():
        msgspec.json.decode(line, type=StreamedPrediction)
    return [json.loads(line) for line in response.content.splitlines()]


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(pl.DataFrame(rows).to_arrow(), written, **options)
    return written.getvalue()


def own(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the release's own names, with ids."""
    return [{**row, "customer_id": f"k{place}"} for place, row in enumerate(rows)]


def test_ids_are_answered_line_by_line_as_in_one_piece(service: Service) -> None:
    ids = [f"c{i}" for i in range(CUSTOMERS + 5)]
    whole = service.post("/predict/batch", {"customer_ids": ids}).json()
    answer = send(service, {"customer_ids": ids})
    told = lines(answer)
    assert [one["customer_id"] for one in told] == ids
    assert [one["item"] for one in told] == list(range(len(ids)))
    for one, item in zip(told, whole["predictions"], strict=True):
        for name in ("probability", "churn", "risk_band", "unknown_categories", "missing", "error"):
            assert one.get(name) == item.get(name), name
    assert {one["snapshot"] for one in told if "error" not in one} == {whole["snapshot"]}
    assert {one["prediction_id"] for one in told} == {answer.headers["x-prediction-id"]}
    assert {one["release"] for one in told if "error" not in one} == {answer.headers["x-release"]}
    assert all("line" not in one for one in told)


def test_records_may_be_many_and_each_is_logged_once(fresh: Service) -> None:
    rows = rows_of(small_columns(), 2 * ROWS_AT_ONCE + 7, seed=3)
    answer = send(fresh, {"records": [{"attributes": row} for row in rows]}, query="?features=true")
    told = lines(answer)
    expected = fresh.installation.bundle().scorer.score_rows(rows).tolist()
    assert [one["probability"] for one in told] == pytest.approx(expected, abs=1e-6)
    assert [one["features"] for one in told] == rows
    logged = {(line["request_id"], line["item"]): line["probability"] for line in fresh.installation.spooled()}
    assert logged == {(answer.headers["x-prediction-id"], one["item"]): one["probability"] for one in told}


def test_a_row_of_a_file_that_can_not_be_scored_has_a_line_of_its_own_and_costs_no_other(mapped: Service) -> None:
    written = german(ROWS[:9])
    written[2][1] = "geheim"
    written[3][1] = "-1"
    written[5].append("geheim")
    written[7][8] = "over\ntwo lines"
    before = len(mapped.installation.spooled())
    told = lines(send(mapped, text(written).encode("windows-1252"), kind="text/csv"))
    assert [one["line"] for one in told] == [2, 3, 4, 5, 6, 7, 8, 10, 11]
    refused = {one["line"]: one["error"] for one in told if "error" in one}
    assert sorted(refused) == [3, 4, 6]
    assert refused[3]["errors"] == [
        {"path": "line 3", "detail": "column Sitzungen can't be read; expected a number like 11,77, or nothing"}
    ]
    assert "10 fields, expected 9" in refused[6]["detail"]
    assert "geheim" not in json.dumps(told)
    assert len(mapped.installation.spooled()) == before + 6
    whole = problem(send(mapped, text(written).encode("windows-1252"), kind="text/csv", accept="application/json"), 400)
    assert [error["path"] for error in whole["errors"]] == ["line 3", "line 4", "line 6"]


def test_csv_is_answered_as_csv(mapped: Service) -> None:
    written = german(ROWS[:5])
    written[3][1] = "viele"
    answer = send(mapped, text(written).encode("windows-1252"), kind="text/csv", accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    told = list(csv.DictReader(io.StringIO(answer.text)))
    assert tuple(told[0]) == COLUMNS
    by_line = lines(send(mapped, text(written).encode("windows-1252"), kind="text/csv"))
    for one, other in zip(told, by_line, strict=True):
        assert (one["customer_id"], int(one["line"])) == (other["customer_id"], other["line"])
        if "error" in other:
            assert one["error"] == other["error"]["detail"]
            assert one["probability"] == one["churn"] == ""
        else:
            assert float(one["probability"]) == other["probability"]
            assert (one["churn"], one["risk_band"]) == (str(other["churn"]).lower(), other["risk_band"])
    assert (
        problem(send(mapped, {"records": []}, accept="text/csv", query="?features=true"), 400)["errors"][0]["path"]
        == "features"
    )


def test_parquet_is_read_by_the_company_s_mapping_and_by_the_release_s_own_names(mapped: Service, service: Service) -> None:
    header, *written = german(ROWS)
    raw = [dict(zip(header, line, strict=True)) for line in written]
    for place, row in enumerate(ROWS):
        for name in (column.name for column in OWN_COLUMNS if column.kind == "number"):
            raw[place][RAW[name]] = row[name]
    records = [{"attributes": row, "customer_id": f"k{place}"} for place, row in enumerate(ROWS)]
    expected = mapped.post("/predict/batch", {"records": records}).json()["predictions"]
    assert send(mapped, parquet(raw), kind=PARQUET, accept="*/*").json()["predictions"] == expected
    told = lines(send(mapped, parquet(raw), kind="application/x-parquet"))
    assert [one["line"] for one in told] == list(range(1, 41))
    assert [one["probability"] for one in told] == [one["probability"] for one in expected]

    records = [{"attributes": row, "customer_id": f"k{place}"} for place, row in enumerate(ONLINE_ROWS)]
    expected = service.post("/predict/batch", {"records": records}).json()["predictions"]
    assert send(service, parquet(own(ONLINE_ROWS)), kind=PARQUET, accept="*/*").json()["predictions"] == expected


def test_a_streamed_answer_takes_more_rows_than_one_in_one_piece(mapped: Service) -> None:
    rows = rows_of(OWN_COLUMNS, 1_001, 3)
    whole = text(german(rows[:1_000])).encode("windows-1252")
    assert len(lines(send(mapped, whole, kind="text/csv"))) == 1_000
    assert "1 to 40 rows; found more" in problem(send(mapped, whole, kind="text/csv", accept="*/*"), 400)["detail"]
    more = text(german(rows)).encode("windows-1252")
    assert "1 to 1000 rows; found more" in problem(send(mapped, more, kind="text/csv"), 400)["detail"]


LONG = [{**row, "plan": "x" * 5_000} for row in own(ONLINE_ROWS)]
NESTED = [{**row, "plan": ["basic"]} for row in own(ONLINE_ROWS)]
EMPTY = io.BytesIO()
pq.write_table(pa.table({"plan": pa.array([], pa.string())}), EMPTY)
WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not Parquet"),
    "JSON": (b'{"customer_ids": ["c1"]}', "is not Parquet"),
    "cut off": (parquet(own(ONLINE_ROWS))[:-40], "is not Parquet, or was cut off"),
    "the marks alone": (b"PAR1PAR1", "can't be read as Parquet"),
    "damaged": (
        parquet(own(ONLINE_ROWS))[:200] + b"\0" * 400 + parquet(own(ONLINE_ROWS))[600:],
        "can't be read as Parquet",
    ),
    "a column missing": (parquet([{"plan": "pro"}]), "lacks sessions_30d"),
    "no row": (EMPTY.getvalue(), "rows; found none"),
    "a long word": (parquet(LONG), "a text of more than 4096 bytes"),
    "lists": (parquet(NESTED), "1 needed columns of lists"),
    "bytes": (
        parquet([{**row, "plan": b"pro"} for row in own(ONLINE_ROWS)]),
        "1 needed columns of lists, structures or bytes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_what_is_no_such_parquet_is_refused_with_a_sentence(service: Service, case: str, accept: str) -> None:
    body, said = WRONG[case]
    assert said in problem(send(service, body, kind=PARQUET, accept=accept), 400)["detail"]


def test_parquet_that_unpacks_to_too_much_is_refused_before_it_is_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_body, "LARGEST", 1_000)
    said = problem(send(service, parquet(own(ONLINE_ROWS), compression="zstd"), kind=PARQUET), 400)["detail"]
    assert "take more than" in said


def test_a_word_that_stands_for_gigabytes_is_refused_in_little_memory(service: Service) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 90_000, pa.int32()), pa.array(["x" * 1_000_000]))
    written = io.BytesIO()
    row = {name: pa.array([value] * 90_000) for name, value in ONLINE_ROWS[0].items() if value is not None}
    pq.write_table(pa.table({**row, "days_since_ticket": pa.nulls(90_000, pa.float64()), "plan": words}), written)
    assert len(written.getvalue()) < 10_000_000  # of 90 GB
    assert "a text of more than" in problem(send(service, written.getvalue(), kind=PARQUET), 400)["detail"]


def test_a_number_that_is_none_is_said_by_its_row(service: Service) -> None:
    rows = own(ONLINE_ROWS[:3])
    rows[1]["sessions_30d"] = float("nan")
    rows[2]["sessions_30d"] = 1e9
    told = lines(send(service, parquet(rows), kind=PARQUET))
    assert ["error" in one for one in told] == [False, True, True]
    assert told[2]["error"]["errors"][0]["path"] == "row 3"


def test_a_model_that_gives_no_probability_for_a_row_costs_its_line_alone(
    fresh: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from churn_store.model.scorer import Scorer  # noqa: PLC0415

    honest = Scorer._run

    def lying(self: Scorer, numbers: Any, categories: Any) -> Any:
        given = honest(self, numbers, categories)
        given[1] = 1.5
        return given

    monkeypatch.setattr(Scorer, "_run", lying)
    told = lines(send(fresh, {"customer_ids": ["c0", "c1", "c2"]}))
    assert [one.get("error", {}).get("status") for one in told] == [None, 500, None]
    assert len(fresh.installation.spooled()) == 2
    problem(fresh.post("/predict/batch", {"customer_ids": ["c0", "c1", "c2"]}), 500)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"), ("*/*", "json"), ("application/json", "json"), ("text/csv", "csv"), (NDJSON, "ndjson"), ("text/*", "csv"),
        ("application/jsonl", "ndjson"), ("text/csv;q=0.1, application/json", "json"), ("text/csv, */*;q=0.1", "csv"),
        ("application/json;q=0, */*", "ndjson"), ("image/png", "json"), ("text/csv;q=x", "json"), (",;,q", "json"),
    ],
)  # fmt: skip
def test_the_form_that_is_liked_best_is_chosen(accept: str, form: str) -> None:
    scope: Any = {"headers": [(b"accept", accept.encode())] if accept else []}
    assert preferred(scope, FORMS) == form


def test_a_caller_that_is_gone_ends_the_making() -> None:
    made: list[int] = []

    async def pieces() -> Any:
        for place in range(1_000):
            made.append(place)
            await asyncio.sleep(0)
            yield b"x"

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    asyncio.run(StreamedResponse(pieces(), receive).send(send))
    assert len(made) < 10


def test_an_answer_that_fails_on_the_way_is_not_ended_as_if_it_were_whole() -> None:
    sent: list[dict[str, Any]] = []

    async def pieces() -> Any:
        yield b"x"
        raise RuntimeError("the disk is gone")

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(StreamedResponse(pieces(), receive).send(send))
    assert [one.get("more_body") for one in sent] == [None, True]


def test_the_settings_of_the_upload_are_one_more_than_the_batch(tmp_path: Path, candidate: Candidate) -> None:
    from churn_store.errors import InputError  # noqa: PLC0415

    with (
        pytest.raises(InputError, match="max_upload_rows must be at least max_batch"),
        Installation.make(tmp_path, max_upload_rows=9),
    ):
        pass
