"""`churn keys`: the API keys of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from churn_api.security.keys import KeyStore
from churn_api.settings import ServiceConfig
from churn_store.database.schema import connect


@click.group()
def keys() -> None:
    """Make, list and revoke the API keys of the service."""


@keys.command("create")
@click.option("--name", required=True, help="Whose key, for people: a person or a program.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(("predict", "read", "release", "admin")),
    default=("predict", "read"),
    show_default=True,
    help="What it is for; may be given more than once.",
)
@click.option("--expires-days", type=click.IntRange(min=1), help="Days until it expires; default: never.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="Write the key to a new file that only you can read, and print no key."
)
def keys_create(name: str, scopes: tuple[str, ...], expires_days: int | None, file: Path | None) -> None:
    """Make a key. It is shown this once; only its hash is stored."""
    with _key_store() as store:
        made = store.create(name=name, scopes=scopes, expires_days=expires_days, file=file)
    click.echo(made.key if file is None else f"key {made.key_id} for {', '.join(scopes)} written to {file}")


@keys.command("list")
def keys_list() -> None:
    """List all keys: id, state, from and to, scopes, name. Their secrets are not known."""
    with _key_store() as store:
        for key in store.list():
            end = "no end" if key.expires_s is None else _day(key.expires_s)
            state = key.state(store.now_s)
            click.echo(f"{key.key_id}  {state:8}  {_day(key.created_s)}  {end:10}  {','.join(key.scopes):13}  {key.name}")


@keys.command("revoke")
@click.argument("key_id")
def keys_revoke(key_id: str) -> None:
    """Revoke KEY_ID; a running service refuses it within about a second."""
    with _key_store() as store:
        store.revoke(key_id)
    click.echo(f"key {key_id} is revoked")


@contextmanager
def _key_store() -> Iterator[KeyStore]:
    """The keys in the configured database.

    Raises:
        InputError: the database does not answer or is not migrated.
    """
    settings = ServiceConfig.load()
    with KeyStore.open(connect(settings.database_url), now_s=settings.clock.now_s()) as store:
        yield store


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
