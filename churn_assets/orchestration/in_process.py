"""Runs that a command executes by itself, in its own process, told to Dagster as the Dagster UI's own runs are.

Belongs here: where the UI lists such a run, and that nobody repeats it. Does not belong here: which job to run, and with what.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg

from churn_assets.orchestration.dagster_internals import (
    MAX_RETRIES_TAG,
    RegisteredCodeLocationOrigin,
    RemoteRepositoryOrigin,
)

LOCATION = "churn"
"""The code location's name in every workspace.yaml; a test compares them."""

REPOSITORY = "__repository__"
"""How Dagster names the repository of definitions that are not given a name."""


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    partition_key: str | None = None,
    assets: Sequence[str] = (),
) -> dg.ExecuteInProcessResult:
    """Execute a job to its end; the result, also of a run that failed.

    The run has its job's origin from the start, so the UI shows it in the job's list of runs and on the timeline, also while it is
    under way. The daemon repeats failed runs that have an origin; this one it leaves alone, as the person at the command sees the
    failure and decides.

    Args:
        job: job of the definitions.
        instance: instance that remembers the run.
        tags: tags of the run.
        run_config: run config of the run.
        partition_key: partition key of the period; default: none.
        assets: to materialize; default: all of the job.
    """
    with _origin_of_runs(job.name, instance):
        return job.execute_in_process(
            instance=instance,
            tags={**tags, MAX_RETRIES_TAG: "0"},
            run_config=dict(run_config),
            partition_key=partition_key,
            asset_selection=[dg.AssetKey(name) for name in assets] or None,
            raise_on_error=False,
        )


@contextmanager
def _origin_of_runs(job: str, instance: dg.DagsterInstance) -> Iterator[None]:
    """Give runs that are created in the meantime an origin, which ``execute_in_process`` has no parameter for."""
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY).get_job_origin(job)
    own = vars(instance)
    own["create_run_for_job"] = partial(instance.create_run_for_job, remote_job_origin=origin)
    try:
        yield
    finally:
        del own["create_run_for_job"]
