"""The schedules that remove what the company no longer keeps: predictions (``service.keep_days``), the audit (``service.audit_keep_days``).

Predictions of an experiment stay until it is over, its outcomes are not awaited any more, and its result is kept. Without its setting, a kind of rows has neither job nor schedule. Belongs here: when they run, and what a run says. Does not belong here:
which rows (``churn_store.database.retention``), and what the settings may be (``settings.company``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.orchestration.failure_policy import RETRY
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.run_history import is_under_way, run_key
from churn_assets.resources.serving import ServingStore
from churn_store.clock import DAY_S, Clock, wall_s
from churn_store.database.retention import AUDIT, PREDICTIONS, Dated, has_older, of_experiments, remove_older
from churn_store.errors import ChurnError
from churn_store.experiments.history import unfinished, unkept
from churn_store.experiments.keeping import keep_results
from churn_store.settings import SharedServiceSettings

JOB, SCHEDULE = "forget_predictions", "forget_old_predictions"
AUDIT_JOB, AUDIT_SCHEDULE = "forget_audit", "forget_old_audit"
EVERY_HOUR = "23 * * * *"


@dataclass(frozen=True)
class _Forgotten:
    """A kind of rows that is kept for a time.

    Attributes:
        keep_days: days for which they are kept.
        rows: the rows.
        words: their name.
        job, schedule, op: names in Dagster.
        now_s: the clock by which they are dated, in epoch seconds.
        kept: function that gives the condition of rows that stay all the same.
        prepared: function that keeps what rows from before a time tell, and gives the condition of those that stay all the same.
    """

    keep_days: int
    rows: Dated
    words: str
    job: str
    schedule: str
    op: str
    now_s: Callable[[], float]
    kept: Callable[[], sa.ColumnElement[bool] | None] = lambda: None
    prepared: Callable[[float], sa.ColumnElement[bool] | None] = lambda _: None

    @property
    def before_s(self) -> float:
        """First time that is kept."""
        return self.now_s() - self.keep_days * DAY_S


def retention(
    keep: SharedServiceSettings, clock: Clock, serving: ServingStore, *, company: str, lake_url: str
) -> tuple[list[dg.JobDefinition], list[dg.ScheduleDefinition]]:
    """The jobs and their schedules; none for rows that are all kept.

    Args:
        keep: days for which predictions and the audit are kept.
        clock: the platform's clock, by which predictions are dated; the audit goes by the wall clock.
        serving: store with the serving database.
        company: name of the company.
        lake_url: address of its lake.
    """

    def keep_found(before_s: float) -> sa.ColumnElement[bool]:
        keep_results(serving.engine, lambda: serving.files, now_s=clock.now_s(), before_s=before_s)
        return of_experiments(unkept(serving.engine))

    kinds = []
    if keep.keep_days is not None:
        kinds.append(
            _Forgotten(
                keep.keep_days, PREDICTIONS, "predictions", JOB, SCHEDULE, "remove_old_predictions", clock.now_s,
                kept=lambda: of_experiments(unfinished(serving.engine, now_s=clock.now_s())), prepared=keep_found,
            )
        )  # fmt: skip
    if keep.audit_keep_days is not None:
        kinds.append(
            _Forgotten(
                keep.audit_keep_days, AUDIT, "rows of the audit", AUDIT_JOB, AUDIT_SCHEDULE, "remove_old_audit", wall_s
            )
        )  # fmt: skip
    made = [_job_and_schedule(kind, serving, company=company, lake_url=lake_url) for kind in kinds]
    return [job for job, _ in made], [schedule for _, schedule in made]


def _job_and_schedule(
    kind: _Forgotten, serving: ServingStore, *, company: str, lake_url: str
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    @dg.op(name=kind.op, description=f"Remove {kind.words} older than {kind.keep_days} days.", retry_policy=RETRY)
    def remove(context: dg.OpExecutionContext) -> None:
        kept_since_s = kind.before_s
        removed = remove_older(serving.engine, kept_since_s, kind.rows, kept=kind.prepared(kept_since_s))
        since = datetime.fromtimestamp(kept_since_s, UTC).isoformat()
        context.add_output_metadata({"rows_removed": removed, "kept_since": since, "keep_days": kind.keep_days})
        context.log.info(f"{removed} {kind.words} from before {since} were removed")

    @dg.job(name=kind.job, description=f"Remove {kind.words} of more than {kind.keep_days} days ago.")
    def forget() -> None:
        remove()

    @dg.schedule(
        name=kind.schedule,
        job=forget,
        cron_schedule=EVERY_HOUR,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Removes {kind.words} once they are {kind.keep_days} days old, at most once a day by the clock.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        require_own(context.instance, company, lake_url)
        today = datetime.fromtimestamp(kind.now_s(), UTC).date()
        try:
            is_due = has_older(serving.engine, kind.before_s, kind.rows, kept=kind.kept())
        except (ChurnError, SQLAlchemyError) as error:
            return dg.SkipReason(f"the serving database does not answer ({type(error).__name__})")
        if not is_due:
            return dg.SkipReason(f"no {kind.words} older than {kind.keep_days} days")
        if is_under_way(context.instance, kind.job):
            return dg.SkipReason("a run that removes them is under way")
        until = today - timedelta(days=kind.keep_days)
        return dg.RunRequest(
            run_key=run_key(kind.job, str(today)),
            tags={"churn/reason": f"{kind.words} from before {until} are no longer kept"},
        )

    return forget, evaluate
