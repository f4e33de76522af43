"""Brings the serving database to the newest schema, once and under a lock, and checks the schema.

Migrations are run by ``churn migrate`` (the demo and compose call it), never by a worker that starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from churn_store.database.guarded_file import locked, make_file
from churn_store.database.schema import REVISION, connect, metadata
from churn_store.database.sqlite_file import require_sqlite
from churn_store.disk import disk_error
from churn_store.errors import DatabaseAwayError, InputError
from churn_store.redaction import without_password

MIGRATIONS = Path(__file__).parent / "migrations"

ADVISORY_LOCK = 0x636875726E  # "churn"

MIGRATE = "run `churn migrate`: it makes those of a new installation, and says if this one has lost its own"

AN_EMPTY_ONE = (
    "`churn migrate --anew` makes an empty one: releases, keys, outcomes and the log of predictions are gone then"
)


def migrate(url: str) -> str:
    """Apply the missing migrations; concurrent callers wait for each other.

    Returns:
        The revision that the database has now.

    Raises:
        InputError: if it is a PostgreSQL that keeps text in another encoding than UTF-8.
    """
    import alembic.command  # noqa: PLC0415 - takes longer than a rollback, which only asks for the revision
    from alembic.config import Config  # noqa: PLC0415

    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        try:
            make_file(Path(address.database))
        except OSError as error:
            raise disk_error(error, f"the serving database {address.database} can't be written") or error from error
        _require_database(address)
    engine = connect(url)
    try:
        with migration_lock(engine), engine.connect() as connection:
            _require_utf8(connection)
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
            connection.commit()
        return REVISION
    finally:
        engine.dispose()


def revision_of(connection: sa.Connection) -> str | None:
    """The revision that a database is at; ``None`` if it was never migrated."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def is_empty(url: str) -> bool:
    """Whether a database is not there, or has no table of ours; one that does not answer counts as not empty.

    Raises:
        LostError: if a file is no database.
    """
    address = sa.make_url(url)
    _require_database(address)
    if address.get_backend_name() == "sqlite" and address.database and not Path(address.database).exists():
        return True
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return {"alembic_version", *metadata.tables}.isdisjoint(sa.inspect(connection).get_table_names())
    except (OperationalError, InterfaceError):
        return False
    finally:
        engine.dispose()


def require_migrated(engine: sa.Engine) -> None:
    """Refuse to work on a database of another schema.

    Raises:
        DatabaseAwayError: if the database is not there or does not answer.
        InputError: if it has not been migrated, or is newer than this code.
    """
    _require_database(engine.url)
    if engine.dialect.name == "sqlite" and engine.url.database and not Path(engine.url.database).exists():
        raise DatabaseAwayError(f"the serving database {shown(engine.url)} and its tables are not there; {MIGRATE}")
    try:
        with engine.connect() as connection:
            revision = revision_of(connection)
    except (OperationalError, InterfaceError) as error:
        away = f"the serving database {shown(engine.url)} does not answer ({type(error.orig).__name__}); "
        if engine.dialect.name != "sqlite":
            raise DatabaseAwayError(away + "start it, or set store.database_url") from error
        raise DatabaseAwayError(
            f"{away}set store.database_url, or bring the file back from a backup; {AN_EMPTY_ONE}"
        ) from error
    if revision is None:
        raise InputError(f"the serving database {shown(engine.url)} has no tables; {MIGRATE}")
    if revision != REVISION:
        raise InputError(
            f"the serving database {shown(engine.url)} is at revision {revision}, expected {REVISION}; run `churn migrate`"
        )


def _require_utf8(connection: sa.Connection) -> None:
    """Refuse a database that can't keep every customer's id and every person's name."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise InputError(
            f"the serving database {shown(connection.engine.url)} keeps text as {encoding}, which lacks letters of names and ids; "
            "expected UTF8. Make another one with `CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'`, and set store.database_url"
        )


def shown(url: sa.URL) -> str:
    """The address as it may be printed."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    return without_password(url.render_as_string(hide_password=False))


def _require_database(address: sa.URL) -> None:
    """Refuse a file that is no database.

    Raises:
        LostError: if it is something else.
    """
    if address.get_backend_name() == "sqlite" and address.database:
        require_sqlite(Path(address.database), "the serving database", AN_EMPTY_ONE)


@contextmanager
def migration_lock(engine: sa.Engine) -> Iterator[None]:
    """A block in which no other process migrates the database: a file beside SQLite's, an advisory lock of PostgreSQL."""
    if engine.url.get_backend_name() == "sqlite":
        with locked(str(engine.url.database)):
            yield
        return
    with engine.connect() as holder:
        holder.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        try:
            yield
        finally:
            holder.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
