"""What a sensor of the graph asks for, as the daemon would hear it."""

import dagster as dg


def asked_by(defs: dg.Definitions, instance: dg.DagsterInstance, job: str) -> tuple[list[dg.RunRequest], str]:
    """The runs of a job that are due now, and the reason where none are."""
    with dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def()) as context:
        found = defs.resolve_sensor_def(f"{job}_when_due").evaluate_tick(context)
    return list(found.run_requests or []), found.skip_message or ""
