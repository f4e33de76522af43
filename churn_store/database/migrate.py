"""Brings the serving database to the newest schema, once and under a lock, and checks the schema.

Migrations are run by ``churn migrate`` (the demo and compose call it), never by a worker that starts.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from churn_store.database.schema import REVISION, connect
from churn_store.errors import DatabaseAwayError, InputError

MIGRATIONS = Path(__file__).parent / "migrations"

ADVISORY_LOCK = 0x636875726E  # "churn"


def migrate(url: str) -> str:
    """Apply the missing migrations; concurrent callers wait for each other.

    Returns:
        The revision that the database has now.
    """
    import alembic.command  # noqa: PLC0415 - takes longer than a rollback, which only asks for the revision
    from alembic.config import Config  # noqa: PLC0415

    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        Path(address.database).touch()
    engine = connect(url)
    try:
        with _lock(engine), engine.connect() as connection:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
            connection.commit()
        return REVISION
    finally:
        engine.dispose()


def require_migrated(engine: sa.Engine) -> None:
    """Refuse to work on a database of another schema.

    Raises:
        DatabaseAwayError: if the database does not answer.
        InputError: if it has not been migrated, or is newer than this code.
    """
    try:
        with engine.connect() as connection:
            has_version = sa.inspect(connection).has_table("alembic_version")
            revision = (
                connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if has_version else None
            )
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAwayError(
            f"the serving database {engine.url.render_as_string()} does not answer ({type(error.orig).__name__}); start it, "
            "set store.database_url, or make a new one with `churn migrate`"
        ) from error
    if revision != REVISION:
        raise InputError(
            f"the serving database {engine.url.render_as_string()} is at revision {revision or 'none'}, "
            f"expected {REVISION}; run `churn migrate`"
        )


@contextmanager
def _lock(engine: sa.Engine) -> Iterator[None]:
    if engine.url.get_backend_name() == "sqlite":
        with open(f"{engine.url.database}.migrating", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as holder:
        holder.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        try:
            yield
        finally:
            holder.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
