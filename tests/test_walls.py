"""The walls between the three packages, and between plain modules and frameworks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"dagster", "dagster_mlflow", "mlflow", "pandas", "sklearn", "skl2onnx", "evidently", "pandera"}
DAGSTER_MODULES = {"assets.py", "checks.py", "jobs.py", "schedules.py", "sensors.py", "definitions.py"}
DAGSTER_BESIDES = {
    "churn_assets/automation/retraining_sensor.py",
    "churn_assets/build.py",
    "churn_assets/orchestration/table_writer.py",
    "churn_assets/orchestration/partitions.py",
    "churn_assets/automation/runner.py",
    "churn_assets/cli/demo.py",
    "churn_assets/orchestration/instance.py",
    "churn_assets/cli/smoke_test.py",
    "churn_assets/resources/tracking.py",
    "churn_assets/orchestration/run_history.py",
    "churn_assets/cli/train.py",
    "churn_assets/orchestration/failure_policy.py",
    "churn_assets/champion/mlflow_logging.py",
}
"""Modules that speak to Dagster though their name does not say so; each is a thin edge."""


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} is empty"
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("churn_store", {"churn_assets", "churn_api", "litestar", "uvicorn", *HEAVY}),
        ("churn_api", {"churn_assets", *HEAVY}),
        ("churn_assets", {"churn_api", "litestar", "uvicorn"}),
    ],
)
def test_no_module_reaches_through_a_wall(package: str, forbidden: set[str]) -> None:
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in modules(package)
        for name in imports(file)
        if name.split(".")[0] in forbidden
    ]
    assert found == []


def test_plain_modules_of_the_graph_do_not_import_dagster() -> None:
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in modules("churn_assets")
        if file.name not in DAGSTER_MODULES and str(file.relative_to(ROOT)) not in DAGSTER_BESIDES
        for name in imports(file)
        if name.split(".")[0] in {"dagster", "dagster_mlflow"}
    ]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    files = [file for package in ("churn_store", "churn_api", "churn_assets") for file in modules(package)]
    silent = [str(file.relative_to(ROOT)) for file in files if not ast.get_docstring(ast.parse(file.read_text("utf-8")))]
    assert silent == []


def test_only_the_clock_reads_the_wall_clock() -> None:
    allowed = {"churn_store/clock.py"}
    found = []
    for package in ("churn_store", "churn_assets"):
        for file in modules(package):
            text = file.read_text(encoding="utf-8")
            if any(call in text for call in ("datetime.now(", "date.today(", "time.time(")):
                found.append(str(file.relative_to(ROOT)))
    assert set(found) <= allowed
