"""The prediction log's retention: refused where it is too short, and run by its schedule, on both databases."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from sqlalchemy import func

from churn_assets.automation.retention import AUDIT_JOB, AUDIT_SCHEDULE, JOB, SCHEDULE
from churn_assets.build import build_defs
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_store.clock import DAY_S, wall_s
from churn_store.database.intake import Sender
from churn_store.database.retention import remove_older
from churn_store.database.schema import audit_log, prediction_log
from churn_store.errors import InputError
from churn_store.experiments.history import append, read
from churn_store.experiments.results import KEPT, results, words_of
from churn_store.outcomes.log import Outcome, record
from churn_store.settings import SharedServiceSettings
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import an_experiment, event
from tests.fault_table import Fault

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
KEEP_DAYS = 126


def row(number: int, days_old: float) -> dict[str, Any]:
    return {
        "request_id": f"r{number // 3}", "item": number % 3, "answered_s": NOW_S - days_old * DAY_S, "customer_id": f"c{number}",
        "release": "d", "epoch": 1, "role": "champion", "probability": 0.5, "churn": True, "threshold": 0.4, "snapshot_s": None,
        "features": {}, "latency_us": 1, "key_id": None,
    }  # fmt: skip


def fill(engine: sa.Engine, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(prediction_log.insert(), rows)


def ages(engine: sa.Engine) -> list[float]:
    with engine.connect() as connection:
        return sorted((NOW_S - one) / DAY_S for one in connection.execute(sa.select(prediction_log.c.answered_s)).scalars())


def test_the_schedule_removes_what_is_older_and_the_run_says_how_much(
    tmp_path: Path, empty_database: str, engine: sa.Engine
) -> None:
    fill(engine, [row(number, days) for number, days in enumerate([126.1, 300, 126.1, 125.9, 0, 126.1])])
    settings = Settings.model_validate(
        {"home": tmp_path, "store": {"database_url": empty_database}, "service": {"keep_days": KEEP_DAYS}}
    )
    settings.clock.fix(NOW)
    defs = build_defs(settings)
    schedule = defs.resolve_schedule_def(SCHEDULE)
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance, scheduled_execution_time=NOW) as tick:
        asked = schedule.evaluate_tick(tick).run_requests or []
        assert [one.tags["churn/reason"] for one in asked] == ["predictions from before 2026-01-26 are no longer kept"]
        result = defs.resolve_job_def(JOB).execute_in_process(instance=instance)
        [told] = [event.step_output_data.metadata for event in result.get_step_success_events() or []
                  for event in result.events_for_node("remove_old_predictions") if event.is_successful_output][:1]  # fmt: skip
        assert told["rows_removed"].value == 4
        assert ages(engine) == [0, 125.9]
        assert not schedule.evaluate_tick(tick).run_requests


@pytest.mark.parametrize(("days_ago", "is_kept"), [(None, True), (59, True), (61, False)])
def test_predictions_of_an_experiment_stay_until_its_last_outcome_can_be_known(
    tmp_path: Path, empty_database: str, engine: sa.Engine, days_ago: int | None, is_kept: bool
) -> None:
    plan = an_experiment(engine, name="calls", horizon_days=30)
    fill(engine, [{**row(0, 300), "experiment": plan.name, "arm": "control"}])
    fill(engine, [row(1, 300), row(2, 1)])
    if days_ago is not None:
        append(engine, event("calls", 3, "stopped", at_s=NOW_S - days_ago * DAY_S))
    settings = Settings.model_validate(
        {"home": tmp_path, "store": {"database_url": empty_database}, "service": {"keep_days": KEEP_DAYS}}
    )
    settings.clock.fix(NOW)
    defs = build_defs(settings)
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance, scheduled_execution_time=NOW) as tick:
        assert defs.resolve_job_def(JOB).execute_in_process(instance=instance).success
        assert ages(engine) == ([1, 300] if is_kept else [1])
        assert not defs.resolve_schedule_def(SCHEDULE).evaluate_tick(tick).run_requests


def test_a_result_stays_what_it_was_when_its_predictions_are_removed(
    tmp_path: Path, empty_database: str, engine: sa.Engine
) -> None:
    an_experiment(engine, name="calls")
    snapshot_s = NOW_S - 200 * DAY_S
    of_unit = [
        {**row(number, 199), "request_id": f"r{number}", "item": 0, "snapshot_s": snapshot_s, "experiment": "calls"}
        for number in range(1_000)
    ]
    fill(engine, [{**one, "arm": ("control", "treatment")[place % 2]} for place, one in enumerate(of_unit)])
    said = [Outcome(f"c{number}", snapshot_s, number % 2 == 0 and number % 4 == 0) for number in range(1_000)]
    record(engine, said, Sender("k", "r", NOW_S - 100 * DAY_S))
    append(engine, event("calls", 3, "stopped", at_s=NOW_S - 190 * DAY_S))
    files = DigestStore(str(tmp_path / "files"))
    before = results(engine, lambda: files, read(engine, "calls"), now_s=NOW_S)
    assert before.verdict == "better"
    settings = Settings.model_validate(
        {"home": tmp_path, "store": {"database_url": empty_database}, "service": {"keep_days": KEEP_DAYS}}
    )
    settings.clock.fix(NOW)
    for _ in range(2):
        with dg.instance_for_test() as instance:
            assert build_defs(settings).resolve_job_def(JOB).execute_in_process(instance=instance).success
        assert ages(engine) == []
        kept = read(engine, "calls")
        after = results(engine, lambda: files, kept, now_s=NOW_S + DAY_S)
        assert [one.kind for one in kept.events] == ["created", "started", "stopped", "kept"]
        assert (after.verdict, after.words, after.arms, after.as_of) == (before.verdict, before.words, before.arms, NOW)
        assert after.cautions[-1] == KEPT
        assert (kept.state, words_of(kept.events[-1])) == ("stopped", before.words)


def audited(engine: sa.Engine) -> list[float]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(audit_log.c.at_s)).scalars())


def test_the_audit_is_kept_for_90_days_by_the_wall_clock_unless_set_otherwise(
    tmp_path: Path, empty_database: str, engine: sa.Engine
) -> None:
    kept = [wall_s() - 89 * DAY_S, wall_s()]
    with engine.begin() as connection:
        rows = [{"at_s": at_s, "what": "change", "address": "::1"} for at_s in [wall_s() - 91 * DAY_S, *kept]]
        connection.execute(audit_log.insert(), rows)
    settings = Settings.model_validate({"home": tmp_path, "store": {"database_url": empty_database}})
    settings.clock.fix(NOW + timedelta(days=999))
    defs = build_defs(settings)
    schedule = defs.resolve_schedule_def(AUDIT_SCHEDULE)
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance, scheduled_execution_time=NOW) as tick:
        [asked] = schedule.evaluate_tick(tick).run_requests or []
        assert "rows of the audit from before" in asked.tags["churn/reason"]
        assert defs.resolve_job_def(AUDIT_JOB).execute_in_process(instance=instance).success
        assert audited(engine) == pytest.approx(kept)
        assert not schedule.evaluate_tick(tick).run_requests
    everything = build_defs(settings.model_copy(update={"service": SharedServiceSettings(audit_keep_days=None)}))
    assert AUDIT_SCHEDULE not in {one.name for one in everything.schedules or []}


def test_without_the_setting_everything_is_kept_and_nothing_is_scheduled(tmp_path: Path) -> None:
    defs = build_defs(Settings.model_validate({"home": tmp_path}))
    assert SCHEDULE not in {one.name for one in defs.schedules or []}


@pytest.mark.parametrize(
    ("cadence", "horizon", "grace", "least"), [("monthly", 30, 3, 126), ("weekly", 7, 1, 29), ("daily", 2, 0, 5)]
)
def test_less_than_a_prediction_is_needed_for_is_refused_with_the_arithmetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cadence: str, horizon: int, grace: int, least: int
) -> None:
    file = tmp_path / "churn.yaml"
    monkeypatch.setenv("CHURN_CONFIG", str(file))
    text = f"cadence: {cadence}\nlabel: {{horizon_days: {horizon}, grace_days: {grace}}}\nservice: {{port: 1, keep_days: %d}}\n"
    file.write_text(text % (least - 1))
    with pytest.raises(
        InputError, match=rf"keep_days is {least - 1}.* {horizon} days .* \+ {grace} .* = {least}\. "
    ) as refused:
        Settings.load()
    assert "\n" not in str(refused.value)
    file.write_text(text % least)
    assert Settings.load().service.keep_days == least
    assert Label().horizon_days + Label().grace_days + 3 * 31 == KEEP_DAYS


def test_rows_go_in_batches_and_equal_times_end(engine: sa.Engine) -> None:
    fill(engine, [row(number, 200) for number in range(100)] + [row(1000, 1)])
    assert remove_older(engine, NOW_S - KEEP_DAYS * DAY_S, batch=7) == 100
    assert ages(engine) == [1]


@pytest.mark.faults
def test_a_removal_that_was_killed_goes_on_where_it_was(empty_database: str, engine: sa.Engine, fault: Fault) -> None:
    fault.names("retention killed by -9", done="once some batches were removed; then run again")
    fill(engine, [row(number, 200) for number in range(6_000)] + [row(100_000 + number, 1) for number in range(300)])
    script = (
        "import sys\nfrom churn_store.database.retention import remove_older\nfrom churn_store.database.schema import connect\n"
        "remove_older(connect(sys.argv[1]), float(sys.argv[2]), batch=50)"
    )
    before_s = NOW_S - KEEP_DAYS * DAY_S

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.execute(sa.select(func.count()).select_from(prediction_log)).scalar_one())

    process = subprocess.Popen([sys.executable, "-c", script, empty_database, str(before_s)])
    end = time.monotonic() + 30
    while count() == 6_300 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    left = count()
    if not 300 < left < 6_300:
        fault.inconclusive(f"{left} rows were left when it was killed")
    assert (left - 300) % 50 == 0
    began = time.monotonic()
    assert remove_older(engine, before_s) == left - 300
    assert ages(engine) == [1] * 300
    fault.held("whole batches were gone, the rest went at the second run", recovered_after_s=time.monotonic() - began)
