"""What every module holds to that import-linter (`make lint`) can not say."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} is empty"
    return found


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
