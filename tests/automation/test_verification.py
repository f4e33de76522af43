"""The daily verification as a job: what it found stands in its run, and a lake that lost something fails it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test

from churn_assets.automation.verification import VERIFY, verify_lake, verify_schedule
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.lost_periods import FILES_TAG, lost

pytestmark = pytest.mark.integration

JAN, FEB = "2024-01-01", "2024-02-01"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path, instance: dg.DagsterInstance) -> Lake:
    """Two periods of payments, as they were written."""
    made = Lake(str(tmp_path / "lake"))
    for period in (JAN, FEB):
        rows = pl.DataFrame({"payment_id": [f"{period}-{n}" for n in range(4)], "amount_cents": [100] * 4})
        done = made.replace("payments", {period: rows}, run_id="r")
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                "payments",
                partition=period,
                metadata={"dagster/row_count": 4},
                tags={DATA_VERSION_TAG: digest_at("payments", rows), FILES_TAG: done.files[period]},
            )
        )
    return made


def run(instance: dg.DagsterInstance, lake: Lake) -> dg.ExecuteInProcessResult:
    return verify_lake.execute_in_process(instance=instance, resources={"lake": lake}, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the step says in the UI, of its output or of its failure."""
    for event in result.all_events:
        if event.is_successful_output:
            return {name: value.value for name, value in event.step_output_data.metadata.items()}
        if event.is_step_failure and (said := event.step_failure_data.user_failure_data) is not None:
            return {name: value.value for name, value in said.metadata.items()} | {"said": said.description}
    raise AssertionError("the step said nothing")


def test_a_lake_that_is_as_it_was_written_says_how_much_was_read(instance: dg.DagsterInstance, lake: Lake) -> None:
    result = run(instance, lake)
    assert result.success
    assert metadata(result) == {
        "periods": 2,
        "lost": 0,
        "tables": "| table | periods | found |\n|---|---|---|\n| payments | 2 | as written |",
    }


def test_other_bytes_in_a_file_fail_the_run_and_block_the_period(instance: dg.DagsterInstance, lake: Lake) -> None:
    [stored] = (lake.files("payments") or {})[FEB]
    file = Path(lake.uri("payments")) / stored.path
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(bytes(content))
    assert lost(instance, lake, "payments") == {}, "the sizes are equal, so only the rows can tell"

    result = run(instance, lake)
    assert not result.success
    said = metadata(result)
    assert (said["periods"], said["lost"]) == (2, 1)
    assert f"payments {FEB} is lost" in str(said["said"])
    assert f"{FEB}: " in str(said["tables"])
    assert list(lost(instance, lake, "payments")) == [FEB]


def test_the_schedule_asks_once_also_after_days_off(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    schedule = verify_schedule("shop", str(tmp_path / "lake"))

    def asked() -> tuple[int, str | None]:
        with dg.build_schedule_context(instance=instance) as context:
            found = schedule.evaluate_tick(context)
        return len(found.run_requests or []), found.skip_message

    assert asked() == (1, None)
    create_run_for_test(instance, job_name=VERIFY, status=dg.DagsterRunStatus.STARTED)
    assert asked() == (0, "a verification is under way")
