"""docker-compose.yml and the image, read as text: what must hold whoever runs them. `make compose-test` runs them for real."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
TEXT = (TOP / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("churn-platform:")]
DEMANDED = r"\$\{(\w+):\?run make env\}"


def one_shots() -> set[str]:
    """Services that others wait for the end of."""
    return {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_restarted_or_ends_by_itself(name: str) -> None:
    watched = {"healthcheck", "restart"} & set(SERVICES[name])

    assert watched == (set() if name in one_shots() else {"healthcheck", "restart"})


def test_services_wait_for_what_they_need_and_not_only_for_its_start() -> None:
    conditions = [how["condition"] for service in SERVICES.values() for how in service.get("depends_on", {}).values()]

    assert "service_started" not in conditions
    assert "migrate" in SERVICES["code-server"]["depends_on"]
    assert "first-key" in SERVICES["api"]["depends_on"]
    assert "migrate" in SERVICES["first-key"]["depends_on"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_published_port_is_bound_to_this_machine(name: str) -> None:
    ports = SERVICES[name].get("ports", [])

    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []


def test_every_variable_with_a_secret_comes_from_the_environment_and_has_no_default() -> None:
    secrets = {
        (service, name): value
        for service, content in SERVICES.items()
        for name, value in content.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|AUTH", name)
    }

    assert secrets
    assert [where for where, value in secrets.items() if not re.fullmatch(DEMANDED, value)] == []


def test_every_address_with_a_password_takes_it_from_the_environment() -> None:
    passwords = re.findall(r"://\w*:(.+?)@", TEXT)

    assert passwords
    assert [password for password in passwords if not re.fullmatch(DEMANDED, password)] == []


def test_redis_asks_for_a_password_from_the_environment() -> None:
    command = SERVICES["redis"]["command"]

    assert re.fullmatch(DEMANDED, command[command.index("--requirepass") + 1])


def test_no_secret_has_a_default() -> None:
    defaults = dict(re.findall(r"\$\{(\w+):?-([^}]*)\}", TEXT))

    assert set(defaults) == {"CHURN_IMAGE_TAG", "DAGSTER_PORT", "MLFLOW_PORT", "API_PORT"}


def test_the_example_names_exactly_the_variables_that_compose_demands() -> None:
    lines = (TOP / ".env.example").read_text(encoding="utf-8").splitlines()
    names = [line.removesuffix("=") for line in lines if line and not line.startswith("#")]

    assert sorted(names) == sorted(set(re.findall(r"\$\{(\w+):?\?", TEXT)))


def test_the_image_is_built_once_and_shared() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    assert {SERVICES[name]["image"] for name in OURS} == {SERVICES["migrate"]["image"]}
    assert set(OURS) == set(SERVICES) - {"postgres", "redis"}


def test_the_image_runs_as_a_user_without_rights() -> None:
    lines = (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]

    assert [line for line in last_stage if line.startswith("USER ")] == ["USER churn"]
    assert not any("user" in service for service in SERVICES.values())
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in OURS)


def test_the_dockerfile_installs_locked_packages_and_needs_no_buildkit() -> None:
    text = (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8")

    assert "--require-hashes -r requirements.lock" in text
    assert not re.search(r"--mount|<<|index-url|https?://", text)


def test_no_secret_and_no_data_gets_into_the_build() -> None:
    rules = [line for line in (TOP / ".dockerignore").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    assert rules[0] == "*"
    assert not any(re.search(r"^!(\.env|\.churn|\.dagster|\.git)", rule) for rule in rules)


def test_the_service_cannot_write_what_the_graph_writes() -> None:
    assert "home:/var/lib/churn:ro" in SERVICES["api"]["volumes"]
    assert not any(volume.startswith("key:") for volume in SERVICES["api"]["volumes"])


METRICS = yaml.safe_load((TOP / "deploy" / "compose-metrics.yml").read_text(encoding="utf-8"))
SCRAPE = yaml.safe_load((TOP / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]


def test_prometheus_reads_the_metrics_by_a_key_of_its_own_that_may_only_read() -> None:
    key, prometheus = METRICS["services"]["metrics-key"], METRICS["services"]["prometheus"]
    credentials = SCRAPE["authorization"]["credentials_file"]

    assert f"--scope read --file {credentials} &&" in " ".join(key["command"][-1].split())
    assert "metrics-key:" + str(Path(credentials).parent) in key["volumes"]
    assert f"metrics-key:{Path(credentials).parent}:ro" in prometheus["volumes"]
    assert prometheus["depends_on"]["metrics-key"]["condition"] == "service_completed_successfully"
    assert str(Path(credentials).parent) in (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "OPEN_METRICS" not in TEXT + str(METRICS)


def test_prometheus_asks_the_service_where_it_listens_and_is_published_to_this_machine_alone() -> None:
    port = SERVICES["api"]["environment"]["CHURN_SERVICE__PORT"]

    assert SCRAPE["static_configs"] == [{"targets": [f"api:{port}"]}]
    assert all(port.startswith("127.0.0.1:") for port in METRICS["services"]["prometheus"]["ports"])
    assert METRICS["services"]["metrics-key"]["image"] == SERVICES["api"]["image"]
    assert METRICS["services"]["metrics-key"]["cap_drop"] == ["ALL"]
