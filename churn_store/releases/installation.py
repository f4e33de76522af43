"""Whether the serving database of an installation is the one that it had: a lost one is never begun anew without a word.

Release files outlive the database that names them. So a database without tables beside a store with release files has lost
releases, verdicts, keys, outcomes and the log of predictions. Belongs here: that one question, for whoever would make the tables. Does not belong here: the migrations (``database.migrate``).
"""

from pathlib import Path

import sqlalchemy as sa

from churn_store.database.migrate import AN_EMPTY_ONE, is_empty, migrate, shown
from churn_store.errors import LostError
from churn_store.redaction import without_password
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.object_storage import in_object_store


def migrate_installation(database_url: str, releases_url: str) -> str:
    """Bring the serving database to the newest schema, unless it was lost.

    Args:
        database_url: address of the serving database.
        releases_url: folder or object-store address of the release files.

    Returns:
        The revision that the database has now.

    Raises:
        LostError: as ``require_database_not_lost``.
        StoreAwayError: as ``require_database_not_lost``.
        InputError: as ``migrate``.
    """
    require_database_not_lost(database_url, releases_url)
    return migrate(database_url)


def require_database_not_lost(database_url: str, releases_url: str) -> None:
    """Refuse a serving database without tables where release files say that there was one with them.

    Args:
        database_url: address of the serving database.
        releases_url: folder or object-store address of the release files.

    Raises:
        LostError: if the database was lost.
        StoreAwayError: if the database has no tables, and the object store that could tell why does not answer.
    """
    if not is_empty(database_url):
        return
    if not in_object_store(releases_url) and not Path(releases_url).exists():
        return
    if DigestStore(releases_url).is_empty():
        return
    raise LostError(
        f"the serving database is lost: {shown(sa.make_url(database_url))} has no tables, but {without_password(releases_url)} holds files of releases "
        f"that it named. Stop what writes it, and bring it back from a backup; without one, {AN_EMPTY_ONE}"
    )
