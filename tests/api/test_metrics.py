"""What Prometheus reads of one worker: its names by convention, and the names that dashboards look for."""

import shutil
import subprocess

import pytest

from tests.api.conftest import ONLINE_ROWS, Service

BODY = {"customer_id": "c0", "attributes": ONLINE_ROWS[0]}


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's package prometheus")
def test_promtool_finds_nothing_to_say(fresh: Service) -> None:
    fresh.post("/predict", BODY)
    fresh.get("/predict/nobody")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=fresh.get("/metrics").text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_names_that_dashboards_look_for_count_what_ours_count(fresh: Service) -> None:
    for _ in range(3):
        fresh.post("/predict", BODY)
    fresh.get("/predict/nobody")
    fresh.get("/nowhere")
    fresh.post("/predict/batch", {"customer_ids": ["c1", "c2"]})
    assert fresh.metric("predictions_total") == fresh.metric("churn_predictions_total") == 5
    assert fresh.metric("prediction_requests_total") == fresh.metric("prediction_latency_seconds_count") == 5
    assert fresh.metric("prediction_errors_total", status="404") == fresh.metric("prediction_errors_total") == 1
    assert fresh.metric("api_errors_total") == 2
    assert fresh.metric("prediction_latency_seconds_sum") == pytest.approx(
        sum(
            fresh.metric("churn_request_seconds_sum", route=route)
            for route in ("/predict", "/predict/batch", "/predict/{customer_id}")
        )
    )


@pytest.mark.parametrize(
    "name",
    ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"],
)
def test_the_process_is_measured_under_the_number_of_its_worker(service: Service, name: str) -> None:
    assert service.metric(name, worker="1") > 0
