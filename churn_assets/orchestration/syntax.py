"""A module's syntax: what it does, without what it says of it, and the names that it takes from other modules.

Belongs here: what one syntax tree tells. Does not belong here: how modules hang together (``source_tree``).
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
        module: its dotted name.
        name: a definition in it, or a member of a class as ``Class.member``; empty for the whole module.
    """

    module: str
    name: str = ""


@dataclass(frozen=True)
class Module:
    """A module, as its syntax tree says."""

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
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in bound(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def imports(self) -> dict[str, Part]:
        """What each imported name stands for; a name of a package that is not ours is left out."""
        return {local: part for node in self.read[1] for local, part in self.imported(node)}

    def imported(self, node: ast.AST) -> Iterator[tuple[str, Part]]:
        """The local names that a statement imports from the three packages, and what they stand for."""
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
    """A digest of what some statements do, and their telling nodes.

    The digest leaves out comments, docstrings, descriptions of settings, and where in the file something stands.
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
    """Add a node to some words: all in one go, as this is what takes the time."""
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
