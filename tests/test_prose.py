"""No dotted name in prose leads nowhere: docstrings, comments, README and docs name modules and attributes that exist."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from churn_api.settings import ServiceConfig
from churn_assets.settings.company import Settings
from churn_store.mapping.column_settings import LabelColumn

ROOT = Path(__file__).parent.parent
PACKAGES = ("churn_assets", "churn_store", "churn_api")
MODULES = {
    file: ast.parse(file.read_text(encoding="utf-8")) for package in PACKAGES for file in (ROOT / package).rglob("*.py")
}
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
ROOMS = {name for file in MODULES for name in (file.stem, file.parent.name)}

DOTTED = re.compile(r"\bchurn_(?:assets|store|api)(?:\.\w+)+")
PATH = re.compile(r"\bchurn_(?:assets|store|api)/[\w/.]*\w")
QUOTED = re.compile(r"(?<!`)`{1,2}([a-z_]\w*(?:\.\w+)+)(?:\(\))?`")
FILE_NAME = re.compile(r".*\.(csv|html|json|lock|md|onnx|parquet|py|svg|yaml|yml)")
OWNERS = re.compile(r"\(((?:``[a-z_.]+``(?:, | and )?)+)\)")
"""Modules in brackets, as behind "does not belong here"."""


def dotted(file: Path) -> str:
    if file == ROOT:
        return ""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def names_in(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    """Names that a module binds, and those that its classes bind."""
    yield prefix
    for statement in body:
        match statement:
            case ast.ClassDef(name=name, body=inner):
                yield from names_in(inner, f"{prefix}.{name}")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield f"{prefix}.{name}"
            case ast.Assign(targets=targets):
                yield from (f"{prefix}.{target.id}" for target in targets if isinstance(target, ast.Name))
            case _:
                pass


NAMES = {name for file, tree in MODULES.items() for name in names_in(tree.body, dotted(file))}
NAMES |= {dotted(file.parent) for file in MODULES}


def settings_in(config: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of the settings of a class and of its sections, however deep."""
    for name, field in config.model_fields.items():
        yield prefix + name
        for section in (field.annotation, *get_args(field.annotation)):
            if isinstance(section, type) and issubclass(section, BaseModel):
                yield from settings_in(section, f"{prefix}{name}.")


SETTINGS = {name for config in (Settings, ServiceConfig) for name in settings_in(config)}
SETTINGS |= set(settings_in(LabelColumn, "label."))  # of a table without time


def leads_somewhere(name: str, file: Path) -> bool:
    """Whether a name is a setting, or a module or an attribute as seen from the file's folder, a package or the top."""
    return name in SETTINGS or any(
        prefix + name in NAMES for prefix in ("", f"{dotted(file.parent)}.", *(f"{p}." for p in PACKAGES))
    )


def prose(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    if file not in MODULES:
        return text
    alone = [node.value for node in ast.walk(MODULES[file]) if isinstance(node, ast.Expr)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    docstrings = [node.value for node in alone if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join([*docstrings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def test_names_in_prose_lead_somewhere() -> None:
    lost = []
    for file in [*MODULES, *DOCUMENTS]:
        text = prose(file)
        quoted = {name for name in QUOTED.findall(text) if name.split(".")[0] in ROOMS and not FILE_NAME.fullmatch(name)}
        names = {name for name in {*DOTTED.findall(text), *quoted} if not leads_somewhere(name, file)}
        paths = {path for path in PATH.findall(text) if not (ROOT / path).exists()}
        lost += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(names | paths)]
    assert lost == []


def test_what_does_not_belong_into_a_module_has_its_place_elsewhere() -> None:
    lost = []
    for file, tree in MODULES.items():
        _, _, elsewhere = " ".join((ast.get_docstring(tree) or "").split()).partition("Does not belong here:")
        owners = {name for bracket in OWNERS.findall(elsewhere) for name in re.findall(r"[\w.]+", bracket)}
        lost += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(owners) if not leads_somewhere(name, file)]
    assert lost == []


def test_every_decision_has_the_same_head_and_a_line_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    form = re.compile(
        r"# \d{4}: .+\n\n- Status: (accepted|superseded by \d{4}.*)\n- Date: \d{4}-\d\d-\d\d\n"
        r"\n## Context\n.+\n## Decision\n.+\n## Alternatives\n.+\n## Consequences\n.+",
        re.DOTALL,
    )
    records = sorted(folder.glob("[0-9]*.md"))
    assert [record.name for record in records if not form.fullmatch(record.read_text(encoding="utf-8"))] == []
    assert [record.name for record in records if f"]({record.name})" not in index] == []
