"""MLflow, through dagster-mlflow: one MLflow run for each Dagster run, with model work in nested runs.

This resource ends the MLflow run: dagster-mlflow leaves it open if a Dagster run has no hook, and the next run of the same process
would then write into it. With the embedded tracking server artifacts go beside its database.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg
import sqlalchemy as sa

from churn_assets.resources.tracking_identity import TAG, remember, require_same
from churn_assets.resources.tracking_server import is_server, require_answer
from churn_store.database.migrate import migration_lock
from churn_store.database.schema import connect
from churn_store.database.sqlite_file import require_sqlite
from churn_store.disk import disk_error

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # if the server goes away the step fails within a minute, and is then repeated
    "GIT_PYTHON_REFRESH": "quiet",
}


Tracking: TypeAlias = Any
"""The resource: ``dagster_mlflow.resources.MlFlow``, which has all functions of ``mlflow`` by their names."""


def tracking_resource(uri: str, *, experiment: str) -> dg.ResourceDefinition:
    """The resource ``mlflow`` for a tracking server and an experiment.

    MLflow is imported when a run needs it: its five seconds are not paid by runs that track nothing.
    """

    @dg.resource
    def tracking(context: dg.InitResourceContext) -> Iterator[object]:
        import mlflow  # noqa: PLC0415
        from dagster_mlflow import mlflow_tracking  # noqa: PLC0415

        prepare(context.instance, uri, experiment)
        config = {"experiment_name": experiment, "mlflow_tracking_uri": uri, "env": QUIET}
        try:
            yield from mlflow_tracking.resource_fn(context.replace_config(config))
        finally:
            mlflow.end_run()
            _remove_misnamed_folder(uri)

    return tracking


def _end_mlflow(context: dg.HookContext, events: Any) -> Any:
    from dagster_mlflow import end_mlflow_on_run_finished  # noqa: PLC0415

    return end_mlflow_on_run_finished.hook_fn(context, events)


END_MLFLOW = dg.HookDefinition(name="end_mlflow_on_run_finished", hook_fn=_end_mlflow, required_resource_keys={"mlflow"})
"""dagster-mlflow's hook of that name, which ends MLflow's run with the job's status."""


def prepare(instance: dg.DagsterInstance | None, uri: str, experiment: str) -> None:
    """Make MLflow's tables and the experiment if they are not there yet; of two processes at once, one after the other.

    Args:
        instance: instance that remembers which MLflow earlier trainings wrote to; `None` where nobody does.
        uri: address of a server or a database.
        experiment: name of the experiment.

    Raises:
        InputError: if a server does not answer.
        LostError: if it is not the MLflow that earlier trainings wrote to.
        DiskError: if its file can't be written.
    """
    if is_server(uri):
        require_answer(uri)
        _make_experiment(instance, uri, experiment)
        return
    address = sa.make_url(uri)
    if address.get_backend_name() == "sqlite":
        file = Path(str(address.database))
        if instance is not None and not file.exists():
            require_same(instance, uri, experiment, None, exists=False)
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # An empty file is no database of MLflow yet; the lock beside it needs one to be opened.
            file.touch()
        except OSError as error:
            raise disk_error(error, f"MLflow's database {file} can't be written") or error from error
        require_sqlite(file, "MLflow's database", "`churn data adopt` lets it begin anew")
    engine = connect(uri)
    try:
        with migration_lock(engine):
            _make_experiment(instance, uri, experiment)
    finally:
        engine.dispose()


def _make_experiment(instance: dg.DagsterInstance | None, uri: str, experiment: str) -> None:
    import mlflow  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    mlflow.set_tracking_uri(uri)
    if not is_server(uri):
        _make_default_experiment(uri)
    found = mlflow.get_experiment_by_name(experiment)  # makes the tables of a database that has none
    if instance is not None:
        require_same(instance, uri, experiment, None if found is None else found.tags.get(TAG), exists=found is not None)
    if found is None:
        address = None if is_server(uri) else sa.make_url(uri)
        is_embedded = address is not None and address.get_backend_name() == "sqlite"
        beside = Path(str(address.database)).parent / "mlartifacts" if address is not None and is_embedded else None
        try:
            mlflow.create_experiment(experiment, artifact_location=None if beside is None else beside.absolute().as_uri())
        except MlflowException:  # another process was faster, on a server, which has no lock for us
            if mlflow.get_experiment_by_name(experiment) is None:
                raise
        found = mlflow.get_experiment_by_name(experiment)
    if instance is None or found is None:
        return
    tag = found.tags.get(TAG)
    if tag is None:
        tag = str(uuid.uuid4())
        mlflow.MlflowClient(uri).set_experiment_tag(found.experiment_id, TAG, tag)
    remember(instance, uri, experiment, tag)


def _make_default_experiment(uri: str) -> None:
    """Make MLflow's own experiment where MLflow itself would fail.

    Its default for artifacts is the current folder, which it writes into SQL as it is, also with a quote in it.
    """
    address = sa.make_url(uri)
    if address.get_backend_name() == "sqlite" and address.database and "'" in str(Path.cwd()):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

        SqlAlchemyStore(uri, (Path(address.database).parent / "mlartifacts").absolute().as_uri())


def _remove_misnamed_folder(uri: str) -> None:
    """Remove the folder that MLflow makes where an encoded address is taken as it stands; it is empty."""
    as_it_stands = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and str(as_it_stands) != sa.make_url(uri).database:
        with suppress(OSError):
            os.removedirs(as_it_stands.parent)
