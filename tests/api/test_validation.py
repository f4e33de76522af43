"""Validation: a row is valid exactly if a prediction accepts it, and every other row is explained, whatever was sent."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_api.releases.reference import read_reference
from churn_api.schemas.validation import Validation
from churn_api.validation import routes
from churn_api.validation.explain import validate
from churn_assets.monitoring.drift_statistics import psi
from churn_store.errors import ReleaseError
from churn_store.model.signature import Signature
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.api.test_hostile_requests import (
    CANARY,
    CANARY_NUMBER,
    DEPTH,
    NAMED_ATTRIBUTES,
    NOT_A_PREDICTION,
    json_values,
    log_lines,
    nearly_right,
    single,
    written,
)
from tests.release_factory import Candidate, rows_of, small_columns

pytestmark = pytest.mark.integration

COLUMNS = small_columns()
NAMES = [column.name for column in COLUMNS]
ROW = ONLINE_ROWS[0]
LIMIT = 16 * 1024 * 1024

fuzzed = settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def parquet(rows: list[dict[str, Any]] | pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(buffer)
    return buffer.getvalue()


REFERENCE_ROWS = rows_of(COLUMNS, 1_000, 3)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[Service]:
    """A service whose release has a reference sample that can be read."""
    with Installation.make(tmp_path_factory.mktemp("compared")) as made:
        made.release(replace(candidate, contents={**candidate.contents, "reference.parquet": parquet(REFERENCE_ROWS)}))
        made.put_online()
        with made.serve() as service:
            rows = {"records": [{"attributes": row} for row in REFERENCE_ROWS[:1]]}
            service.until(lambda: validated(service, rows).reference_rows)
            yield service


def validated(service: Service, body: Any, **headers: str) -> Validation:
    response = service.post("/validate", body, headers=headers)
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=Validation, strict=True)


def of_records(service: Service, *records: bytes) -> Validation:
    return validated(service, b'{"records": [' + b", ".join(records) + b"]}")


def of_csv(service: Service, text: str | bytes, content_type: str = "text/csv") -> Validation:
    return validated(service, text if isinstance(text, bytes) else text.encode(), **{"content-type": content_type})


def table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def found(validation: Validation) -> set[tuple[str | None, str]]:
    return {(finding.column, finding.rule) for finding in validation.problems}


def accepted(service: Service, record: bytes) -> bool:
    response = service.post("/predict", record)
    assert response.status_code in {200, 400}
    return response.status_code == 200


def test_right_rows_are_valid_and_have_no_problems(compared: Service) -> None:
    validation = validated(compared, {"records": [{"attributes": row} for row in ONLINE_ROWS]})
    assert (validation.rows, validation.valid, validation.problems, validation.notices) == (50, 50, [], [])
    assert validation.release == compared.installation.bundle().digest
    assert [one.column for one in validation.distribution] == NAMES


def test_the_answer_names_the_release_and_echoes_the_request(compared: Service) -> None:
    response = compared.post("/validate", {"records": [{"attributes": ROW}]}, headers={"X-Request-ID": "mine"})
    assert response.headers["x-release"] == response.json()["release"]
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


EXPLAINED = {
    "missing number": ("paid_2_cents", "missing column"),
    "missing category": ("plan", "missing column"),
    "missing nullable": ("days_since_ticket", "missing column"),
    "unknown": ("paid_99_cents", "unknown column"),
    "unknown, long": ("x" * 80 + "...", "unknown column"),
    "below the range": ("sessions_30d", "below the range"),
    "just below the range": ("sessions_30d", "below the range"),
    "above the range": ("sessions_30d", "above the range"),
    "beyond float32": ("paid_1_cents", "above the range"),
    "1e308": ("paid_1_cents", "above the range"),
    "1e999": ("paid_1_cents", "not finite"),
    "-1e999": ("paid_1_cents", "not finite"),
    "400 digits": ("paid_1_cents", "not finite"),
    "text for a number": ("sessions_30d", "not a number"),
    "true for a number": ("sessions_30d", "not a number"),
    "a list for a number": ("sessions_30d", "not a number"),
    "an object for a number": ("sessions_30d", "not a number"),
    "null for a number": ("sessions_30d", "missing value"),
    "text for a nullable number": ("days_since_ticket", "not a number"),
    "a number for a word": ("plan", "not a text"),
    "a long word": ("plan", "text too long"),
    "twice": ("sessions_30d", "name twice"),
    "twice, spelled otherwise": ("sessions_30d", "name twice"),
    "twice, beside a colon": ("plan", "name twice"),
}


def test_every_wrong_attribute_is_explained_here() -> None:
    assert EXPLAINED.keys() == NAMED_ATTRIBUTES.keys() - {"deep in an attribute"}


@pytest.mark.parametrize("case", EXPLAINED)
def test_a_wrong_attribute_is_reported_and_refuses_nothing(service: Service, case: str) -> None:
    body, _, _ = NAMED_ATTRIBUTES[case]
    validation = of_records(service, single(), body, single(), body)
    (finding,) = validation.problems
    assert (validation.rows, validation.valid) == (4, 2)
    assert (finding.column, finding.rule) == EXPLAINED[case]
    assert (finding.rows, finding.first_row) == (2, 1)


def test_a_row_with_several_faults_shows_them_all(service: Service) -> None:
    row = {**ROW, "sessions_30d": -1, "plan": 5, "paid_1_cents": None, "days_since_ticket": "NaN", "x": 1}
    del row["country"]
    assert found(of_records(service, msgspec.json.encode({"attributes": row}))) == {
        ("sessions_30d", "below the range"), ("plan", "not a text"), ("paid_1_cents", "missing value"),
        ("days_since_ticket", "not finite"), ("x", "unknown column"), ("country", "missing column"),
    }  # fmt: skip


def test_examples_are_some_of_the_values_as_they_were_sent(service: Service) -> None:
    wrong = [written("sessions_30d", value) for value in (b'"a"', b'"a"', b"[1]", b"true", b"false")]
    (finding,) = of_records(service, *wrong, written("sessions_30d", b'"' + b"z" * 500 + b'"')).problems
    assert finding.rows == 6
    assert finding.examples == ['"a"', "[1]", "true"]
    (long,) = of_records(service, written("sessions_30d", b'"' + b"z" * 500 + b'"')).problems
    assert len(long.examples[0]) < 100


def test_a_word_that_training_never_saw_is_a_notice_because_predictions_take_it(service: Service) -> None:
    validation = of_records(service, single(plan="gold"), single(), single(plan="gold"))
    (notice,) = validation.notices
    assert (validation.valid, validation.problems) == (3, [])
    assert (notice.column, notice.rule, notice.rows, notice.first_row) == ("plan", "unknown category", 2, 0)
    assert notice.examples == ['"gold"']


NOT_A_RECORD = {
    "null": (b"null", (None, "not a record")),
    "a list": (b"[" + single() + b"]", (None, "not a record")),
    "a number": (b"5", (None, "not a record")),
    "a number that is none": (b"1e999", (None, "not a record")),
    "an empty object": (b"{}", (None, "not a record")),
    "attributes null": (b'{"attributes": null}', (None, "not a record")),
    "attributes a list": (b'{"attributes": []}', (None, "not a record")),
    "attributes twice": (single()[:-1] + b"," + single()[1:], (None, "name twice")),
    "an unknown name": (single()[:-1] + b',"debug":true}', (None, "not a record")),
    "id twice": (single()[:-1] + b',"customer_id":"a","customer_id":"b"}', ("customer_id", "name twice")),
    "an empty id": (single()[:-1] + b',"customer_id":""}', ("customer_id", "not an id")),
    "a long id": (single()[:-1] + b',"customer_id":"' + b"x" * 257 + b'"}', ("customer_id", "not an id")),
    "an id with NUL": (single()[:-1] + b',"customer_id":"a\\u0000b"}', ("customer_id", "not an id")),
    "a number as id": (single()[:-1] + b',"customer_id":5}', ("customer_id", "not an id")),
}


@pytest.mark.parametrize("case", NOT_A_RECORD)
def test_a_record_that_is_none_is_reported(service: Service, case: str) -> None:
    record, fault = NOT_A_RECORD[case]
    validation = of_records(service, record, single())
    assert (validation.rows, validation.valid, found(validation)) == (2, 1, {fault})
    assert not any(finding.examples for finding in validation.problems)


def test_the_values_of_ids_and_of_unknown_columns_are_never_shown(service: Service) -> None:
    bad = single(client=CANARY, sessions_30d=-1)[:-1] + f',"customer_id":"{CANARY}\\u0000"}}'.encode()
    response = service.post("/validate", b'{"records": [' + bad + b"]}")
    assert CANARY not in response.text
    csv_body = table([{**ROW, "client": CANARY, "customer_id": CANARY + "\x01", "sessions_30d": -1}])
    response = service.post("/validate", csv_body.encode(), headers={"content-type": "text/csv"})
    assert {("client", "unknown column"), ("customer_id", "not an id"), ("sessions_30d", "below the range")} == {
        (one["column"], one["rule"]) for one in response.json()["problems"]
    }
    assert CANARY not in response.text


def test_the_answer_to_many_unknown_columns_is_small(service: Service) -> None:
    records = [single(**{f"x{row}_{i}": i for i in range(200)}) for row in range(200)]
    response = service.post("/validate", b'{"records": [' + b",".join(records) + b"]}")
    assert len(response.content) < 20_000
    problems = msgspec.json.decode(response.content, type=Validation).problems
    assert {finding.rule for finding in problems} == {"unknown column"}
    (rest,) = (finding for finding in problems if finding.column is None)
    assert rest.rows == 200


REFUSED = {
    "no JSON": (b"nonsense", "", "not JSON"),
    "empty": (b"", "", "not JSON"),
    "an empty object": (b"{}", "records", "missing"),
    "no record": (b'{"records":[]}', "records", "at least 1"),
    "too many": (b'{"records":[' + b",".join([b"{}"] * 10_001) + b"]}", "records", "10000"),
    "ids": (b'{"customer_ids":["c1"]}', "customer_ids", "not expected"),
    "records null": (b'{"records":null}', "records", "expected a list"),
    "a list": (b"[]", "", "expected an object"),
    "records twice": (b'{"records":[{}],"records":[' + single() + b"]}", "records", "twice"),
    "records twice, spelled otherwise": (b'{"records":[1],"\\u0072ecords":[1]}', "records", "twice"),
    "an unknown name": (b'{"records":[{}],"x":1}', "x", "not expected"),
    "not UTF-8": (b'{"records":[' + written("plan", b'"\xff\xfe"') + b"]}", "", "not JSON"),
    "half a surrogate pair": (b'{"records":[' + written("plan", b'"\\ud800"') + b"]}", "", "not JSON"),
    "NaN": (b'{"records":[' + written("sessions_30d", b"NaN") + b"]}", "", "not JSON"),
    "cut off": (b'{"records":[' + single(), "", "not JSON"),
    "deep lists": (b'{"records":' + b"[" * DEPTH, "", "nested"),
    "deep objects": (b'{"records":[' + b'{"a":' * (DEPTH // 5), "", "nested"),
    "deep in an attribute": (b'{"records":[' + written("plan", b"[" * DEPTH + b"]" * DEPTH) + b"]}", "", "nested"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_body_that_is_no_table_of_rows_is_a_400_that_names_the_place(service: Service, case: str) -> None:
    body, path, said = REFUSED[case]
    (error,) = problem(service.post("/validate", body), 400)["errors"]
    assert error["path"] == path
    assert said in error["detail"]


REFUSED_CSV = {
    "empty": (b"", "empty"),
    "a header only": (",".join(NAMES).encode(), "no row"),
    "empty lines": (b"\n\n\n", "empty"),
    "a name twice": (b"plan,plan\na,b\n", "twice"),
    "not UTF-8": (b"plan\n\xff\xfe\n", "UTF-8"),
    "UTF-16": ("plan\na\n".encode("utf-16"), "UTF-8"),
    "an open quotation": (b'plan\n"a\n', "line 2"),
    "text behind a quotation": (b'plan\n"a"b\n', "line 2"),
    "a huge cell": (b"plan\n" + b"x" * 200_000, "line 2"),
    "too many rows": (b"plan\n" + b"a\n" * 10_001, "more"),
    "too many columns": (",".join(f"c{i}" for i in range(200)).encode() + b"\n1\n", "200 columns"),
}


@pytest.mark.parametrize("case", REFUSED_CSV)
def test_a_body_that_is_no_csv_is_a_400(service: Service, case: str) -> None:
    body, said = REFUSED_CSV[case]
    refused = problem(service.post("/validate", body, headers={"content-type": "text/csv"}), 400)
    assert said in refused["detail"]


@pytest.mark.parametrize("content_type", ["text/csv", "Text/CSV; charset=utf-8"])
def test_csv_says_the_same_as_json(compared: Service, content_type: str) -> None:
    rows = rows_of(COLUMNS, 200, 11)
    rows[5]["sessions_30d"] = -3.0
    rows[6]["plan"] = "gold, 'new'"
    by_csv = of_csv(compared, table(rows), content_type)
    by_json = validated(compared, {"records": [{"attributes": row} for row in rows]})
    assert msgspec.structs.replace(by_csv, request_id="") == msgspec.structs.replace(by_json, request_id="")
    assert (by_csv.rows, by_csv.valid) == (200, 199)


CELLS = {
    "sessions_30d": {
        "5": None, "5.": None, ".5": None, "+5": None, "005": None, " 5 ": None, "5e1": None, "": "missing value",
        "five": "not a number", "0x10": "not a number", "1_0": "not a number", "\u0665": "not a number", "true": "not a number",
        "5,5": "not a number", "NaN": "not finite", "-inf": "not finite", "1e999": "not finite", "-1": "below the range",
        "1e6": "above the range", "9" * 100_000: "not a number", "9" * 399: "not finite",
    },
    "days_since_ticket": {"": None, "5": None, "-5": "below the range", "n/a": "not a number"},
    "plan": {"": "missing value", "pro": None, "5": None, "x" * 257: "text too long"},
}  # fmt: skip


@pytest.mark.parametrize(("column", "cell"), [(column, cell) for column, cells in CELLS.items() for cell in cells])
def test_a_cell_of_csv_is_read_by_the_columns_kind(service: Service, column: str, cell: str) -> None:
    validation = of_csv(service, table([{**ROW, column: cell}]))
    rule = CELLS[column][cell]
    assert found(validation) == (set() if rule is None else {(column, rule)})
    assert validation.valid == (rule is None)


def test_csv_may_have_an_id_a_byte_order_mark_any_order_and_any_line_ends(service: Service) -> None:
    rows = [{"customer_id": f"c{i}", **dict(reversed(row.items()))} for i, row in enumerate(ONLINE_ROWS[:5])]
    for text in (table(rows), table(rows).replace("\r\n", "\n"), "\ufeff" + table(rows), table(rows).replace("\r\n", "\r")):
        assert (of_csv(service, text).rows, of_csv(service, text).valid) == (5, 5)


def test_csv_with_other_columns_or_other_cells_is_reported(service: Service) -> None:
    line = ",".join("1" for _ in NAMES)
    header = ",".join(["other", *NAMES[1:]])
    validation = of_csv(service, f"{header}\n{line}\n{line},1\n1\n")
    assert (validation.rows, validation.valid) == (3, 0)
    assert found(validation) == {
        (None, "wrong number of cells"), ("other", "unknown column"), (NAMES[0], "missing column")
    }  # fmt: skip
    (cells,) = (finding for finding in validation.problems if finding.column is None)
    assert (cells.rows, cells.first_row) == (2, 1)


finite = st.floats(allow_nan=False, allow_infinity=False)
number_cells = (
    st.none() | finite | st.integers() | st.booleans() | st.text(max_size=5)
    | st.sampled_from([0, -0.0, 1000, 1000.0000001, 3.4028234663852886e38, 3.4028235677973366e38, 10**400, 2**64])
)  # fmt: skip
category_cells = st.none() | st.sampled_from(["basic", "", "x" * 256, "x" * 257, "ä" * 256, ":"]) | st.text(max_size=5)
changes = st.fixed_dictionaries(
    {}, optional={column.name: number_cells if column.kind == "number" else category_cells for column in COLUMNS}
)
likely_right = st.builds(
    lambda i, changed: {"attributes": {**ONLINE_ROWS[i], **changed}},
    st.integers(0, 49),
    st.dictionaries(st.sampled_from(NAMES), number_cells | category_cells, max_size=1),
)
records = st.lists(
    likely_right | changes.map(lambda changed: {"attributes": {**ROW, **changed}}) | nearly_right | json_values,
    min_size=1,
    max_size=6,
)


def encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except OverflowError:  # beyond 64 bits
        return json.dumps(value).encode()


@fuzzed
@given(rows=records, twice=st.booleans(), name=st.sampled_from(NAMES))
def test_the_valid_rows_are_exactly_those_that_a_prediction_accepts(
    service: Service, rows: list[Any], twice: bool, name: str
) -> None:
    bodies = [encoded(row) for row in rows]
    if twice:
        bodies.append(written(name, encoded(ROW[name]) + f',"{name}":'.encode() + encoded(ROW[name])))
    answers = [accepted(service, body) for body in bodies]
    alone = [of_records(service, body) for body in bodies]
    assert [one.valid for one in alone] == [int(answer) for answer in answers]
    assert all(bool(one.problems) != answer for one, answer in zip(alone, answers, strict=True))
    together = of_records(service, *bodies)
    assert (together.rows, together.valid) == (len(bodies), sum(answers))
    assert not any(finding.rule == "not accepted" for finding in together.problems)


@pytest.mark.parametrize("case", NOT_A_PREDICTION)
def test_a_record_that_no_prediction_takes_is_refused_or_not_valid(service: Service, case: str) -> None:
    response = service.post("/validate", b'{"records": [' + NOT_A_PREDICTION[case] + b"]}")
    if response.status_code == 200:
        assert response.json()["valid"] == 0
        assert response.json()["problems"]
    else:
        problem(response, 400)


@fuzzed
@given(body=st.binary(max_size=200), where=st.integers(0, 600), drop=st.integers(0, 50), as_csv=st.booleans())
def test_no_bytes_make_a_validation_fail(service: Service, body: bytes, where: int, drop: int, as_csv: bool) -> None:
    right = table(ONLINE_ROWS[:2]).encode() if as_csv else b'{"records": [' + single() + b"]}"
    headers = {"content-type": "text/csv"} if as_csv else {}
    response = service.post("/validate", right[:where] + body + right[where + drop :], headers=headers)
    assert response.status_code in {200, 400}
    if response.status_code == 400:
        problem(response, 400)


@fuzzed
@given(body=st.dictionaries(st.sampled_from(["records", "x"]), st.lists(json_values, max_size=4), max_size=2))
def test_no_json_makes_a_validation_fail(service: Service, body: Any) -> None:
    assert service.post("/validate", body).status_code in {200, 400}


@pytest.mark.parametrize("content_type", ["application/json", "text/csv"])
def test_a_body_above_the_limit_is_a_413(service: Service, content_type: str) -> None:
    headers = {"content-type": content_type}
    assert f"{LIMIT:,}" in problem(service.post("/validate", b" " * (LIMIT + 1), headers=headers), 413)["detail"]


def test_a_key_with_the_scope_of_predictions_is_needed(fresh: Service) -> None:
    body = {"records": [{"attributes": ROW}]}
    fresh.installation.make_key("reader", "read")
    fresh.installation.make_key("caller", "predict")
    fresh.until(lambda: fresh.post("/validate", body, key="caller").status_code == 200)
    problem(fresh.post("/validate", body, key=None), 401)
    problem(fresh.post("/validate", body, key="reader"), 403)


def test_before_the_first_release_there_is_nothing_to_fit(installation: Installation) -> None:
    with installation.serve() as service:
        refused = problem(service.post("/validate", {"records": [{"attributes": ROW}]}), 503)
    assert refused["type"] == "urn:churn:problem:no-release"


def test_a_validation_is_not_logged_and_not_counted_as_a_prediction(fresh: Service) -> None:
    assert of_records(fresh, single(plan="gold"), single()).valid == 2
    assert fresh.installation.spooled() == []
    assert fresh.metric("churn_predictions_total") == 0
    assert fresh.metric("churn_unknown_categories_total") == 0
    assert fresh.metric("churn_requests_total", route="/validate", status="200") == 1


def test_no_log_line_and_no_metric_holds_what_was_sent(
    tmp_path: Path, candidate: Candidate, capfd: pytest.CaptureFixture[str]
) -> None:
    with Installation.make(tmp_path, access_log_share=1.0) as installed, log_lines() as said:
        installed.release(candidate)
        with installed.serve() as service:
            of_records(service, single(plan=CANARY, sessions_30d=CANARY_NUMBER), single(**{CANARY: CANARY}))
            of_csv(service, table([{**ROW, "plan": CANARY, CANARY: CANARY_NUMBER}]))
            refused = [
                service.post("/validate", b'{"records": [' + single(plan=CANARY)),
                service.post("/validate", f"plan,plan\n{CANARY},1\n".encode(), headers={"content-type": "text/csv"}),
                service.post("/validate", f'plan\n"{CANARY}\n'.encode(), headers={"content-type": "text/csv"}),
            ]
            metrics = service.get("/metrics").text
    out, err = capfd.readouterr()
    for text in (out, err, said.getvalue(), metrics, *(problem(answer, 400)["detail"] for answer in refused)):
        assert CANARY not in text
        assert str(CANARY_NUMBER) not in text


def distribution(validation: Validation, column: str) -> Any:
    (one,) = (one for one in validation.distribution if one.column == column)
    return one


def test_rows_like_the_reference_do_not_move_the_index_and_others_do(compared: Service) -> None:
    same = rows_of(COLUMNS, 500, 21)
    moved = [{**row, "sessions_30d": row["sessions_30d"] + 60, "plan": "pro"} for row in same]
    as_before = validated(compared, {"records": [{"attributes": row} for row in same]})
    other = validated(compared, {"records": [{"attributes": row} for row in moved]})
    assert as_before.reference_rows == 1_000
    assert all(one.psi is not None and abs(one.psi) < 0.1 for one in as_before.distribution)
    assert distribution(other, "sessions_30d").psi > 1
    assert distribution(other, "plan").psi > 1
    assert abs(distribution(other, "country").psi) < 0.1


def test_the_index_is_the_one_of_the_graphs_drift_report(compared: Service) -> None:
    rows = [{**row, "sessions_30d": row["sessions_30d"] * 1.3} for row in rows_of(COLUMNS, 300, 22)]
    rows = [{**row, "plan": "gold"} if i % 7 == 0 else row for i, row in enumerate(rows)]
    validation = validated(compared, {"records": [{"attributes": row} for row in rows]})
    reference, window = pl.DataFrame(REFERENCE_ROWS, infer_schema_length=None), pl.DataFrame(rows, infer_schema_length=None)
    expected = [psi(reference[column.name], window[column.name], column) for column in COLUMNS]
    assert [one.psi for one in validation.distribution] == pytest.approx(expected, abs=1e-12)


def test_the_distribution_counts_what_is_missing_and_what_is_unseen(compared: Service) -> None:
    rows = rows_of(COLUMNS, 100, 23)
    for row in rows[:25]:
        row.update(days_since_ticket=None, plan="gold", paid_1_cents="no number")
    for row in rows[25:]:
        row.update(days_since_ticket=1.0)
    for row in rows[:10]:
        del row["country"]
    validation = validated(compared, {"records": [{"attributes": row} for row in rows]})
    ticket, plan, paid = (distribution(validation, name) for name in ("days_since_ticket", "plan", "paid_1_cents"))
    before = np.mean([row["days_since_ticket"] is None for row in REFERENCE_ROWS])
    assert (ticket.missing, ticket.missing_in_reference, ticket.unseen) == (0.25, pytest.approx(before), None)
    assert (plan.missing, plan.unseen) == (0, 0.25)
    assert (paid.rows, paid.missing, paid.psi) == (75, 0, None)
    assert distribution(validation, "country").missing == 0.1


def test_below_a_hundred_rows_there_is_no_index(compared: Service) -> None:
    validation = validated(compared, {"records": [{"attributes": row} for row in rows_of(COLUMNS, 99)]})
    assert all(one.psi is None and one.missing is not None for one in validation.distribution)


def test_a_reference_that_cannot_be_read_stops_no_release_and_no_validation(service: Service) -> None:
    validation = validated(service, {"records": [{"attributes": row} for row in rows_of(COLUMNS, 150)]})
    assert (validation.valid, validation.reference_rows) == (150, None)
    assert all(one.psi is None and one.missing_in_reference is None for one in validation.distribution)


def test_a_release_taken_from_local_disk_still_has_its_reference(compared: Service) -> None:
    again = compared.installation.bundle()
    assert read_reference(again.reference, again.manifest.signature).rows == 1_000


BAD_REFERENCES = {
    "no Parquet": b"PAR1 is not",
    "empty": b"",
    "no rows": parquet(pl.DataFrame(REFERENCE_ROWS, infer_schema_length=None).clear()),
    "a column is missing": parquet([{name: value for name, value in ROW.items() if name != "plan"}]),
    "text for a number": parquet([{**ROW, "sessions_30d": "five"}]),
}


@pytest.mark.parametrize("case", BAD_REFERENCES)
def test_a_bad_reference_is_a_release_error(case: str) -> None:
    with pytest.raises(ReleaseError, match="reference"):
        read_reference(BAD_REFERENCES[case], Signature(COLUMNS))


def test_a_reference_without_any_value_in_a_column_gives_an_index() -> None:
    rows = [{**row, "days_since_ticket": None} for row in REFERENCE_ROWS]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("days_since_ticket").cast(pl.Float64))
    reference = read_reference(parquet(frame), Signature(COLUMNS))
    (column,) = (column for column in COLUMNS if column.name == "days_since_ticket")
    assert reference.psi(column, [1.0] * 200) > 1
    assert abs(reference.psi(column, [None] * 200)) < 0.1


def test_the_documentation_shows_both_forms_and_the_columns(service: Service) -> None:
    api = service.get("/docs/openapi.json", key=None).json()
    body = api["paths"]["/validate"]["post"]["requestBody"]["content"]
    schemas = api["components"]["schemas"]
    assert set(body) == {"application/json", "text/csv"}
    assert body["application/json"]["schema"]["$ref"].endswith("/ValidateRequest")
    assert schemas["ValidateRequest"]["properties"]["records"] == schemas["BatchRequest"]["properties"]["records"]
    assert "unknown category" in str(schemas["Finding"])


def test_even_a_small_body_is_validated_beside_the_event_loop(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def noted(*asked: Any, **named: Any) -> Validation:
        names.append(threading.current_thread().name)
        return validate(*asked, **named)

    monkeypatch.setattr(routes, "validate", noted)
    of_records(service, single())
    assert names[0].startswith("batch")
