"""Values between assets: JSON that comes back as it went, and one sentence where it is not there or has another form."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest

from churn_assets.automation.runner import why
from churn_assets.orchestration.failure_policy import RETRY, WRONG_INPUT_TAG
from churn_assets.orchestration.json_values import json_values


class Weight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that an asset passes on."""

    kilograms: float


class Sprung:
    """Writes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "sprung")


SEEN: list[Weight] = []


@dg.asset
def weight() -> Weight:
    return Weight(0.1 + 0.2)


@dg.asset
def scale(weight: Weight) -> None:
    SEEN.append(weight)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(instance: dg.DagsterInstance, *assets: str) -> dg.ExecuteInProcessResult:
    defs = dg.Definitions(
        [weight, scale],
        jobs=[dg.define_asset_job("weigh", selection=list(assets), op_retry_policy=RETRY)],
        resources={"io_manager": json_values},
    )
    return defs.resolve_job_def("weigh").execute_in_process(instance=instance, raise_on_error=False)


def file_of(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory()) / "weight.json"


def test_a_value_comes_back_in_the_same_run_and_in_a_later_one(instance: dg.DagsterInstance) -> None:
    SEEN.clear()
    assert run(instance, "weight", "scale").success
    assert run(instance, "scale").success
    assert [Weight(0.1 + 0.2)] * 2 == SEEN
    assert msgspec.json.decode(file_of(instance).read_bytes()) == {"kilograms": 0.1 + 0.2}
    assert [path.name for path in file_of(instance).parent.iterdir()] == ["weight.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the value of weight is not there"),
        (b"", "the value of weight can't be read"),
        (b'{"kilograms": "3"}', "the value of weight can't be read"),
        (b'{"kilograms": 3, "grams": 1}', "the value of weight can't be read"),
        (b"\x80\x04\x95", "the value of weight can't be read"),
    ],
)
def test_a_value_that_is_not_there_or_of_another_form_ends_the_run_at_once_with_what_to_do(
    instance: dg.DagsterInstance, content: bytes | None, said: str
) -> None:
    if content is not None:
        file_of(instance).parent.mkdir(parents=True, exist_ok=True)
        file_of(instance).write_bytes(content)
    result = run(instance, "scale")
    assert not result.success
    sentence, is_input = why(result)
    assert re.fullmatch(rf"{said} \(.*materialize weight again", sentence)
    assert is_input
    assert WRONG_INPUT_TAG in result.dagster_run.tags or WRONG_INPUT_TAG in instance.get_runs()[0].tags
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_what_an_older_version_left_under_the_same_name_is_not_read(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    import pickle  # noqa: PLC0415 - what the older version wrote

    trap = pickle.dumps(Sprung(tmp_path / "sprung"))
    file_of(instance).parent.mkdir(parents=True, exist_ok=True)
    file_of(instance).with_suffix("").write_bytes(trap)
    assert "the value of weight is not there" in why(run(instance, "scale"))[0]
    assert run(instance, "weight", "scale").success
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)  # noqa: S301 - the trap works
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "value", [3, "words", {"a": 1}, object(), Weight(float("nan"))], ids=["number", "text", "mapping", "object", "nan"]
)
def test_what_is_no_struct_or_does_not_come_back_is_not_stored(instance: dg.DagsterInstance, value: Any) -> None:
    @dg.asset(name="weight")
    def heavy() -> Any:
        return value

    result = dg.materialize([heavy], instance=instance, resources={"io_manager": json_values}, raise_on_error=False)
    assert not result.success
    assert not file_of(instance).exists()
