"""Each invariant of the simulated year is red when what it guards is broken, and green before."""

import dataclasses
from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.test_utils import create_run_for_test

from churn_assets.automation.jobs import FEATURES
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG, PARTITION_NAME_TAG
from churn_assets.orchestration.lost_periods import FILES_TAG
from churn_assets.orchestration.run_history import CAUSE
from churn_store.database.schema import prediction_log, releases
from tests.year import invariants
from tests.year.invariants import INVARIANTS, BrokenError, assert_invariants
from tests.year.steps import service_looks
from tests.year.world import Templates, World

pytestmark = [pytest.mark.year, pytest.mark.timeout(1_800)]

MAY, JUNE = "2024-05-01", "2024-06-01"


@pytest.fixture
def world(templates: Templates) -> Iterator[World]:
    """A company with its first release, whose service has answered and shipped."""
    with templates.begin(templates.begins[-1]) as world:
        assert "answers 3 customers" in service_looks(world)
        world.service.ship()
        assert_invariants(world)
        yield world


def write(
    world: World, table: str, rows: pl.DataFrame, *, period: str = JUNE, recorded_as: pl.DataFrame | None = None
) -> None:
    """Write other rows of a period, and tell Dagster as an asset does; `recorded_as` are the rows that Dagster is told of."""
    done = world.lake.replace(table, {period: rows}, run_id="by hand")
    version = digest_at(table, rows if recorded_as is None else recorded_as)
    tags = {DATA_VERSION_TAG: version, FILES_TAG: done.files[period]}
    world.daemon.instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=period, tags=tags))


def another_release_serves(world: World) -> None:
    current = world.service.poller.current
    assert current is not None
    world.service.poller.current = dataclasses.replace(current, row=dataclasses.replace(current.row, champion="0" * 64))


def an_answer_is_another(world: World) -> None:
    service_looks(world)
    world.service.answers[-1] = dataclasses.replace(world.service.answers[-1], probability=0.123)


def a_release_file_is_changed(world: World) -> None:
    files = [file for file in (world.folder / ".churn" / "releases").rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"x")


def history_is_rewritten(world: World) -> None:
    with world.serving.engine.begin() as connection:
        connection.execute(sa.update(releases).values(reason="another"))


def a_customer_is_dropped(world: World) -> None:
    write(world, "customer_features", world.lake.read("customer_features", JUNE)[1:])


def a_customer_is_there_twice(world: World) -> None:
    rows = world.lake.read("churn_labels", MAY)
    write(world, "churn_labels", pl.concat([rows, rows[:1]]), period=MAY)


def a_prediction_is_lost(world: World) -> None:
    with world.serving.engine.begin() as connection:
        connection.execute(
            sa.delete(prediction_log).where(prediction_log.c.request_id == world.service.answers[0].prediction_id)
        )


def a_broken_gate_has_released(world: World) -> None:
    world.gate_faults.add(world.releases[0].actor.removeprefix("dagster run "))


def an_amount_is_read_wrong(world: World) -> None:
    write(world, "payments", world.lake.read("payments", JUNE).with_columns(pl.col("amount_cents") + 1))


def rows_are_not_those_recorded(world: World) -> None:
    rows = world.lake.read("churn_labels", MAY)
    write(world, "churn_labels", rows.with_columns(~pl.col("churned")), period=MAY, recorded_as=rows)


def run_of(world: World, status: dg.DagsterRunStatus) -> None:
    tags = {CAUSE: "the same", PARTITION_NAME_TAG: JUNE}
    create_run_for_test(world.daemon.instance, job_name=FEATURES, status=status, tags=tags)


def a_cancelled_run_comes_back(world: World) -> None:
    run_of(world, dg.DagsterRunStatus.CANCELED)
    run_of(world, dg.DagsterRunStatus.SUCCESS)


def two_runs_work_on_a_period(world: World) -> None:
    run_of(world, dg.DagsterRunStatus.STARTED)
    run_of(world, dg.DagsterRunStatus.STARTING)


def a_run_fails_in_quiet_weather(world: World) -> None:
    run_of(world, dg.DagsterRunStatus.FAILURE)


def a_tick_fails_in_quiet_weather(world: World) -> None:
    world.daemon.tick_errors.append("ValueError")


def a_check_is_bound_to_another_period(world: World) -> None:
    instance = world.daemon.instance
    [other] = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("churn_labels"), asset_partitions=["2024-05-01"]), limit=1
    ).records
    target = AssetCheckEvaluationTargetMaterializationData(
        run_id=other.run_id, storage_id=other.storage_id, timestamp=other.timestamp
    )
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("churn_labels"), check_name="nulls", passed=True, partition=JUNE, target_materialization_data=target
        )
    )  # fmt: skip


BREAKS: list[tuple[Callable[[World], None], Callable[[World], None]]] = [
    (another_release_serves, invariants.one_verified_release_answers),
    (an_answer_is_another, invariants.one_verified_release_answers),
    (a_release_file_is_changed, invariants.releases_are_whole_and_blessed),
    (history_is_rewritten, invariants.history_only_grows),
    (a_customer_is_dropped, invariants.built_twice_is_the_same),
    (a_customer_is_there_twice, invariants.built_twice_is_the_same),
    (a_prediction_is_lost, invariants.no_answer_is_lost),
    (a_customer_is_dropped, invariants.features_know_nothing_later),
    (a_broken_gate_has_released, invariants.a_fault_in_the_gate_promotes_nothing),
    (an_amount_is_read_wrong, invariants.rows_are_read_as_delivered),
    (rows_are_not_those_recorded, invariants.lake_is_as_recorded),
    (a_cancelled_run_comes_back, invariants.nothing_is_asked_for_twice),
    (two_runs_work_on_a_period, invariants.a_period_is_worked_on_once),
    (a_run_fails_in_quiet_weather, invariants.intended_skips_are_no_failures),
    (a_tick_fails_in_quiet_weather, invariants.intended_skips_are_no_failures),
    (a_check_is_bound_to_another_period, invariants.a_check_belongs_to_its_period),
]


@pytest.mark.parametrize(("breaks", "holds"), BREAKS, ids=lambda function: function.__name__)
def test_an_invariant_is_red_where_it_is_broken(
    world: World, breaks: Callable[[World], None], holds: Callable[[World], None]
) -> None:
    holds(world)
    breaks(world)
    with pytest.raises(BrokenError):
        holds(world)


def test_every_invariant_has_been_seen_red() -> None:
    assert {holds for _, holds in BREAKS} == set(INVARIANTS)
