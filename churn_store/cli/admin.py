"""The commands of the hall for the clock and the migrations."""

import click

from churn_store.clock import parse_time
from churn_store.database.migrate import migrate as apply_migrations
from churn_store.private_files import keep_private, make_private
from churn_store.releases.installation import migrate_installation
from churn_store.settings import ConfigFile, config_file

DAGSTERS_FOLDER = ".dagster"
"""Where the dagster.yaml of an embedded instance keeps runs and their logs."""


@click.group()
def clock() -> None:
    """Show or set the time that periods, maturity and ages are measured by."""


@clock.command("show")
def clock_show() -> None:
    """Print the time, and whether it is fixed."""
    time = ConfigFile.load().clock
    click.echo(f"{time.now().isoformat()} ({'fixed' if time.is_fixed else 'wall clock'})")


@clock.command("set")
@click.argument("as_of")
def clock_set(as_of: str) -> None:
    """Fix the time at AS_OF (such as 2026-02-01); a running daemon and service see it at once."""
    time = ConfigFile.load().clock
    time.fix(parse_time(as_of, where="AS_OF"))
    click.echo(f"the time now stands at {time.now().isoformat()}")


@clock.command("wall")
def clock_wall() -> None:
    """Follow the wall clock again."""
    time = ConfigFile.load().clock
    time.follow_wall_time()
    click.echo(f"the time follows the wall clock: {time.now().isoformat()}")


@click.command()
@click.option(
    "--anew",
    is_flag=True,
    help="Make the tables although the database is lost: releases, keys, outcomes and the log are gone then.",
)
def migrate(anew: bool) -> None:
    """Bring the serving database to the newest schema, and make what lies in `home` readable by this user alone."""
    settings = ConfigFile.load()
    keep_private(settings.home)
    url = settings.database_url
    revision = apply_migrations(url) if anew else migrate_installation(url, settings.releases_url)
    click.echo(f"serving database at revision {revision}")
    for folder in (settings.home, config_file().absolute().parent / DAGSTERS_FOLDER):
        if changed := make_private(folder):
            click.echo(f"{folder}: {changed} files and folders that other users could read are yours alone now")
