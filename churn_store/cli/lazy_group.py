"""A group of commands that are imported when they are used.

The pattern is click's own ("Lazily Loading Subcommands"). Click's version imports all commands to list their help texts; this one reads
the docstrings from the source.
"""

import ast
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by where they are.

    Args:
        places: function that returns the place of each command by its name, like ``package.module:function``.
        settings: arguments of ``click.Group``.
    """

    def __init__(self, *, places: Callable[[], Mapping[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands, without importing one."""
        return sorted(self._places())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command that is used."""
        place = self._places().get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List all commands with the first sentence of their docstrings."""
        commands = sorted(self._places().items())
        limit = formatter.width - 6 - max(len(name) for name, _ in commands)
        sources: dict[str, dict[str, str]] = {}
        rows = []
        for name, place in commands:
            module, _, function = place.partition(":")
            if module not in sources:
                sources[module] = _docstrings(module)
            rows.append((name, _short_help(sources[module].get(function, ""), limit)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _docstrings(module: str) -> dict[str, str]:
    """The docstring of each command of a module, from its source; none for a module that does not exist.

    Of a group that is a value, it is the docstring of its module.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return {}
    parsed = ast.parse(Path(spec.origin).read_bytes())
    of_groups = {
        target.id: ast.get_docstring(parsed) or ""
        for node in parsed.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return of_groups | {
        node.name: ast.get_docstring(node) or "" for node in parsed.body if isinstance(node, ast.FunctionDef)
    }


def _short_help(docstring: str, limit: int) -> str:
    return click.Command(None, help=docstring).get_short_help_str(limit)
