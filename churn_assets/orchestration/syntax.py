"""A module's syntax: a digest of its code without comments and docstrings, and the names that it takes from other modules.

Belongs here: what can be read from one syntax tree. Does not belong here: how modules depend on each other (``source_tree``).
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

PACKAGES = ("churn_assets", "churn_store", "churn_api")

TELLING = (ast.ImportFrom, ast.Attribute, ast.arg, ast.AnnAssign, ast.Assign, ast.Call, ast.Import)


class Part(NamedTuple):
    """A part of the source.

    Attributes:
        module: dotted name of the module.
        name: name of a definition in it, or of a member of a class as ``Class.member``; empty for the whole module.
    """

    module: str
    name: str = ""


@dataclass(frozen=True)
class Module:
    """A module with its syntax tree."""

    name: str
    tree: ast.Module
    is_package: bool

    @cached_property
    def read(self) -> tuple[bytes, list[ast.AST]]:
        """A digest of the whole module, and the nodes that say what it takes from elsewhere: imports, attributes, declarations."""
        return digest_of_syntax(self.tree.body)

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The statements at the top that bind a name."""
        by_name: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in bound(statement):
                by_name.setdefault(name, []).append(statement)
        return by_name

    @cached_property
    def imports(self) -> dict[str, Part]:
        """The part that each imported name stands for; names of other packages than our three are left out."""
        return {local: part for node in self.read[1] for local, part in self.imported(node)}

    def imported(self, node: ast.AST) -> Iterator[tuple[str, Part]]:
        """The local names that a statement imports from the three packages, with the part that each stands for."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    yield alias.asname or alias.name, Part(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = self.name.split(".")[: None if self.is_package and node.level == 1 else self.is_package - node.level]
            module = ".".join([*(above if node.level else ()), *([node.module] if node.module else ())])
            if _is_ours(module):
                for alias in node.names:
                    yield alias.asname or alias.name, Part(module, "" if alias.name == "*" else alias.name)


@cache
def parsed(name: str, source: bytes, *, is_package: bool) -> Module:
    """A module from its source; the same source is parsed once."""
    return Module(name, ast.parse(source, name), is_package)


def digest_of_syntax(statements: Iterable[ast.stmt]) -> tuple[bytes, list[ast.AST]]:
    """A digest of the code of some statements, and the nodes that say what it takes from elsewhere.

    The digest ignores comments, docstrings, descriptions of settings, and positions in the file.
    """
    words: list[str] = []
    telling: list[ast.AST] = []
    for statement in statements:
        if not _is_text(statement):
            _spell(statement, words, telling)
    return hashlib.sha256("\n".join(words).encode()).digest(), telling


def bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def last_name(node: ast.AST) -> str:
    """``settings`` of ``settings`` and of ``graph.settings``; empty for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _spell(node: ast.AST, words: list[str], telling: list[ast.AST]) -> None:
    """Append a node's words and its telling nodes in one pass, as this is what takes the time."""
    words.append(node.__class__.__name__)
    if isinstance(node, TELLING):
        telling.append(node)
    described = isinstance(node, ast.Call) and last_name(node.func) == "Field"
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            _spell(value, words, telling)
        elif isinstance(value, list):
            words.append("[")
            for one in value:
                if not isinstance(one, ast.AST):
                    words.append(repr(one))
                elif not (_is_text(one) or (described and isinstance(one, ast.keyword) and one.arg == "description")):
                    _spell(one, words, telling)
            words.append("]")
        else:
            words.append(repr(value))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in PACKAGES
