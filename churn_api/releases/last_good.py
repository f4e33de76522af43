"""The last good release on local disk, for a start while the database or the store is away.

Its files lie under their digests, so what is read back is verified by the same code as what comes from the store.
"""

from collections.abc import Callable
from pathlib import Path

from churn_api.cache import Kept
from churn_store.files import DigestStore
from churn_store.manifest import FILE_LIMITS, MANIFEST_LIMIT
from churn_store.releases import Bundle, Serving, load_bundle, load_file, load_manifest


class LastGood:
    """One release in a folder.

    Args:
        folder: where.
        max_age_s: not served when the database last confirmed it longer ago than this.
        now_s: the platform's clock.
    """

    def __init__(self, folder: Path, *, max_age_s: float, now_s: Callable[[], float]) -> None:
        self._files = folder / "release"
        self._row = Kept(folder / "release.json", Serving, max_age_s=max_age_s, now_s=now_s)

    def keep(self, store: DigestStore, row: Serving) -> None:
        """Copy a release that serves: files first, the row that names them last, then what is no longer named goes.

        Raises:
            ReleaseError, OSError: it could not be copied; the one kept before is still whole.
        """
        here = DigestStore(str(self._files))
        manifest = load_manifest(store, row.champion)
        kept = {row.champion, *(entry.sha256 for entry in manifest.files.values())}
        for content in (
            store.get(row.champion, at_most=MANIFEST_LIMIT),
            *(load_file(store, manifest, name) for name in FILE_LIMITS),
        ):
            here.put(content)
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

    def load(self) -> tuple[Bundle, Serving] | None:
        """The release kept, fully verified, or none if there is none or it is too old.

        Raises:
            ReleaseError: it was changed on disk.
        """
        row = self._row.read()
        return None if row is None else (load_bundle(DigestStore(str(self._files)), row.champion), row)
