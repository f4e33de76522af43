"""The Dagster instance and workspace of compose beside the embedded ones."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

TOP = Path(__file__).resolve().parents[2]
WHERE_THINGS_ARE = {"storage", "local_artifact_storage", "compute_logs"}
SERVICES = yaml.safe_load((TOP / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def read(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((TOP / path).read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("folder", ["", "deploy"])
def test_dagster_accepts_the_instance_file(folder: str) -> None:
    config, _ = dagster_instance_config(str(TOP / folder))

    assert set(config) >= WHERE_THINGS_ARE


def test_the_instances_differ_only_in_where_things_are() -> None:
    embedded, production = read("dagster.yaml"), read("deploy/dagster.yaml")

    def shared(instance: dict[str, Any]) -> dict[str, Any]:
        return {name: block for name, block in instance.items() if name not in WHERE_THINGS_ARE}

    assert shared(production) == shared(embedded)
    assert {"telemetry", "concurrency", "run_retries", "run_monitoring", "retention"} <= set(shared(production))


def test_the_production_instance_speaks_psycopg2() -> None:
    assert read("deploy/dagster.yaml")["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"


@pytest.mark.parametrize("service", ["code-server", "webserver", "daemon"])
def test_every_process_of_dagster_is_given_what_the_instance_reads(service: str) -> None:
    database = read("deploy/dagster.yaml")["storage"]["postgres"]["postgres_db"]
    names = {value["env"] for value in database.values() if isinstance(value, dict)}

    assert names <= set(SERVICES[service]["environment"])


def test_the_workspace_names_the_code_server_as_compose_starts_it() -> None:
    [location] = read("deploy/workspace.yaml")["load_from"]
    server = location["grpc_server"]
    command = SERVICES[server["host"]]["command"]

    assert command[command.index("--port") + 1] == str(server["port"])
    assert command[command.index("--location-name") + 1] == server["location_name"]


def test_the_code_location_has_the_same_name_everywhere() -> None:
    [embedded] = read("workspace.yaml")["load_from"]
    [production] = read("deploy/workspace.yaml")["load_from"]

    assert production["grpc_server"]["location_name"] == embedded["python_module"]["location_name"]


def test_runs_keep_what_they_write_on_the_code_servers_volumes() -> None:
    mounted = {volume.split(":")[1] for volume in SERVICES["code-server"]["volumes"]}
    instance = read("deploy/dagster.yaml")
    folders = [
        *(instance[name]["config"]["base_dir"] for name in ("local_artifact_storage", "compute_logs")),
        SERVICES["code-server"]["environment"]["CHURN_HOME"],
        SERVICES["code-server"]["environment"]["CHURN_STORE__RELEASES_URL"],
    ]

    assert all(any(folder == place or folder.startswith(f"{place}/") for place in mounted) for folder in folders)
