"""Whether MLflow is still the one that earlier trainings wrote to: an empty one in its place would begin the registry anew, unsaid.

The experiment has a tag with an id of its own, and the Dagster instance remembers it. Belongs here: that id. Does not belong here:
making MLflow's tables (``tracking``), and whether it answers (``tracking_server``).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg
import httpx
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.resources.tracking_server import PATIENCE_S, is_server, sign_of_life
from churn_store.database.schema import connect
from churn_store.errors import ChurnError, InputError, LostError
from churn_store.redaction import without_password

KEY = "churn/tracking"
TAG = "churn.id"
"""The tag of the experiment."""

ASSETS = ("candidate_model", "logistic_regression", "random_forest", "gradient_boosting")
"""Assets that were logged in MLflow, by which an installation of before is known to have trained."""

NO_EXPERIMENT = "RESOURCE_DOES_NOT_EXIST"
"""The error code of MLflow's REST API for an experiment that is not there."""

TAG_OF = sa.text(
    "SELECT t.value FROM experiment_tags t JOIN experiments e ON e.experiment_id = t.experiment_id "
    "WHERE e.name = :experiment AND t.key = :tag"
)


@dataclass(frozen=True)
class Known:
    """What the instance remembers of MLflow: its address without a password, the experiment, and that one's id."""

    address: str
    experiment: str
    id: str


def known(instance: dg.DagsterInstance) -> Known | None:
    """What the instance remembers; `None` before the first training."""
    stored = instance.daemon_cursor_storage.get_cursor_values({KEY}).get(KEY)
    return Known(**json.loads(stored)) if stored else None


def remember(instance: dg.DagsterInstance, uri: str, experiment: str, tag: str) -> None:
    """Remember the id of the experiment."""
    found = Known(without_password(uri), experiment, tag)
    if found != known(instance):
        instance.daemon_cursor_storage.set_cursor_values({KEY: json.dumps(asdict(found))})


def forget(instance: dg.DagsterInstance) -> Known | None:
    """Let MLflow begin anew, and return what was remembered. The experiment that is there now, or the next one, is taken."""
    former = known(instance)
    instance.daemon_cursor_storage.set_cursor_values({KEY: ""})
    return former


def require_same(instance: dg.DagsterInstance, uri: str, experiment: str, tag: str | None, *, exists: bool) -> None:
    """Refuse an MLflow that is not the one of earlier trainings.

    Args:
        instance: instance that remembers it.
        uri: address of the MLflow that is found now.
        experiment: name of the experiment.
        tag: id of the experiment that is found now; `None` if it has none.
        exists: whether there is such an experiment.

    Raises:
        LostError: if it is another one, or begins anew.
    """
    stored = instance.daemon_cursor_storage.get_cursor_values({KEY}).get(KEY)
    if stored == "":  # `churn data adopt` has said that it may
        return
    before = known(instance)
    shown = without_password(uri)
    if before is None:
        trained = any(instance.get_latest_materialization_event(dg.AssetKey(asset)) for asset in ASSETS)
        if trained and not exists:
            raise LostError(_lost(uri, experiment, shown))
        return
    if before.experiment == experiment and before.id != tag:
        raise LostError(_lost(uri, experiment, before.address))


def require_not_lost(instance: dg.DagsterInstance, uri: str, experiment: str) -> None:
    """``require_same`` by one short question to MLflow's database or server, without MLflow's own client.

    Raises:
        AbsentError: if it was never made.
        InputError: if it does not answer.
        LostError: if it is another one, or was removed.
    """
    try:
        sign_of_life(uri)
    except ChurnError:
        if uri.startswith("sqlite:"):  # missing, empty or another program's: a server that is away is not lost
            require_same(instance, uri, experiment, None, exists=False)
        raise
    exists, tag = _ask(uri, experiment)
    require_same(instance, uri, experiment, tag, exists=exists)


def _ask(uri: str, experiment: str) -> tuple[bool, str | None]:
    """Whether there is such an experiment, and the id in its tag."""
    if is_server(uri):
        return _ask_server(uri, experiment)
    engine = connect(uri)
    try:
        with engine.connect() as connection:
            names = connection.execute(
                sa.text("SELECT 1 FROM experiments WHERE name = :experiment"), {"experiment": experiment}
            )
            exists = names.scalar() is not None
            tag = connection.execute(TAG_OF, {"experiment": experiment, "tag": TAG}).scalar()
            return exists, None if tag is None else str(tag)
    except SQLAlchemyError as error:
        raise InputError(
            f"the MLflow database {without_password(uri)} does not say whether it has the experiment {experiment} "
            f"({type(error).__name__}); look at it, or set tracking.uri"
        ) from error
    finally:
        engine.dispose()


def _ask_server(uri: str, experiment: str) -> tuple[bool, str | None]:
    try:
        answer = httpx.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name",
            params={"experiment_name": experiment},
            timeout=PATIENCE_S,
        )
        if answer.status_code == httpx.codes.NOT_FOUND and answer.json().get("error_code") == NO_EXPERIMENT:
            return False, None
        answer.raise_for_status()
        tags = {tag["key"]: tag["value"] for tag in answer.json()["experiment"].get("tags", [])}
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the MLflow at {without_password(uri)} does not say whether it has the experiment {experiment} ({type(error).__name__}); look at "
            "its log, or set tracking.uri"
        ) from error
    return True, tags.get(TAG)


def _lost(uri: str, experiment: str, before: str) -> str:
    shown, file = without_password(uri), sa.make_url(uri).database if uri.startswith("sqlite:") else None
    found = (
        f"{shown} is gone, and with it the experiment {experiment} of earlier trainings"
        if file is not None and not Path(file).exists()
        else f"{shown} is not the one that earlier trainings wrote to ({before}); it lacks their experiment {experiment}"
    )
    return (
        f"MLflow's database is lost: {found} with its runs and registered models. Bring it back from a backup, or set tracking.uri to where it is; "
        "`churn data adopt` lets it begin anew"
    )
