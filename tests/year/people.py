"""What people do: approve, roll back, cancel, backfill, materialize again.

Belongs here: requests, as the commands and the UI make them. Does not belong here: what comes of them (``invariants``).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_assets.tables import quarantine_of
from churn_store.errors import ChurnError
from churn_store.releases.approval import approve
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.log import history
from churn_store.releases.rollback import roll_back
from tests.automation.backfills import launch_backfill
from tests.automation.company import TABLES
from tests.year.daemon import NOT_ENDED
from tests.year.machine import MACHINE, Died, Process

if TYPE_CHECKING:
    from tests.year.world import World


def command(world: "World", who: str, does: Callable[..., Any], *, dies_after: int | None = None) -> str:
    """A command of a person in a process of its own; what came of it in words."""
    process = Process(f"{who}'s command", dies_after)
    with MACHINE.runs(process):
        try:
            row = does()
        except Died:
            return f"it died at: {process.died_at}"
        except ChurnError as error:
            return f"refused: {error}"
        except Exception as error:
            if not MACHINE.away:
                raise
            return f"refused: {type(error).__name__}"
    return f"epoch {row.epoch} is {row.kind}"


def approve_newest(world: "World", *, override: bool, dies_after: int | None = None) -> str:
    """Ada approves the candidate that was judged last."""

    def does() -> Any:
        serving = world.serving
        judged = newest_blessings(serving.engine)
        if not judged:
            raise ChurnError("nothing was judged yet")
        return approve(
            serving.engine, serving.files, judged[0].candidate, by="ada", reason="she knows the market",
            now_s=world.settings.clock.now_s(), override=override, reached=MACHINE.boundary,
        )  # fmt: skip

    return command(world, "Ada", does, dies_after=dies_after)


def put_back(world: "World", *, to: int | None, stale: bool = False, dies_after: int | None = None) -> str:
    """Bob rolls back, to the former champion or to that of an epoch; stale: he looked before the newest release."""

    def does() -> Any:
        serving = world.serving
        rows = history(serving.engine, limit=None)
        seen = (rows[0].epoch - 1 if stale else rows[0].epoch) if rows else None
        return roll_back(
            serving.engine, serving.files, by="bob", reason="complaints", now_s=world.settings.clock.now_s(),
            to=to, read_epoch=seen, reached=MACHINE.boundary,
        )  # fmt: skip

    return command(world, "Bob", does, dies_after=dies_after)


def cancel(world: "World", nth: int) -> str:
    """Cancel a run that is queued or under way, by the button of the UI."""
    instance = world.daemon.instance
    runs = list(reversed(instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED))))
    if not runs:
        return "no run was under way"
    run = runs[nth % len(runs)]
    world.cancelled.add(run.run_id)
    if run.status == dg.DagsterRunStatus.QUEUED:
        instance.report_run_canceling(run, message="Canceling run from the queue.")
        instance.report_run_canceled(run)
    else:
        world.daemon.interrupt(run.run_id)
    return f"a run of {run.job_name} that was {run.status.value.lower()}"


def backfill(world: "World", assets: list[str], periods: list[str]) -> str:
    """Launch a backfill of assets for some periods, as the UI does: a raw table is made together with its quarantine."""
    daemon = world.daemon
    daemon.context.refresh_workspace()  # Dagster's web server keeps the periods of a clock that is fixed, until it is told to reload
    workspace = daemon.context.create_request_context()
    selected = [*assets, *(quarantine_of(table) for table in TABLES if table in assets)]
    launch_backfill(daemon.instance, workspace.asset_graph, selected, periods, at_s=daemon.now.timestamp())
    return f"{', '.join(assets)} {periods[0]} to {periods[-1]}"
