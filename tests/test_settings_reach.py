"""What a change of the settings can reach: few functions of the graph take the whole, the others name their sections."""

import ast
from collections.abc import Iterator
from pathlib import Path

import churn_assets

ROOT = Path(churn_assets.__file__).parent
FEWER_THAN = 16
MAY = {
    "automation/runner.py",  # the company's graph as a command runs it
    "automation/due_sensors.py",  # each schedule reads its own sections
    "backtest/assets.py",
    "build.py",
    "champion/assets.py",
    "cli/demo.py",
    "cli/train.py",
    "connectors/open_source.py",
    "preflight/company.py",  # judges churn.yaml as a whole, as do the two below
    "preflight/rehearsal.py",
    "preflight/remedies.py",
    "training/assets.py",
}
"""Modules where a function or a class takes the whole settings: commands, and those that hand out the sections."""


def takers() -> Iterator[tuple[str, str]]:
    """Module and name of each function or class that has a parameter or a field of the type ``Settings``."""
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                annotations = [argument.annotation for argument in given]
            elif isinstance(node, ast.ClassDef):
                annotations = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
            else:
                continue
            if any(_names_settings(annotation) for annotation in annotations):
                yield file.relative_to(ROOT).as_posix(), node.name


def _names_settings(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        isinstance(part, ast.Name) and part.id == "Settings" for part in ast.walk(annotation)
    )


def test_few_functions_take_the_whole_settings() -> None:
    found = list(takers())
    assert {module for module, _ in found} == MAY
    in_stages = [name for module, name in found if not module.startswith("preflight/")]
    assert len(in_stages) < FEWER_THAN, in_stages
