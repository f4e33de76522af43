"""The graph's access to the stores that the service reads: the serving database, the release files, the online features."""

from functools import cached_property

import sqlalchemy as sa

from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import Serving, newest
from churn_store.storage.digest_store import DigestStore


class ServingStore:
    """The stores of the serving release, connected when first used so that loading the definitions touches nothing.

    Args:
        database_url: address of the serving database.
        releases_url: address of the release files.
        online_url: address of the online features.
    """

    def __init__(self, database_url: str, releases_url: str, online_url: str) -> None:
        self._database_url = database_url
        self._releases_url = releases_url
        self.online_url = online_url

    @cached_property
    def engine(self) -> sa.Engine:
        """The serving database.

        Raises:
            InputError: if it has not been migrated.
        """
        engine = connect(self._database_url)
        require_migrated(engine)
        return engine

    @cached_property
    def files(self) -> DigestStore:
        """The release files."""
        return DigestStore(self._releases_url)

    def newest(self) -> Serving | None:
        """The row that says which release serves now."""
        return newest(self.engine)

    def champion(self) -> Bundle | None:
        """The release that serves now, verified; `None` before the first."""
        row = self.newest()
        return None if row is None else load_bundle(self.files, row.champion)
