"""`churn`: the command line. Each wing brings its own commands, found by entry point and imported only when used.

Wrong use or wrong input ends with one line on standard error and exit status 2, never with a traceback.
"""

import os
import sys
from importlib.metadata import entry_points

import click

from churn_store.cli.lazy_group import LazyGroup
from churn_store.disk import disk_error
from churn_store.errors import ChurnError
from churn_store.private_files import GROUP_AND_OTHERS

GROUP = "churn.commands"

WRITES_WHERE_ASKED = frozenset({"init", "score", "simulate"})
"""Commands whose files the user names: their rights are the user's own affair. All others write into ``home``."""


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
    """Run a command; a ``ChurnError``, or a disk that is full or read-only, is one line and exit status 2."""
    users = os.umask(GROUP_AND_OTHERS)
    if WRITES_WHERE_ASKED & set(sys.argv[1:2]):
        os.umask(users)
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
    except Exception as error:
        if (said := disk_error(error, "the command was cut off, as a file can't be read or written")) is None:
            raise
        click.echo(f"churn: {said}", err=True)
        sys.exit(2)
    finally:
        os.umask(users)
