"""What a change of the settings can reach: few functions of the graph take the whole, the others name their sections."""

import ast
from collections.abc import Iterator
from pathlib import Path

import churn_assets

ROOT = Path(churn_assets.__file__).parent
FEWER_THAN = 25
NOT_YET = ("training/", "champion/", "automation/runner.py", "automation/jobs.py", "cli/demo.py", "cli/train.py")
"""Rooms whose functions still take the whole settings; to be emptied."""

MAY = {
    "automation/schedules.py",  # each schedule reads its own sections
    "backtest/assets.py",  # with ``rolling``: ``training.fitting`` takes the whole
    "backtest/rolling.py",
    "build.py",
    "connectors/open_source.py",
    "preflight/company.py",
}
"""Modules where a function or a class takes the whole settings, as it hands out the sections."""


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
    found = [taker for taker in takers() if not taker[0].startswith(NOT_YET)]
    assert {module for module, _ in found} == MAY
    assert len(found) < FEWER_THAN, found
