"""Notices that the serving database is away, not migrated, or another one than before.

Belongs here: the identity of a database, and what is said of a change. Does not belong here: what is done with it (the connections open
the new one by themselves: ``guarded_file``; a lost connection of PostgreSQL is made again).
"""

import time

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_store.database.guarded_file import PinnedFile
from churn_store.database.migrate import revision_of
from churn_store.database.schema import REVISION

TOLD_FOR_S = 600.0
"""Time for which a replaced database stays in the words, so that whoever looks every few minutes sees it."""

_MAY_READ = sa.text("SELECT has_function_privilege('pg_control_system()', 'execute')")
_SERVER = sa.text("SELECT system_identifier FROM pg_control_system()")
_DATABASE = sa.text(
    "SELECT oid, to_regclass('prediction_log')::oid, to_regclass('releases')::oid, to_regclass('api_keys')::oid "
    "FROM pg_database WHERE datname = current_database()"
)


class DatabaseWatch:
    """Looks at the serving database again and again.

    Args:
        engine: the serving database.

    Attributes:
        replacements: how often the database was another one than at the look before.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._is_file = engine.dialect.name == "sqlite" and bool(engine.url.database)
        self._file = PinnedFile(str(engine.url.database))
        self._identity: tuple[object, ...] | None = None
        self._trouble: str | None = None
        self._had_tables = False
        self._replaced_at: float | None = None
        self.replacements = 0

    def look(self) -> bool:
        """Compare the database with that of the last look.

        Returns:
            Whether it is another one.

        Raises:
            SQLAlchemyError: if it does not answer.
        """
        try:
            is_another = self._file.has_changed() if self._is_file else False
            with self._engine.connect() as connection:
                if not self._is_file:
                    is_another = self._is_another(connection)
                revision = revision_of(connection)
        except FileNotFoundError:
            self._trouble = "the file of the serving database is gone"
            return False
        except SQLAlchemyError:
            self._trouble = "the serving database does not answer"
            raise
        if is_another:
            self._replaced_at = time.monotonic()
            self.replacements += 1
        self._trouble = None if revision == REVISION else self._wrong(revision)
        self._had_tables = self._had_tables or revision is not None
        return is_another

    def words(self) -> list[str]:
        """What is wrong with the database, or was a short time ago."""
        said = [] if self._trouble is None else [self._trouble]
        if self._replaced_at is not None and (age_s := time.monotonic() - self._replaced_at) < TOLD_FOR_S:
            said.append(f"the serving database is another one since {age_s:.0f} s; it was opened anew")
        return said

    def _wrong(self, revision: str | None) -> str:
        if revision is not None:
            return f"the serving database is at revision {revision}: run `churn migrate`"
        if self._had_tables:
            return "the serving database has lost its tables: bring it back from a backup"
        return "the serving database has no tables: run `churn migrate`"

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _is_another(self, connection: sa.Connection) -> bool:
        """Whether the server, the database, or a table of it was made anew."""
        server = connection.execute(_SERVER).scalar() if connection.execute(_MAY_READ).scalar() else None
        found = (server, *connection.execute(_DATABASE).one())
        former, self._identity = self._identity, found
        return former is not None and former != found
