"""What counts as asked for already, by tables of cases, on a real instance."""

from datetime import date
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST, RETRAIN
from churn_assets.automation.runner import FINGERPRINT
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.partitions import partitions_of
from churn_assets.orchestration.run_history import (
    ATTEMPTS,
    CAUSE,
    OLDER_CAUSE,
    REASON,
    asked_for,
    attempts,
    failures,
    is_under_way,
    run_key,
)
from churn_assets.periods import Calendar
from tests.automation.backfills import launch_backfill

MONTHS = Calendar("monthly", date(2024, 1, 1))
JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"
AFTERWARDS_S = 1.8e9
Status = dg.DagsterRunStatus


@pytest.mark.parametrize(
    ("job", "cause", "status", "asked"),
    [
        (INGEST, "this", Status.SUCCESS, True),
        (INGEST, "this", Status.FAILURE, False),  # it may pass by itself
        (INGEST, "this", Status.CANCELED, True),
        (INGEST, "another", Status.SUCCESS, False),
        (INGEST, "another", Status.FAILURE, False),
        (INGEST, "another", Status.STARTING, True),
        (INGEST, "another", Status.STARTED, True),
        (INGEST, "this", Status.NOT_STARTED, False),
        (FEATURES, "this", Status.STARTED, False),
    ],
)
def test_a_period_is_asked_for_once_a_cause_and_never_while_a_run_is_under_way_with_it(
    job: str, cause: str, status: dg.DagsterRunStatus, asked: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=job, status=status, tags={CAUSE: cause, RANGE_START: JAN, RANGE_END: FEB})
        create_run_for_test(instance, job_name=job, status=status, tags={CAUSE: cause, "dagster/partition": MAR})
        assert asked_for(instance, MONTHS, INGEST, "this") == ({JAN, FEB, MAR} if asked else set())


def test_a_period_whose_input_was_wrong_is_not_asked_for_again_until_its_cause_changes() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {CAUSE: "this", "dagster/partition": JAN, WRONG_INPUT_TAG: "true"}
        create_run_for_test(instance, job_name=INGEST, status=Status.FAILURE, tags=tags)
        assert asked_for(instance, MONTHS, INGEST, "this") == {JAN}
        assert asked_for(instance, MONTHS, INGEST, "another") == set()
        assert failures(instance, INGEST, "this") == (1, True)


def test_a_cause_is_given_up_after_its_attempts_have_failed() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for attempt in range(ATTEMPTS):
            assert asked_for(instance, MONTHS, INGEST, "this") == set()
            assert failures(instance, INGEST, "this") == (attempt, False)
            tags = {CAUSE: "this", "dagster/partition": JAN}
            create_run_for_test(instance, job_name=INGEST, status=Status.FAILURE, tags=tags)
        assert asked_for(instance, MONTHS, INGEST, "this") == {JAN}
        assert failures(instance, INGEST, "this") == (ATTEMPTS, True)


def test_a_retraining_is_under_way_until_it_has_finished() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not is_under_way(instance, RETRAIN)
        run = create_run_for_test(instance, job_name=RETRAIN, status=Status.STARTED)
        assert is_under_way(instance, RETRAIN)
        instance.report_run_canceled(run)
        assert not is_under_way(instance, RETRAIN)


def test_a_run_key_differs_by_job_and_by_cause() -> None:
    keys = [run_key(RETRAIN, "drift", "1"), run_key(RETRAIN, "drift", "2"), run_key(INGEST, "drift", "1")]
    assert len(set(keys)) == len(keys)
    assert run_key(RETRAIN, "drift", "1") == keys[0]


@pytest.mark.parametrize("tag", [CAUSE, OLDER_CAUSE])
def test_what_an_older_version_has_asked_for_is_not_asked_for_again(tag: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=INGEST, status=Status.SUCCESS, tags={tag: "this", "dagster/partition": JAN})
        create_run_for_test(instance, job_name=INGEST, status=Status.FAILURE, tags={tag: "other", WRONG_INPUT_TAG: "true"})
        assert asked_for(instance, MONTHS, INGEST, "this") == {JAN}
        assert failures(instance, INGEST, "other") == (1, True)


def test_the_dagster_ui_shows_the_reason_before_the_digests() -> None:
    assert sorted([CAUSE, FINGERPRINT, REASON])[0] == REASON == "churn/reason"


