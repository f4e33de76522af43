"""The graph's access to the stores that the service reads: the serving database, the release files, the online features."""

from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import ChurnError
from churn_store.releases.bundles import Bundle, load_bundle, load_manifest
from churn_store.releases.log import Serving, newest
from churn_store.releases.manifest import Manifest
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

    def engine_if_made(self) -> sa.Engine | None:
        """The serving database; `None` where its SQLite file was never made, so that nobody can have sent anything.

        Raises:
            InputError: if it is there, or may be, and has not been migrated.
        """
        return self.engine if self._may_be_there() else None

    def _may_be_there(self) -> bool:
        address = sa.make_url(self._database_url)
        return address.get_backend_name() != "sqlite" or Path(address.database or "").exists()

    @cached_property
    def files(self) -> DigestStore:
        """The release files."""
        return DigestStore(self._releases_url)

    def newest(self) -> Serving | None:
        """The row that says which release serves now."""
        return newest(self.engine)

    def newest_or_away(self) -> tuple[Serving | None, str]:
        """The row that says which release serves now, and why it can't be read, in a sentence; an empty one where it can."""
        try:
            return self.newest(), ""
        except ChurnError as error:
            return None, str(error)
        except SQLAlchemyError as error:
            return None, f"the serving database does not answer ({type(error).__name__}); `churn doctor` says what to do"

    def newest_manifest(self) -> Manifest | None:
        """What the release that serves now says of itself; `None` before the first."""
        row = self.newest()
        return None if row is None else load_manifest(self.files, row.champion)

    def inputs(self) -> tuple[str, ...] | None:
        """The inputs of the release that serves now; `None` where that can't be said now. Nothing is made or changed."""
        if not self._may_be_there():
            return ()
        try:
            manifest = self.newest_manifest()
        except (ChurnError, SQLAlchemyError):  # away, or not migrated yet
            return None
        return () if manifest is None else tuple(manifest.signature.names)

    def champion(self) -> Bundle | None:
        """The release that serves now, verified; `None` before the first."""
        row = self.newest()
        return None if row is None else load_bundle(self.files, row.champion)
