"""Starts runs as Dagster does by default, and says of each whether its process still lives.

Dagster's own launcher can't say so: a run whose code server died with it would hold its place until its longest time is over, four hours.
Belongs here: the question. Does not belong here: what follows from the answer (``run_monitoring`` in ``dagster.yaml``), and the end of
runs whose code server has died (``orphans``).
"""

from collections import Counter
from typing import Any

import dagster as dg

from churn_assets.orchestration.dagster_internals import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    DagsterUserCodeUnreachableError,
    DefaultRunLauncher,
    WorkerStatus,
    deserialize_value,
)

MOST_UNHEARD = 3
"""The number of questions for which nobody listens before a code server is taken for dead, with its runs."""

GONE = "UNAVAILABLE"
"""The word in an error where nobody listens; a server that is busy lets the time run out."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, which asks a run's code server whether the run's process lives."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._unheard: Counter[str] = Counter()

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's daemon asks at each round of its monitoring."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that started a run for its process.

        A server that does not answer may be busy. One that answers and does not know the run was started anew since, and the run's process
        ended with the former one.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        except DagsterUserCodeUnreachableError as error:
            self._unheard[run.run_id] += GONE in str(error)
            if self._unheard[run.run_id] < MOST_UNHEARD:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(WorkerStatus.FAILED, "its code server does not answer any more")
        self._unheard.pop(run.run_id, None)
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its code server does not know its process")