@pytest.mark.parametrize(
    ("status", "tags", "waits"),
    [
        (Status.FAILURE, {"dagster/will_retry": "true"}, True),
        (Status.FAILURE, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": "r"}, False),
        (Status.FAILURE, {"dagster/will_retry": "false"}, False),
        (Status.FAILURE, {}, True),  # Dagster says it a moment after the failure
        (Status.FAILURE, {"dagster/will_retry": "true", "dagster/backfill": "b"}, False),  # only if the backfill goes on
        (Status.NOT_STARTED, {"dagster/retry_number": "1"}, True),
        (Status.NOT_STARTED, {}, False),
    ],
)
def test_a_run_that_dagster_will_repeat_is_under_way(
    tmp_path: Path, status: dg.DagsterRunStatus, tags: dict[str, str], waits: bool
) -> None:
    """A sensor looks every few seconds, and would ask before Dagster has made the repetition."""
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_retries": {"enabled": True}}) as instance:
        create_run_for_test(instance, job_name=INGEST, status=status, tags={CAUSE: "c", "dagster/partition": JAN, **tags})
        assert asked_for(instance, MONTHS, INGEST, "this") == ({JAN} if waits else set())
        assert is_under_way(instance, INGEST) is waits
        assert not is_under_way(instance, FEATURES)


def test_what_a_person_materializes_in_the_ui_is_under_way() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(
            instance,
            job_name="__ASSET_JOB",
            status=Status.STARTED,
            tags={RANGE_START: JAN, RANGE_END: FEB},
            asset_selection=frozenset({dg.AssetKey("events")}),
        )
        assert asked_for(instance, MONTHS, INGEST, "this", makes=["customers", "events"]) == {JAN, FEB}
        assert asked_for(instance, MONTHS, FEATURES, "this", makes=["customer_features"]) == set()
        assert is_under_way(instance, INGEST, makes=["events"])
        assert not is_under_way(instance, INGEST)


@pytest.mark.parametrize(("status", "waits"), [("REQUESTED", True), ("COMPLETED_SUCCESS", False), ("CANCELED", False)])
def test_a_backfill_of_the_ui_is_under_way_before_its_runs_are_made(tmp_path: Path, status: str, waits: bool) -> None:
    """Dagster's daemon makes them up to half a minute later; a sensor looks every few seconds."""

    @dg.asset(partitions_def=partitions_of(MONTHS))
    def events() -> None:
        """Nothing is run here."""

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        graph = dg.Definitions([events]).resolve_asset_graph()
        asked = launch_backfill(instance, graph, ["events"], [JAN, FEB], at_s=AFTERWARDS_S)
        found = instance.get_backfill(asked)
        assert found is not None
        instance.update_backfill(found.with_status(BulkActionStatus[status]))
        assert asked_for(instance, MONTHS, INGEST, "this", makes=["events"]) == ({JAN, FEB} if waits else set())
        assert asked_for(instance, MONTHS, FEATURES, "this", makes=["customer_features"]) == set()


@pytest.mark.parametrize(("passes", "waits"), [(False, True), (True, False)])
def test_a_failure_that_dagster_has_passed_over_is_not_waited_for(tmp_path: Path, passes: bool, waits: bool) -> None:
    """Its cursor was lost, and it began anew behind the failure: nobody will repeat the run."""
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_retries": {"enabled": True}}) as instance:
        run = create_run_for_test(
            instance, job_name=INGEST, status=Status.STARTED, tags={CAUSE: "c", "dagster/partition": JAN}
        )
        daemon, context = EventLogConsumerDaemon(interval_seconds=1), mock.Mock(instance=instance)
        if not passes:
            list(daemon.run_iteration(context))
        instance.report_run_failed(run)
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
        if passes:
            list(daemon.run_iteration(context))
        assert is_under_way(instance, INGEST) is waits
        assert asked_for(instance, MONTHS, INGEST, "this") == ({JAN} if waits else set())


def test_a_repetition_has_a_key_of_its_own_and_a_run_that_was_not_submitted_keeps_its_key() -> None:
    """Dagster would drop a sensor's request with a key that it has seen, without a word."""
    with dg.DagsterInstance.ephemeral() as instance:
        keys = []
        for status in (Status.FAILURE, Status.FAILURE, Status.NOT_STARTED):
            keys.append(run_key(INGEST, JAN, "this", attempts(instance, INGEST, "this")))
            create_run_for_test(instance, job_name=INGEST, status=status, tags={CAUSE: "this", "dagster/partition": JAN})
        assert len(set(keys)) == 3
        assert run_key(INGEST, JAN, "this", attempts(instance, INGEST, "this")) == keys[-1]
