"""Stages that have no periods: one run for each cause, for the backtest of a month and for what is published of the reports.

Belongs here: whether such a run is due. Does not belong here: stages that follow the calendar, and the sensors (``due_sensors``).
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from churn_assets.automation.jobs import BACKTEST, FACTS, MONITOR, PERFORMANCE
from churn_assets.backtest.origins import origins
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.run_history import (
    CAUSE,
    REASON,
    attempts,
    digest_of,
    failures,
    is_under_way,
    newest_materialization,
    run_key,
)
from churn_assets.periods import Calendar
from churn_assets.quality.findings import TABLE as QUALITY_FINDINGS
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.label import Label, matures_on
from churn_assets.settings.training import Training
from churn_store.errors import InputError, LostError, StoreAwayError
from churn_store.monitoring.facts import ASSET

UNREADABLE = -1
"""Version of a table that can't be read."""

Requests = Iterator[dg.RunRequest | dg.SkipReason]


def backtest_due(
    instance: dg.DagsterInstance,
    today: date,
    labelled: set[str],
    *,
    calendar: Calendar,
    label: Label,
    training: Training,
    evaluation: EvaluationSettings,
) -> dg.RunRequest | dg.SkipReason:
    """One backtest for each month that has a labelled snapshot, once there are enough of them."""
    mature = [key for key in map(date.fromisoformat, labelled) if matures_on(key, label) <= today]
    try:
        newest = origins(mature, calendar, label, training, folds=evaluation.folds)[-1].judge[0]
    except InputError as error:
        return dg.SkipReason(f"not enough to test on: {error}")
    month = f"{newest:%Y-%m}"
    last = newest_materialization(instance, "backtest_report")
    if last is not None and str(last.metadata["newest_fold"])[: len(month)] >= month:
        return dg.SkipReason(f"the backtest of {month} is there")
    cause = digest_of(BACKTEST, month)
    failed, given_up = failures(instance, BACKTEST, cause)
    if given_up or is_under_way(instance, BACKTEST, makes=["backtest_report"]):
        return dg.SkipReason(f"the backtest of {month} {f'failed {failed} times' if given_up else 'is under way'}")
    return dg.RunRequest(
        run_key=run_key(BACKTEST, cause, failed),
        tags={REASON: f"the labels of {month} are there, newest snapshot {newest}", CAUSE: cause},
    )


def facts_due(instance: dg.DagsterInstance, *, lake: Lake, serving: ServingStore) -> Requests:
    """One publication for each newer report, finding or release, once none of them is being made."""
    row, away = serving.newest_or_away()
    if away:
        yield dg.SkipReason(away)
        return
    reports = {name: newest_materialization(instance, name) for name in ("drift_report", "performance_report")}
    found = {name: report.event for name, report in reports.items() if report is not None}
    try:
        if lake.has(QUALITY_FINDINGS):
            found[QUALITY_FINDINGS] = lake.version(QUALITY_FINDINGS)
    except LostError:  # published as unknown, with the reason
        found[QUALITY_FINDINGS] = UNREADABLE
    except StoreAwayError as error:
        yield dg.SkipReason(str(error))
        return
    if not found:
        yield dg.SkipReason("nothing was found out yet")
        return
    for job in (MONITOR, PERFORMANCE):
        if is_under_way(instance, job, makes=reports):
            yield dg.SkipReason(f"{job} is under way, and published afterwards")
            return
    cause = digest_of(sorted(found.items()), None if row is None else row.epoch, code_version("facts"))
    failed, given_up = failures(instance, FACTS, cause)
    if given_up or is_under_way(instance, FACTS, makes=[ASSET]) or attempts(instance, FACTS, cause) > failed:
        yield dg.SkipReason(f"asked for already, {f'and failed {failed} times' if given_up else 'and nothing is newer'}")
        return
    yield dg.RunRequest(
        run_key=run_key(FACTS, cause, failed),
        tags={REASON: f"{', '.join(found)} may be newer than what was published", CAUSE: cause},
    )
