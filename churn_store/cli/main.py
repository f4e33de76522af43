"""`churn`: the command line. Each wing brings its own commands, found by entry point and imported only when used.

Wrong use or wrong input ends with one line on standard error and exit status 2, never with a traceback.
"""

import sys
from importlib.metadata import entry_points

import click

from churn_store.cli.lazy_group import LazyGroup
from churn_store.errors import ChurnError

GROUP = "churn.commands"


def _places() -> dict[str, str]:
    return {command.name: command.value for command in entry_points(group=GROUP)}


churn = LazyGroup(
    name="churn",
    places=_places,
    help="Who is about to leave, and why: train, release, serve.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
churn = click.version_option(package_name="churn-platform")(churn)


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
