"""Executes a job in the process of a command, and reports the run to Dagster as if the Dagster UI had started it.

Belongs here: the origin by which the UI lists such a run, and the tag that keeps the daemon from repeating it. Does not belong
here: which job to run, and with what.
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
"""Dagster's name for the repository of unnamed definitions."""


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    partition_key: str | None = None,
    assets: Sequence[str] = (),
) -> dg.ExecuteInProcessResult:
    """Execute a job to its end and return the result, also if the run failed.

    The run has its job's origin from the start, so the UI shows it in the job's list of runs and on the timeline while it is under
    way. The daemon repeats failed runs that have an origin; a tag keeps it from repeating this one, as the person at the command
    sees the failure and decides.

    Args:
        job: job of the definitions.
        instance: instance that remembers the run.
        tags: tags of the run.
        run_config: run config of the run.
        partition_key: partition key of the period; `None` for a job without partitions.
        assets: assets to materialize; default: all of the job.
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
    """Give runs that are created within the block an origin, for which ``execute_in_process`` has no parameter."""
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY).get_job_origin(job)
    own = vars(instance)
    own["create_run_for_job"] = partial(instance.create_run_for_job, remote_job_origin=origin)
    try:
        yield
    finally:
        del own["create_run_for_job"]
