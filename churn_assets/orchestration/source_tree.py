"""The source of a stage: its modules, and everything that they import, directly or not.

Belongs here: which parts of the three packages a stage uses, read from their syntax trees without importing them. Does not
belong here: the code version made from these parts (``code_version``).

A module counts as a whole. Of a module of settings only the definitions that are imported by name count, with the definitions that
they use. Of a class that holds all sections (``Settings``) only the sections and properties that are read as attributes count.
"""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from churn_assets.orchestration.syntax import PACKAGES, Module, Part, bound, digest_of_syntax, last_name, parsed

SETTINGS = ("churn_assets.settings.company", "Settings")
NAMES_OF_SETTINGS = frozenset({"settings", "_settings"})
"""The names under which an object of that class appears in a module that does not import the class."""


class SourceTree:
    """The packages below a folder.

    Args:
        root: folder that holds the packages.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.module = cache(self._module)
        self._members_of = cache(self._config_members)
        self._next = cache(self._uses)

    def stage(self, name: str) -> list[Part]:
        """The modules of a stage, which is a folder of ``churn_assets``."""
        files = sorted((self._root / PACKAGES[0] / name).rglob("*.py"))
        if not files:
            raise ValueError(f"{name!r} is no stage: {self._root / PACKAGES[0]} has no such folder with modules")
        return [
            Part(".".join(file.relative_to(self._root).with_suffix("").parts).removesuffix(".__init__")) for file in files
        ]

    def closure(self, stages: Iterable[str]) -> list[Part]:
        """All parts that the modules of some stages use, directly or not, in order."""
        waiting = [part for stage in stages for part in self.stage(stage)]
        seen = set(waiting)
        while waiting:
            new = self._next(waiting.pop()) - seen
            seen |= new
            waiting += new
        return sorted(seen)

    def statements(self, part: Part) -> list[ast.stmt]:
        """The statements of a part."""
        module = self.module(part.module)
        if module is None:
            return []
        if not part.name:
            return module.tree.body
        owner, _, member = part.name.partition(".")
        if member:
            return [self._members_of(Part(part.module, owner))[member][1]]
        if self._members_of(part):  # the members of a class that holds all sections are parts of their own
            return []
        return module.definitions.get(part.name, module.tree.body)

    def digest(self, part: Part) -> bytes:
        """A digest of a part's code."""
        module = self.module(part.module)
        return module.read[0] if module is not None and not part.name else digest_of_syntax(self.statements(part))[0]

    def sections(self, parts: Iterable[Part]) -> frozenset[str]:
        """The names of the sections of ``Settings`` that some parts use: as its attributes, or by the section's class."""
        taken, fields = set(parts), set()
        for name, (owner, statement) in self._members_of(Part(*SETTINGS)).items():
            if not isinstance(statement, ast.AnnAssign):
                continue
            module = self.module(owner.module)
            classes = [node.id for node in ast.walk(statement.annotation) if isinstance(node, ast.Name)]
            of_class = {Part(owner.module, one) for one in classes if module and one in module.definitions}
            of_class |= {module.imports[one] for one in classes if module and one in module.imports}
            if Part(owner.module, f"{owner.name}.{name}") in taken or of_class & taken:
                fields.add(name)
        return frozenset(fields)

    def _module(self, name: str) -> Module | None:
        path = self._root.joinpath(*name.split("."))
        for file, is_package in ((path.with_suffix(".py"), False), (path / "__init__.py", True)):
            if file.is_file():
                return parsed(name, file.read_bytes(), is_package=is_package)
        return None

    def _uses(self, part: Part) -> set[Part]:
        """The parts that a part uses directly."""
        module = self.module(part.module)
        if module is None:
            return set()
        packages = part.module.split(".")[:-1]
        used = {Part(".".join(packages[: depth + 1])) for depth in range(len(packages))}
        if not part.name:
            for node in module.read[1]:
                used |= {self._resolved(target, by_definition=False) for _, target in module.imported(node)}
            return used | self._attributes(module)
        owner, _, member = part.name.partition(".")
        members = self._members_of(Part(part.module, owner)) if member else {}
        if not member and part.name not in module.definitions and part.name in module.imports:
            return {self._resolved(module.imports[part.name], by_definition=True)}
        for node in (node for statement in self.statements(part) for node in ast.walk(statement)):
            used |= {self._resolved(target, by_definition=True) for _, target in module.imported(node)}
            if isinstance(node, ast.Name) and node.id in module.definitions and node.id != part.name:
                used.add(Part(part.module, node.id))
            elif isinstance(node, ast.Name) and node.id in module.imports:
                used.add(self._resolved(module.imports[node.id], by_definition=True))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                used |= _as_parts(members, [node.attr] if node.attr in members else [])
        return used

    def _resolved(self, target: Part, *, by_definition: bool) -> Part:
        """The part that an import uses: a module, or a definition of a module that does not count as a whole."""
        if not target.name:
            return target
        inside = f"{target.module}.{target.name}"
        if self.module(inside) is not None:
            return Part(inside)
        return target if by_definition or _holds_settings(target.module) else Part(target.module)

    def _attributes(self, module: Module) -> set[Part]:
        """The members of ``Settings`` and similar classes that a module reads."""
        read_members: set[Part] = set()
        holders = self._holders(module)
        for holder, names in holders:
            members = self._members_of(holder)
            for node in module.read[1]:
                if isinstance(node, ast.Attribute) and last_name(node.value) in names:
                    # A method of pydantic, such as `model_dump`, reads all members; any other name belongs to another object.
                    read = members if node.attr.startswith("model_") else {node.attr} & members.keys()
                    read_members |= _as_parts(members, read)
                elif isinstance(node, ast.Call) and last_name(node.func) in ("getattr", "vars", "dict") and node.args:
                    read_members |= _as_parts(members, members if last_name(node.args[0]) in names else ())
        held = {name for _, names in holders for name in names}
        members = self._members_of(Part(*SETTINGS))
        for node in module.read[1]:
            if isinstance(node, ast.Attribute) and last_name(node.value) in NAMES_OF_SETTINGS - held:
                read_members |= _as_parts(members, [node.attr] if node.attr in members else ())
        return read_members

    def _holders(self, module: Module) -> list[tuple[Part, set[str]]]:
        """The classes like ``Settings`` that a module imports, each with the names of its objects in that module."""
        found = []
        for local, holder in module.imports.items():
            if not self._members_of(holder):
                continue
            names = {local}
            for node in module.read[1]:
                if isinstance(node, ast.arg) and _mentions(node.annotation, local):
                    names.add(node.arg)
                elif isinstance(node, ast.AnnAssign) and _mentions(node.annotation, local):
                    names.add(last_name(node.target))
            while more := {  # other names of the same objects
                last_name(target)
                for node in module.read[1]
                if isinstance(node, ast.Assign) and last_name(node.value) in names
                for target in node.targets
            } - {*names, ""}:
                names |= more
            found.append((holder, names))
        return found

    def _config_members(self, part: Part) -> dict[str, tuple[Part, ast.stmt]]:
        """The members of a class that holds all sections, with the class that declares each; empty for any other part."""
        module = self.module(part.module) if _holds_settings(part.module) else None
        definition = module.definitions.get(part.name, [None])[0] if module is not None else None
        if module is None or not isinstance(definition, ast.ClassDef):
            return {}
        collected: dict[str, tuple[Part, ast.stmt]] = {}
        is_one = False
        for base in map(last_name, definition.bases):
            inherited = self._members_of(module.imports.get(base, Part(part.module, base)))
            is_one |= base == "BaseSettings" or bool(inherited)
            collected |= inherited
        if is_one:
            collected |= {name: (part, statement) for statement in definition.body for name in bound(statement)}
        return collected


def _mentions(annotation: ast.expr | None, name: str) -> bool:
    return annotation is not None and any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(annotation))


def _as_parts(members: dict[str, tuple[Part, ast.stmt]], names: Iterable[str]) -> set[Part]:
    return {Part(members[name][0].module, f"{members[name][0].name}.{name}") for name in names}


def _holds_settings(module: str) -> bool:
    return "settings" in module.split(".") or module.endswith("_settings")
