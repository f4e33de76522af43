"""What served last, on local disk, for a start while the database or the store is away: champion and challenger.

The files lie under their digests, so what is read back is verified by the same code as what comes from the store.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from churn_api.disk_cache import CachedValue
from churn_store.releases.bundles import load_file, load_manifest
from churn_store.releases.log import Serving
from churn_store.releases.manifest import FILE_LIMITS, MANIFEST_LIMIT
from churn_store.storage.digest_store import DigestStore


class LastGood:
    """The releases of one row in a folder.

    Args:
        folder: where.
        max_age_s: not served when the database last confirmed the row longer ago than this.
        now_s: the platform's clock.
    """

    def __init__(self, folder: Path, *, max_age_s: float, now_s: Callable[[], float]) -> None:
        self._files = folder / "release"
        self._row = CachedValue(folder / "release.json", Serving, max_age_s=max_age_s, now_s=now_s)

    def keep(self, store: DigestStore, row: Serving, digests: Sequence[str]) -> None:
        """Copy what serves: files first, the row that names them last, then what is no longer named goes.

        Args:
            store: from where.
            row: the row that made them serve.
            digests: of the releases that serve by it.

        Raises:
            ReleaseError, OSError: one could not be copied; what was kept before is still whole.
        """
        here = self.files()
        kept = set(digests)
        for digest in digests:
            manifest = load_manifest(store, digest)
            kept |= {entry.sha256 for entry in manifest.files.values()}
            here.put(store.get(digest, at_most=MANIFEST_LIMIT))
            for name in FILE_LIMITS:
                here.put(load_file(store, manifest, name))
        self._row.keep(row)
        for file in self._files.glob("sha256/*/*"):
            if file.name not in kept:
                file.unlink(missing_ok=True)

    def confirm(self, row: Serving) -> None:
        """The database still names this row.

        Raises:
            OSError: the folder can't be written.
        """
        self._row.keep(row)

    def row(self) -> Serving | None:
        """The row that was kept, or none if there is none or it is too old."""
        return self._row.read()

    def files(self) -> DigestStore:
        """The files that were kept; whatever is loaded from them is verified again."""
        return DigestStore(str(self._files))
