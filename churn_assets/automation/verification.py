"""The daily verification: what `churn data verify` does, as a job whose result stands in the Dagster UI.

Belongs here: the job and its schedule. Does not belong here: how rows are compared with what was written
(``orchestration.lake_records``).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES
from churn_assets.orchestration.lake_records import verify
from churn_assets.orchestration.lost_periods import in_words, wait_for_writers
from churn_assets.orchestration.ownership import require_own
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.run_history import is_under_way

VERIFY = "verify_lake"
DAILY = "30 3 * * *"
"""The cron expression of the schedule, in UTC: when few people wait for a run."""


@dg.op(
    pool=BACKGROUND,
    description="Read every row of the lake and compare it with what was written. A period with other rows counts as lost from then on.",
)
def verify_rows(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """What ``churn data verify`` does for all tables.

    Raises:
        dagster.Failure: if a period is lost; it names the tables, the periods and the way back.
    """
    counts: dict[str, int] = {}
    lost: dict[str, dict[str, str]] = {}
    for table in TABLES:
        wait_for_writers(context.instance, lake, table)
        found = dict(verify(context.instance, lake, table))
        if found:
            counts[table] = len(found)
            context.log.info(f"{table}: {len(found)} periods read")
        if wrong := {period: said for period, said in found.items() if said}:
            lost[table] = wrong
    metadata: dict[str, Any] = {
        "periods": sum(counts.values()),
        "lost": sum(map(len, lost.values())),
        "tables": dg.MetadataValue.md(_as_table(counts, lost)),
    }
    if lost:
        raise dg.Failure(
            description="; ".join(in_words(table, wrong) for table, wrong in lost.items()),
            metadata=metadata,
            allow_retries=False,
        )
    context.add_output_metadata(metadata)


@dg.job(name=VERIFY, description="Compare every row of the lake with what was written: `churn data verify`.")
def verify_lake() -> None:
    """One op."""
    verify_rows()


def verify_schedule(company: str, lake_url: str) -> dg.ScheduleDefinition:
    """The schedule of the job, once a day.

    Args:
        company: name of the company, to which the instance must belong.
        lake_url: address of its lake.
    """

    @dg.schedule(
        name="verify_lake_daily",
        job=verify_lake,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads the lake once a day, to find rows that are not those that were written.",
    )
    def verify_lake_daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        require_own(context.instance, company, lake_url)
        if is_under_way(context.instance, VERIFY):  # also after days off, for each of which Dagster asks
            yield dg.SkipReason("a verification is under way")
        else:
            yield dg.RunRequest()

    return verify_lake_daily


def _as_table(counts: dict[str, int], lost: dict[str, dict[str, str]]) -> str:
    rows = []
    for table, number in counts.items():
        wrong = "; ".join(f"{period}: {said}" for period, said in sorted(lost.get(table, {}).items()))
        rows.append(f"| {table} | {number} | {wrong or 'as written'} |")
    return "\n".join(["| table | periods | found |", "|---|---|---|", *rows])
