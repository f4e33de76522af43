"""MLflow that is lost is said and not begun anew; two first trainings at once make its tables once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.resources.tracking import prepare
from churn_assets.resources.tracking_identity import forget, known, require_not_lost
from churn_store.errors import AbsentError, LostError
from tests.fault_table import Fault
from tests.store.servers import Postgres

EXPERIMENT = "churn-shop"
PREPARE = """
import sys, time
from churn_assets.resources.tracking import prepare
import mlflow
print("ready", flush=True)
sys.stdin.readline()
prepare(None, sys.argv[1], "churn-shop")
print(mlflow.get_experiment_by_name("churn-shop").experiment_id)
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.mark.integration
def test_a_registry_that_is_lost_is_said_and_not_begun_anew(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    file, other = tmp_path / "mlflow.db", tmp_path / "other.db"
    uri = f"sqlite:///{file}"
    with pytest.raises(AbsentError, match="made by the first training"):
        require_not_lost(instance, uri, EXPERIMENT)
    prepare(instance, uri, EXPERIMENT)
    remembered = known(instance)
    prepare(instance, uri, EXPERIMENT)
    require_not_lost(instance, uri, EXPERIMENT)
    assert known(instance) == remembered
    whole = file.read_bytes()
    with dg.DagsterInstance.ephemeral() as another:
        prepare(another, f"sqlite:///{other}", EXPERIMENT)

    file.unlink()
    for ask in (prepare, require_not_lost):
        with pytest.raises(
            LostError, match=r"MLflow's database is lost: .*mlflow.db is gone, .* Bring it back from a backup"
        ):
            ask(instance, uri, EXPERIMENT)
    assert not file.exists(), "an empty one would be taken for it"

    for replaced in (other.read_bytes(), b""):
        file.write_bytes(replaced)
        with pytest.raises(
            LostError, match=r"MLflow's database is lost: .*mlflow.db is not the one that earlier trainings wrote to"
        ):
            require_not_lost(instance, uri, EXPERIMENT)
    with pytest.raises(LostError, match="MLflow's database is lost"):
        prepare(instance, f"sqlite:///{other}", EXPERIMENT)

    file.write_bytes(whole)
    require_not_lost(instance, uri, EXPERIMENT)
    forget(instance)
    prepare(instance, f"sqlite:///{other}", EXPERIMENT)
    require_not_lost(instance, f"sqlite:///{other}", EXPERIMENT)


@pytest.mark.integration
def test_an_installation_of_before_that_has_trained_is_not_begun_anew_either(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    instance.report_runless_asset_event(dg.AssetMaterialization("candidate_model"))
    with pytest.raises(LostError, match="MLflow's database is lost"):
        prepare(instance, uri, EXPERIMENT)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.integration
def test_what_is_no_database_is_named(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all")
    with pytest.raises(LostError, match=r"MLflow's database is lost: .*mlflow.db is no database that can be read"):
        prepare(instance, f"sqlite:///{tmp_path / 'mlflow.db'}", EXPERIMENT)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_two_first_trainings_at_once_make_the_tables_once(
    kind: str, tmp_path: Path, postgres_server: Postgres, fault: Fault
) -> None:
    fault.names(
        f"two first trainings at once, MLflow on {kind}", done="three processes make MLflow's tables at the same moment"
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    if kind == "PostgreSQL":
        uri = postgres_server.new_database().replace("postgresql://", "postgresql+psycopg://")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert len({said for said, _ in answers}) == 1, "one experiment"
    fault.held("one set of tables, one experiment, no process failed")
