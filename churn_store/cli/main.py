"""`churn`: the command line. Each wing brings its own groups, found by entry point and imported only when used.

Wrong use or wrong input ends with one line on standard error and exit status 2, never with a traceback.
"""

import sys
from importlib.metadata import EntryPoint, entry_points

import click

from churn_store.errors import ChurnError

GROUP = "churn.commands"


class FoundByEntryPoint(click.Group):
    """A group whose commands are the entry points of ``churn.commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, without importing a command."""
        return sorted(_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the one that is used."""
        found = _commands().get(cmd_name)
        return None if found is None else found.load()


def _commands() -> dict[str, EntryPoint]:
    return {command.name: command for command in entry_points(group=GROUP)}


@click.command(cls=FoundByEntryPoint, context_settings={"help_option_names": ["-h", "--help"]})
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
