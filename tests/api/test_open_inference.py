"""The Open Inference Protocol V2 over HTTP: tensors in JSON and in binary, what is refused, and what the model says of itself."""

from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from churn_api.open_inference.tensors import OUTPUTS
from churn_store.releases.risk_bands import bands_of
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import Candidate, rows_of, small_columns, train

INFER = "/v2/models/churn/infer"
NUMBERS = [column.name for column in small_columns() if column.kind == "number"]
WORDS = [column.name for column in small_columns() if column.kind == "category"]
ROWS = ONLINE_ROWS[:4]


def json_tensors(rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    numbers = [row[name] for row in rows for name in NUMBERS]
    words = [row[name] for row in rows for name in WORDS]
    return {
        "inputs": [
            {"name": "numbers", "datatype": "FP64", "shape": [len(rows), len(NUMBERS)], "data": numbers},
            {"name": "categories", "datatype": "BYTES", "shape": [len(rows), len(WORDS)], "data": words},
        ],
        **changes,
    }


def binary(
    rows: list[dict[str, Any]], *, kind: str = "FP32", dtype: str = "<f4", **changes: Any
) -> tuple[bytes, dict[str, str]]:
    numbers = np.array([[row[name] for name in NUMBERS] for row in rows], dtype=float).astype(dtype).tobytes()
    words = b"".join(
        len(word).to_bytes(4, "little") + word for row in rows for word in (row[name].encode() for name in WORDS)
    )
    head = msgspec.json.encode(
        {
            "inputs": [
                {
                    "name": "numbers", "datatype": kind, "shape": [len(rows), len(NUMBERS)],
                    "parameters": {"binary_data_size": len(numbers)},
                },
                {
                    "name": "categories", "datatype": "BYTES", "shape": [len(rows), len(WORDS)],
                    "parameters": {"binary_data_size": len(words)},
                },
            ],
            **changes,
        }
    )  # fmt: skip
    return head + numbers + words, {"inference-header-content-length": str(len(head))}


def outputs(response: httpx.Response) -> dict[str, list[Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return {one["name"]: one["data"] for one in response.json()["outputs"]}


def scored(service: Service, rows: list[dict[str, Any]]) -> list[float]:
    return service.installation.bundle().scorer.score_rows(rows).tolist()


def test_tensors_in_json_are_answered_as_the_same_rows_elsewhere(service: Service) -> None:
    response = service.post(INFER, json_tensors(ROWS, id="mine"))
    body, found = response.json(), outputs(response)
    assert (body["model_name"], body["model_version"], body["id"]) == ("churn", "1", "mine")
    items = service.post("/predict/batch", {"records": [{"attributes": row} for row in ROWS]}).json()["predictions"]
    for name in ("probability", "churn", "risk_band"):
        assert found[name] == [item[name] for item in items]
    assert found["threshold"] == [0.5] * 4
    assert found["role"] == ["champion"] * 4
    assert body["parameters"]["release"] == response.headers["x-release"]
    assert [(one["datatype"], one["shape"]) for one in body["outputs"]] == [(kind, [4]) for kind in OUTPUTS.values()]


def test_rows_may_be_nested_and_whole_numbers(service: Service) -> None:
    asked = json_tensors(ROWS)
    for tensor, names in zip(asked["inputs"], (NUMBERS, WORDS), strict=True):
        tensor["data"] = [tensor["data"][start : start + len(names)] for start in range(0, len(tensor["data"]), len(names))]
    asked["inputs"][0]["datatype"] = "INT64"
    asked["inputs"][0]["data"] = [[None if one is None else int(one) for one in row] for row in asked["inputs"][0]["data"]]
    assert outputs(service.post(INFER, asked))["probability"] == pytest.approx(scored(service, ROWS), abs=1e-9)


@pytest.mark.parametrize(("kind", "dtype"), [("FP32", "<f4"), ("FP64", "<f8")])
def test_binary_tensors_are_read_and_answered(service: Service, kind: str, dtype: str) -> None:
    body, headers = binary(ROWS, kind=kind, dtype=dtype, parameters={"binary_data_output": True})
    response = service.post(INFER, body, headers=headers)
    assert response.headers["content-type"] == "application/octet-stream"
    size = int(response.headers["inference-header-content-length"])
    told, rest = msgspec.json.decode(response.content[:size]), response.content[size:]
    sizes = {one["name"]: one["parameters"]["binary_data_size"] for one in told["outputs"]}
    assert sum(sizes.values()) == len(rest)
    assert np.frombuffer(rest[: sizes["probability"]], "<f8").tolist() == pytest.approx(scored(service, ROWS), abs=1e-9)
    assert all("data" not in one for one in told["outputs"])


def test_some_outputs_some_of_them_in_binary(service: Service) -> None:
    asked = json_tensors(ROWS, outputs=[{"name": "churn", "parameters": {"binary_data": True}}, {"name": "risk_band"}])
    response = service.post(INFER, asked)
    size = int(response.headers["inference-header-content-length"])
    churn, band = msgspec.json.decode(response.content[:size])["outputs"]
    expected = scored(service, ROWS)
    assert churn == {"name": "churn", "datatype": "BOOL", "shape": [4], "parameters": {"binary_data_size": 4}}
    assert list(response.content[size:]) == [probability >= 0.5 for probability in expected]
    bands = bands_of(service.installation.manifest())
    assert band["data"] == [bands.of(probability) for probability in expected]


def test_a_missing_number_is_nan_or_null_and_a_missing_word_the_empty_text(installation: Installation) -> None:
    columns = tuple(
        msgspec.structs.replace(
            column, nullable=column.name in {"days_since_ticket", "plan"}, categories=("", *column.categories)
        )
        if column.kind == "category"
        else column
        for column in small_columns()
    )
    installation.release(train(columns))
    rows = [{**row, "days_since_ticket": None, "plan": ""} for row in ROWS]
    with installation.serve() as service:
        told = service.get("/v2/models/churn").json()["inputs"]
        assert told[0]["parameters"]["nullable"] == ["days_since_ticket"]
        assert "NaN in binary, null in JSON" in told[0]["parameters"]["missing"]
        assert (told[1]["parameters"]["nullable"], told[1]["parameters"]["missing"]) == (["plan"], "the empty text")
        expected = scored(service, [{**row, "plan": None} for row in rows])
        assert outputs(service.post(INFER, json_tensors(rows)))["probability"] == pytest.approx(expected, abs=1e-9)
        body, headers = binary(rows)
        assert outputs(service.post(INFER, body, headers=headers))["probability"] == pytest.approx(expected, abs=1e-9)
        assert [line["features"]["plan"] for line in installation.spooled()] == [None] * 8


def test_the_answers_are_logged_with_the_customer_s_ids_and_split_as_elsewhere(
    installation: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    installation.release(candidate)
    installation.put_online()
    installation.challenge(other_candidate, 0.5)
    ids = [f"c{i}" for i in range(20)]
    asked = json_tensors(ONLINE_ROWS[:20])
    asked["inputs"].append({"name": "customer_id", "datatype": "BYTES", "shape": [20], "data": [*ids[:-1], ""]})
    with installation.serve() as service:
        service.until(lambda: service.get("/model/version").json()["challenger"])
        roles = [service.get(f"/predict/{one}").json()["model"]["role"] for one in ids]
        response = service.post(INFER, asked)
        found = outputs(response)
        spooled = installation.spooled()
    assert found["role"] == [*roles[:-1], "champion"]
    assert set(found["role"]) == {"champion", "challenger"}
    lines = {line["item"]: line for line in spooled if line["request_id"] == response.json()["parameters"]["prediction_id"]}
    assert [lines[item]["customer_id"] for item in range(20)] == [*ids[:-1], None]
    assert [lines[item]["probability"] for item in range(20)] == found["probability"]
    assert [lines[item]["features"] for item in range(20)] == ONLINE_ROWS[:20]


def test_many_rows_are_answered_in_a_thread_and_too_many_are_refused(service: Service) -> None:
    rows = rows_of(small_columns(), 2_000, seed=3)
    assert outputs(service.post(INFER, json_tensors(rows)))["probability"] == pytest.approx(scored(service, rows), abs=1e-9)
    refused = problem(service.post(INFER, json_tensors(rows * 6)), 400)
    assert "1 to 10000 rows" in refused["detail"]


def changed(change: Any) -> dict[str, Any]:
    asked = json_tensors(ROWS)
    change(asked)
    return asked


def tensor(place: int, **fields: Any) -> dict[str, Any]:
    return changed(lambda asked: asked["inputs"][place].update(fields))


def value(place: int, at: int, new: Any) -> dict[str, Any]:
    return changed(lambda asked: asked["inputs"][place]["data"].__setitem__(at, new))


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"tensor", "is not JSON"),
    "no inputs": ({"inputs": []}, "at least 1"),
    "another name": (tensor(0, name="geheim"), "expected the tensors numbers and categories"),
    "a tensor missing": (changed(lambda asked: asked["inputs"].pop()), "expected the tensors numbers and categories"),
    "a tensor twice": (changed(lambda asked: asked["inputs"].append(asked["inputs"][0])), "a tensor is there twice"),
    "another datatype": (tensor(0, datatype="FP16"), "expected one of FP32"),
    "words of another datatype": (tensor(1, datatype="FP32"), "expected BYTES"),
    "another width": (tensor(0, shape=[4, 3]), "another shape"),
    "another height": (tensor(0, shape=[5, 15]), "different numbers of rows"),
    "too few values": (changed(lambda asked: asked["inputs"][0]["data"].pop()), "another number of values"),
    "a shape of decimal numbers": (tensor(0, shape=[4.0, 15]), "expected an integer such as 15; found a number with a decimal point"),
    "a negative shape": (tensor(0, shape=[-4, 15]), "expected"),
    "three dimensions": (tensor(0, shape=[4, 15, 1]), "at most"),
    "no data": (changed(lambda asked: asked["inputs"][0].pop("data")), "neither data nor binary_data_size"),
    "bytes without a header": (tensor(0, parameters={"binary_data_size": 10}), "whose length a header says"),
    "a text for a number": (value(0, 3, "geheim"), "values of another kind"),
    "a number for a text": (value(1, 1, 3), "values of another kind"),
    "below the range": (value(0, 15, -1), "attribute sessions_30d: expected a number >= 0 and <= 1000; found a number out of range"),
    "beyond 32 bits": (value(0, 1, 1e39), "attribute paid_0_cents"),
    "missing where needed": (value(0, 15, None), "attribute sessions_30d: expected a number >= 0 and <= 1000; it is missing"),
    "a word missing": (value(1, 0, ""), "attribute plan: expected text; it is missing"),
    "a long word": (value(1, 0, "x" * 257), "attribute plan: expected text of at most 256"),
    "NUL": (value(1, 0, "a\0"), "attribute plan: expected text of at most 256"),
    "an unknown output": ({**json_tensors(ROWS), "outputs": [{"name": "geheim"}]}, "expected some of probability"),
    "classes": (
        {**json_tensors(ROWS), "outputs": [{"name": "probability", "parameters": {"classification": 2}}]}, "classification",
    ),
    "an unknown name": ({**json_tensors(ROWS), "geheim": 1}, "a name that is not expected here"),
    "a name twice": (msgspec.json.encode(json_tensors(ROWS))[:-1] + b',"id":"a","id":"b"}', "occurs twice"),
    "brackets": (b'{"inputs": [{"name": "numbers", "shape": [1, 15], "datatype": "FP64", "data": ' + b"[" * 100_000, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_by_tensor_row_and_column_without_a_value(service: Service, case: str) -> None:
    body, said = WRONG[case]
    before = len(service.installation.spooled())
    found = problem(service.post(INFER, body), 400)
    assert said in found["detail"]
    assert found["error"] == found["detail"]
    assert "geheim" not in str(found)
    assert len(service.installation.spooled()) == before


@pytest.mark.parametrize("size", ["", "x", "-1", "1e3", "9" * 13, "999999"])
def test_a_length_of_the_json_that_can_not_be_is_refused(service: Service, size: str) -> None:
    body, _ = binary(ROWS)
    assert "error" in problem(service.post(INFER, body, headers={"inference-header-content-length": size}), 400)


@pytest.mark.parametrize("cut", [-1, -5, 3])
def test_bytes_that_are_cut_off_or_too_many_are_refused(service: Service, cut: int) -> None:
    body, headers = binary(ROWS)
    problem(service.post(INFER, body[:cut] if cut < 0 else body + b"\0" * cut, headers=headers), 400)


def test_bytes_that_are_no_text_are_refused(service: Service) -> None:
    body, headers = binary([{**row, "plan": "ä"} for row in ROWS])
    assert (
        "no UTF-8" in problem(service.post(INFER, body.replace("ä".encode(), b"\xff\xff"), headers=headers), 400)["detail"]
    )


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_body_is_415(service: Service, encoding: str) -> None:
    found = problem(service.post(INFER, b"x", headers={"content-encoding": encoding}), 415)
    assert found["error"] == found["detail"]


def test_errors_have_the_member_error_here_and_nowhere_else(service: Service) -> None:
    for response, status in (
        (service.post(INFER, b"", key=None), 401),
        (service.get("/v2/models/other"), 404),
        (service.get("/v2/models/churn/versions/9"), 404),
        (service.post("/v2/models/churn/versions/9/infer", json_tensors(ROWS)), 404),
        (service.get("/v2/nothing"), 404),
    ):
        found = problem(response, status)
        assert found["error"] == found["detail"]
    assert "error" not in problem(service.get("/predict/nobody"), 404)


def test_the_model_says_its_tensors_and_follows_a_newer_release(fresh: Service) -> None:
    told = fresh.get("/v2/models/churn").json()
    assert (told["name"], told["versions"], told["platform"]) == ("churn", ["1"], "onnxruntime_onnx")
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [
        ("numbers", "FP32", [-1, 15]), ("categories", "BYTES", [-1, 3]), ("customer_id", "BYTES", [-1]),
    ]  # fmt: skip
    assert [one["parameters"].get("columns") for one in told["inputs"]] == [NUMBERS, WORDS, None]
    assert {one["name"]: one["datatype"] for one in told["outputs"]} == OUTPUTS
    fresh.installation.release(train(small_columns(numbers=5)))
    fresh.until(lambda: fresh.get("/v2/models/churn").json()["versions"] == ["2"])
    assert fresh.get("/v2/models/churn").json()["inputs"][0]["shape"] == [-1, 5]
    problem(fresh.get("/v2/models/churn/versions/1/ready", key=None), 404)
    assert fresh.get("/v2/models/churn/versions/2/ready", key=None).json() == {"name": "churn", "ready": True}


def test_before_the_first_release_nothing_is_ready_but_the_process_lives(
    installation: Installation, candidate: Candidate
) -> None:
    with installation.serve() as service:
        assert service.get("/v2/health/live", key=None).json() == {"live": True}
        assert service.get("/v2", key=None).json()["extensions"] == ["binary_tensor_data"]
        for path in ("/v2/health/ready", "/v2/models/churn/ready"):
            response = service.get(path, key=None)
            assert (response.status_code, response.json()["ready"]) == (503, False)
        assert problem(service.post(INFER, json_tensors(ROWS)), 503)["error"]
        installation.release(candidate)
        service.until(lambda: service.get("/v2/health/ready", key=None).status_code == 200)
        assert service.get("/v2/models/churn/ready", key=None).json()["ready"] is True
        assert outputs(service.post(INFER, json_tensors(ROWS)))
