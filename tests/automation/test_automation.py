"""The sensors, through a real code location, the daemon's ticks and real runs.

One installation lives through a company's first months, as one test: each part moves the clock on from where the last left it.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster._core.test_utils import create_run_for_test

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FACTS, FEATURES, INGEST, LABELS, MONITOR, PERFORMANCE, RETRAIN, SCORE
from churn_assets.orchestration.run_history import REASON, digest_of, run_key
from churn_store.releases.approval import approve
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.log import history
from churn_store.releases.rollback import roll_back
from tests.automation.company import CONFIGURATION, TABLES, file_of, write_company
from tests.automation.installation import SENSOR, STAGES, Installation, installed

pytestmark = [pytest.mark.story, pytest.mark.timeout(1200)]

PATIENCE_S = 600
BAD_MONTH = "2024-04-01"
CHANGED_MONTH = "2024-07-01"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    write_company(tmp_path, customers=1_200, until=dt.date(2024, 8, 1))
    events = pl.read_csv(file_of(tmp_path, "events", CHANGED_MONTH))
    one_in_five = pl.int_range(pl.len()) % 5 == 0
    events.filter((pl.col("event_type") != "session") | one_in_five).write_csv(file_of(tmp_path, "events", CHANGED_MONTH))
    with installed(tmp_path, CONFIGURATION) as shop:
        shop.set_clock("2024-01-20")
        shop.daemon.tick()  # the daemon's first look at a schedule only notes when it began
        yield shop


def jobs_of(runs: list[dg.DagsterRun]) -> Counter[str]:
    return Counter(run.job_name for run in runs)


def span(run: dg.DagsterRun) -> tuple[str, str]:
    """The first and the last period of a run."""
    one = run.tags.get("dagster/partition")
    return (one, one) if one else (run.tags[RANGE_START], run.tags[RANGE_END])


def spans(runs: list[dg.DagsterRun], job: str) -> list[tuple[str, str]]:
    return [span(run) for run in runs if run.job_name == job]


def finished(shop: Installation, run: dg.DagsterRun) -> dg.DagsterRun:
    """A run, once its process has ended it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        now = shop.instance.get_run_by_id(run.run_id)
        if now is not None and now.is_finished:
            return now
        time.sleep(0.1)
    raise AssertionError(f"run {run.run_id} has not finished in {PATIENCE_S} s")


def all_but_facts(runs: list[dg.DagsterRun]) -> list[dg.DagsterRun]:
    """Runs without those that publish what was found out, which follow the others."""
    return [run for run in runs if run.job_name != FACTS]


def a_fresh_installation_ticks_by_itself_and_ingests_a_period_once_in_a_process_of_its_own(shop: Installation) -> None:
    ticks = shop.daemon.tick()

    assert {state.status for state in shop.instance.all_instigator_state()} == {InstigatorStatus.DECLARED_IN_CODE}
    assert set(ticks) == {*STAGES, SENSOR, "follow_releases", "watch_tables", "watch_quality", "publish_facts_when_due"}
    assert {tick.status for tick in ticks.values()} == {TickStatus.SKIPPED}
    assert all(tick.skip_reason for tick in ticks.values())
    assert ticks["ingest_when_due"].skip_reason == "no period is due"
    assert shop.instance.get_runs() == []

    shop.set_clock("2024-02-01")
    [asked] = shop.daemon.requested()
    assert (asked.job_name, span(asked), asked.status) == (
        INGEST,
        ("2024-01-01", "2024-01-01"),
        dg.DagsterRunStatus.QUEUED,
    )
    assert asked.tags[REASON] == "2024-01-01 is due"
    assert shop.daemon.requested() == [], "asked again while it was queued"

    shop.daemon.dequeue()
    assert shop.daemon.requested() == [], "asked again while it was running"
    assert finished(shop, asked).status == dg.DagsterRunStatus.SUCCESS
    assert {table: shop.periods(table) for table in TABLES} == {table: ["2024-01-01"] for table in TABLES}
    [published] = shop.daemon.requested()
    assert published.job_name == FACTS, "what was found out of the period, and nothing else"
    shop.daemon.dequeue()
    assert finished(shop, published).status == dg.DagsterRunStatus.SUCCESS
    assert shop.daemon.requested() == []


