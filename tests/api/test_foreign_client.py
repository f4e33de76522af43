"""NVIDIA's own client of the Open Inference Protocol asks the service over a real socket."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import Process, serving
from tests.api.test_open_inference import NUMBERS, WORDS
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

ROWS = ONLINE_ROWS[:5]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[tuple[Installation, Process]]:
    home = tmp_path_factory.mktemp("triton")
    with Installation.make(home, ship_s=0.1) as made:
        made.release(candidate)
        made.put_online()
        with serving(home) as process:
            process.until("/health/ready", 200)
            yield made, process


@pytest.fixture
def client(served: tuple[Installation, Process]) -> Iterator[Any]:
    made = triton.InferenceServerClient(f"127.0.0.1:{served[1].port}")
    yield made
    made.close()


@pytest.fixture
def key(served: tuple[Installation, Process]) -> dict[str, str]:
    return {"X-API-Key": served[0].keys["both"].key}


def inputs(*, binary: bool, rows: list[dict[str, Any]] = ROWS) -> list[Any]:
    numbers = triton.InferInput("numbers", [len(rows), len(NUMBERS)], "FP32")
    numbers.set_data_from_numpy(
        np.array([[row[name] for name in NUMBERS] for row in rows], dtype=np.float32), binary_data=binary
    )
    words = triton.InferInput("categories", [len(rows), len(WORDS)], "BYTES")
    words.set_data_from_numpy(np.array([[row[name] for name in WORDS] for row in rows], dtype=object), binary_data=binary)
    return [numbers, words]


def test_it_finds_the_service_and_the_model_ready(client: Any, key: dict[str, str]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn")
    assert client.is_model_ready("churn", "1")
    assert not client.is_model_ready("churn", "2")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.get_model_metadata("churn", headers=key)["versions"] == ["1"]
    assert client.get_model_metadata("churn", "1", headers=key)["inputs"][0]["parameters"]["columns"] == NUMBERS


@pytest.mark.parametrize("version", ["", "1"])
@pytest.mark.parametrize("binary", [True, False])
def test_it_is_answered_with_the_release_s_own_scores(
    client: Any, key: dict[str, str], served: tuple[Installation, Process], binary: bool, version: str
) -> None:
    rows = (
        [{**row, "days_since_ticket": 3.0} for row in ROWS] if not binary else ROWS
    )  # this client writes NaN into its JSON
    expected = served[0].bundle().scorer.score_rows(rows).tolist()
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("probability", "risk_band")]
    for outputs in (None, wanted):
        found = client.infer(
            "churn", inputs(binary=binary, rows=rows), version, outputs=outputs, request_id="mine", headers=key
        )
        assert found.as_numpy("probability").tolist() == pytest.approx(expected, abs=1e-6)
        assert found.get_response()["id"] == "mine"
        bands = [word.decode() if isinstance(word, bytes) else word for word in found.as_numpy("risk_band")]
        assert set(bands) <= {"low", "medium", "high", "critical"}
        assert len(bands) == len(rows)
    everything = client.infer("churn", inputs(binary=binary, rows=rows), headers=key)
    assert everything.as_numpy("churn").tolist() == [one >= 0.5 for one in expected]


def test_it_reads_the_refusals(client: Any, key: dict[str, str]) -> None:
    with pytest.raises(InferenceServerException, match="API key"):
        client.infer("churn", inputs(binary=True))
    wrong = [{**row, "sessions_30d": -1.0} for row in ROWS]
    with pytest.raises(InferenceServerException, match="attribute sessions_30d: expected a number >= 0"):
        client.infer("churn", inputs(binary=True, rows=wrong), headers=key)
    with pytest.raises(InferenceServerException, match="is compressed"):
        client.infer("churn", inputs(binary=True), headers=dict(key), request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match="version 1 does"):
        client.infer("churn", inputs(binary=True), "7", headers=key)


def test_its_predictions_are_in_the_log(client: Any, key: dict[str, str], served: tuple[Installation, Process]) -> None:
    name = client.infer("churn", inputs(binary=True), headers=key).get_response()["parameters"]["prediction_id"]

    def logged() -> list[dict[str, Any]]:
        return [row for row in served[0].logged() if row["request_id"] == name]

    end = time.monotonic() + 20
    while len(logged()) < len(ROWS) and time.monotonic() < end:
        time.sleep(0.1)
    assert [row["item"] for row in logged()] == list(range(len(ROWS)))
