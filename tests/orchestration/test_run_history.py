"""What counts as asked for already, by tables of cases, on a real instance."""

from datetime import date

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from churn_assets.automation.jobs import FEATURES, INGEST, RETRAIN
from churn_assets.automation.schedules import RANGE_END, RANGE_START
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.run_history import ATTEMPTS, CAUSE, asked_for, failures, is_under_way, run_key
from churn_assets.periods import Calendar

MONTHS = Calendar("monthly", date(2024, 1, 1))
JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"
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