def after_some_time_off_all_missing_periods_are_one_run_and_a_bad_one_stops_only_itself(shop: Installation) -> None:
    payments = file_of(shop.folder, "payments", BAD_MONTH)
    good = payments.read_bytes()
    header, *rows = good.splitlines(keepends=True)
    payments.write_bytes(b"".join([header, *rows, *rows]))

    shop.set_clock("2024-05-01")
    runs = all_but_facts(shop.quick.tick_until_quiet())

    [ingested] = [run for run in runs if run.job_name == INGEST]
    assert span(ingested) == ("2024-02-01", BAD_MONTH)
    assert finished(shop, ingested).status == dg.DagsterRunStatus.FAILURE
    assert shop.failure(ingested).startswith(
        f"payments {BAD_MONTH} was not written: quarantine_share: {len(rows)} of {2 * len(rows)} rows were set aside, more than "
        "raw.quarantine_limit 2.0% allows: payment_id: one row a payment_id broken by"
    )
    named = {check: passed for check, passed in shop.checks(ingested).items() if check[2] is not None}
    assert [check for check, passed in named.items() if not passed] == [("payments", "quarantine_share", BAD_MONTH)]
    assert shop.periods("payments") == shop.lake.periods("payments") == ["2024-01-01", "2024-02-01", "2024-03-01"]
    assert shop.periods("events")[-1] == BAD_MONTH
    assert shop.periods("customer_features") == ["2024-03-01", "2024-04-01"], "the snapshots that lack nothing"

    # Unchanged, it is not asked for again: neither alone nor with the period that is due after it.
    assert BAD_MONTH in str(shop.quick.ticks()["ingest_when_due"].skip_reason)
    shop.set_clock("2024-06-01")
    runs = all_but_facts(shop.quick.tick_until_quiet())
    assert [(run.job_name, span(run)) for run in runs] == [(INGEST, ("2024-05-01", "2024-05-01"))]
    assert shop.periods("churn_labels") == []

    payments.write_bytes(good)
    runs = all_but_facts(shop.quick.tick_until_quiet())
    assert {finished(shop, run).status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert spans(runs, INGEST) == [(BAD_MONTH, BAD_MONTH)]
    assert shop.checks(runs[0])["payments", "quarantine_share", BAD_MONTH]
    assert spans(runs, FEATURES) == [("2024-05-01", "2024-06-01")]
    assert spans(runs, LABELS) == [("2024-03-01", "2024-04-01")]
    assert spans(runs, PERFORMANCE) == [("2024-03-01", "2024-04-01")]
    assert len(runs) == 4
    assert "2 snapshots have mature labels" in str(shop.quick.ticks()[SENSOR].skip_reason)


def the_first_model_is_asked_for_when_enough_labels_are_mature_then_scored_and_monitored(shop: Installation) -> None:
    shop.set_clock("2024-07-01")
    runs = all_but_facts(shop.quick.tick_until_quiet())

    # Labels may be there, and the first model with them, a moment before the newest features: then it scores twice.
    counts = jobs_of(runs)
    assert {counts.pop(SCORE), counts.pop(MONITOR)} <= {1, 2}
    assert counts == Counter([INGEST, FEATURES, LABELS, PERFORMANCE, RETRAIN])
    order = [run.job_name for run in runs]
    assert order[0] == INGEST
    assert order.index(RETRAIN) > order.index(LABELS)
    assert min(order.index(SCORE), order.index(MONITOR)) > order.index(RETRAIN)
    assert {finished(shop, run).status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert runs[order.index(RETRAIN)].tags[REASON] == "no release yet"
    row = shop.serving.newest()
    assert row is not None
    assert row.epoch == 1
    for asset in ("churn_scores", "online_features", "drift_history", "drift_report", "quality_report"):
        assert shop.periods(asset)[-1] == "2024-07-01"
    assert shop.lake.read("churn_scores", "2024-07-01")["release"].unique().to_list() == [row.champion]

    ticks = shop.quick.ticks()
    assert {tick.status for tick in ticks.values()} == {TickStatus.SKIPPED}
    assert ticks[SENSOR].skip_reason == "the newest drift report has no alert"
    assert ticks["score_when_due"].skip_reason == "the serving release has done the newest snapshot already"


def a_drift_alert_asks_for_one_retraining_and_the_next_only_after_the_cooldown(shop: Installation) -> None:
    [first] = history(shop.serving.engine)
    shop.set_clock("2024-08-01")
    runs = all_but_facts(shop.quick.tick_until_quiet())

    # What serves scores and is monitored; its alert retrains. The gate finds the candidate no better, so the release stays.
    assert jobs_of(runs) == Counter([INGEST, FEATURES, LABELS, PERFORMANCE, SCORE, MONITOR, RETRAIN])
    assert {finished(shop, run).status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    [(period, alert)] = alerts_of(shop)
    assert period == "2024-08-01"
    [retraining] = [run for run in runs if run.job_name == RETRAIN]
    assert retraining.tags["dagster/run_key"] == run_key(RETRAIN, digest_of("drift", str(alert)), 0)
    assert retraining.tags[REASON].startswith("drift: ")
    assert "sessions_30d" in retraining.tags[REASON]
    candidate, *_ = newest_blessings(shop.serving.engine)
    assert candidate.verdict == "rejected"
    assert not {rule.name: rule for rule in candidate.rules}["more_profit_than_champion"].passed
    assert history(shop.serving.engine) == [first]

    # A person releases it all the same: it scores and is monitored, and its own alert has to wait for 20 days.
    now_s = shop.settings.clock.now_s()
    second = approve(
        shop.serving.engine,
        shop.serving.files,
        candidate.candidate,
        by="ada",
        reason="it knows the new world",
        now_s=now_s,
        override=True,
    )
    runs = all_but_facts(shop.quick.tick_until_quiet())
    assert jobs_of(runs) == Counter([SCORE, MONITOR])
    assert shop.lake.read("churn_scores", "2024-08-01")["release"].unique().to_list() == [second.champion]
    [_, (_, alert)] = alerts_of(shop)
    shop.set_clock("2024-08-20")
    assert "cooling down until 2024-08-21" in str(shop.quick.tick_sensor().skip_reason)

    shop.set_clock("2024-08-21")
    under_way = create_run_for_test(shop.instance, job_name=RETRAIN, status=dg.DagsterRunStatus.STARTED)
    assert shop.quick.tick_sensor().skip_reason == "a retraining is under way"
    shop.instance.report_run_canceled(under_way)
    [run_id] = shop.quick.tick_sensor().run_ids
    again = shop.runs(RETRAIN)[-1]
    assert again.run_id == run_id
    assert again.tags["dagster/run_key"] == run_key(RETRAIN, digest_of("drift", str(alert)), 0)
    assert finished(shop, again).status == dg.DagsterRunStatus.SUCCESS

    # Trained on the same rows it is no better, so the release stays, and so does its alert: that has been answered.
    assert [row.epoch for row in history(shop.serving.engine)] == [2, 1]
    shop.set_clock("2024-08-31")
    assert shop.quick.tick_sensor().status == TickStatus.SKIPPED
    assert shop.runs(RETRAIN)[-1].run_id == again.run_id
    shop.set_clock("2024-08-21")


def after_a_rollback_the_former_release_scores_the_newest_snapshot_again(shop: Installation) -> None:
    serving = shop.serving
    _, first = history(serving.engine)
    back = roll_back(serving.engine, serving.files, by="ada", reason="complaints", now_s=shop.settings.clock.now_s())
    assert back.champion == first.champion

    runs = all_but_facts(shop.quick.tick_until_quiet())
    assert jobs_of(runs) == Counter([SCORE, MONITOR])
    assert {span(run) for run in runs} == {("2024-08-01", "2024-08-01")}
    assert shop.lake.read("churn_scores", "2024-08-01")["release"].unique().to_list() == [first.champion]


def alerts_of(shop: Installation) -> list[tuple[str | None, int]]:
    """Period and event id of the drift reports with an alert, oldest first."""
    records = shop.instance.fetch_materializations(dg.AssetKey("drift_report"), limit=10).records
    found = [(record.storage_id, record.asset_materialization) for record in reversed(records)]
    return [(said.partition, event) for event, said in found if said is not None and said.metadata["alert"].value]


def test_a_company_lives_through_its_first_months(shop: Installation) -> None:
    a_fresh_installation_ticks_by_itself_and_ingests_a_period_once_in_a_process_of_its_own(shop)
    after_some_time_off_all_missing_periods_are_one_run_and_a_bad_one_stops_only_itself(shop)
    the_first_model_is_asked_for_when_enough_labels_are_mature_then_scored_and_monitored(shop)
    a_drift_alert_asks_for_one_retraining_and_the_next_only_after_the_cooldown(shop)
    after_a_rollback_the_former_release_scores_the_newest_snapshot_again(shop)
