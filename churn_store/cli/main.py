"""`churn`: the command line. Each wing brings its own groups, found by entry point and imported only when used.

Wrong use or wrong input ends with one line on standard error and exit status 2, never with a traceback.
"""

import ast
import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import click

from churn_store.errors import ChurnError

GROUP = "churn.commands"


class LazyGroup(click.Group):
    """A group whose commands are the entry points of ``churn.commands``; a command's module is imported when it is used.

    The pattern is click's own ("Lazily Loading Subcommands"). Click's version imports all commands to list their help texts; this
    one reads the docstrings from the source.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands, without importing one."""
        return sorted(_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command that is used."""
        entry = _commands().get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List all commands with the first sentence of their docstrings."""
        commands = sorted(_commands().items())
        limit = formatter.width - 6 - max(len(name) for name, _ in commands)
        sources: dict[str, dict[str, str]] = {}
        for _, command in commands:
            if command.module not in sources:
                sources[command.module] = _docstrings(command.module)
        rows = [(name, _short_help(sources[command.module].get(command.attr, ""), limit)) for name, command in commands]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _docstrings(module: str) -> dict[str, str]:
    """The docstring of each function of a module, from its source; none for a module that does not exist."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return {}
    parsed = ast.parse(Path(spec.origin).read_bytes())
    return {node.name: ast.get_docstring(node) or "" for node in parsed.body if isinstance(node, ast.FunctionDef)}


def _short_help(docstring: str, limit: int) -> str:
    return click.Command(None, help=docstring).get_short_help_str(limit)


def _commands() -> dict[str, EntryPoint]:
    return {command.name: command for command in entry_points(group=GROUP)}


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="churn-platform")
def churn() -> None:
    """Who is about to leave, and why: train, release, serve."""


def main() -> None:
    """Run a command; a ``ChurnError`` is one line and exit status 2."""
    try:
        churn.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)
    except ChurnError as error:
        click.echo(f"churn: {error}", err=True)
        sys.exit(2)
