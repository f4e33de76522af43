"""`churn keys`: the API keys of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from churn_api.security.keys import SCOPES, KeyStore
from churn_api.settings import ServiceConfig
from churn_store.clock import wall_s
from churn_store.database.schema import connect

TO_A_FILE = click.option(
    "--file", type=click.Path(path_type=Path), help="Write the key to a new file that only you can read, and print no key."
)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke the API keys of the service."""


@keys.command("create")
@click.option("--name", required=True, help="Whose key, for people: a person or a program.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=("predict", "read"),
    show_default=True,
    help="What it is for; may be given more than once.",
)
@click.option("--expires-days", type=click.IntRange(min=1), help="Days until it expires; default: never.")
@TO_A_FILE
def keys_create(name: str, scopes: tuple[str, ...], expires_days: int | None, file: Path | None) -> None:
    """Make a key. It is shown this once; only its hash is stored."""
    with _key_store() as store:
        made = store.create(name=name, scopes=scopes, expires_days=expires_days, file=file)
    click.echo(made.key if file is None else f"key {made.key_id} for {', '.join(scopes)} written to {file}")


@keys.command("list")
def keys_list() -> None:
    """List all keys: id, state, from and to, last use, scopes, name. Their secrets are not known."""
    with _key_store() as store:
        for key in store.list():
            end = "no end" if key.expires_s is None else _day(key.expires_s)
            state = key.state(store.now_s)
            used = "never used" if key.last_used_s is None else f"used {_minute(key.last_used_s)}"
            is_rotated = key.former_until_s is not None and key.former_until_s > store.now_s
            former = f"  (former secret until {_minute(key.former_until_s or 0)})" if is_rotated else ""
            click.echo(
                f"{key.key_id}  {state:8}  {_day(key.created_s)}  {end:10}  {used:21}  {','.join(key.scopes):13}  "
                f"{key.name}{former}"
            )


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--keep-hours",
    type=click.IntRange(min=0, max=24 * 366),
    default=24,
    show_default=True,
    help="For how long the former secret is accepted besides; 0: not at all.",
)
@TO_A_FILE
def keys_rotate(key_id: str, keep_hours: int, file: Path | None) -> None:
    """Give KEY_ID a new secret, shown this once. Its id, scopes and expiry stay."""
    with _key_store() as store:
        made = store.rotate(key_id, keep_hours=keep_hours, file=file)
    former = f"the former secret is accepted for {keep_hours} more hours" if keep_hours else "the former secret is refused"
    click.echo(made.key if file is None else f"key {made.key_id} written to {file}; {former}")
    if file is None:
        click.echo(former, err=True)


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
    with KeyStore.open(connect(settings.database_url), now_s=int(wall_s())) as store:
        yield store


def _minute(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
