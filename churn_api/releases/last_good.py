"""The last champion and challenger that served, and the experiment that ran, on local disk, for a start while the database or the store is away.

The files are named by their digests, so they are verified by the same code as files from the store. Several workers share the copy: a
lock (flock), which the kernel drops when its worker dies, lets one of them write at a time.
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from churn_api.disk_cache import CachedValue
from churn_store.experiments.record import Running
from churn_store.releases.bundles import load_file, load_manifest
from churn_store.releases.log import Serving
from churn_store.releases.manifest import FILE_LIMITS, MANIFEST_LIMIT
from churn_store.storage.digest_store import DigestStore


class _Ran(msgspec.Struct, frozen=True):
    running: Running | None


class LastGood:
    """A folder with the releases of one row of ``releases``.

    Args:
        folder: folder of the copy.
        max_age_s: seconds since the database last confirmed the row, above which the copy is not served.
        now_s: the wall clock.
    """

    def __init__(self, folder: Path, *, max_age_s: float, now_s: Callable[[], float]) -> None:
        self._files, self._lock = folder / "release", folder / "release.lock"
        self._row = CachedValue(folder / "release.json", Serving, max_age_s=max_age_s, now_s=now_s)
        self._ran = CachedValue(folder / "experiment.json", _Ran, max_age_s=max_age_s, now_s=now_s)

    def keep_experiment(self, running: Running | None) -> None:
        """Record which experiment runs, so that customers stay in their arms when the service starts without the database.

        Raises:
            OSError: if the folder can't be written.
        """
        self._ran.keep(_Ran(running))

    def experiment(self) -> Running | None:
        """The experiment that ran; ``None`` if there was none or that is too long ago."""
        ran = self._ran.read()
        return None if ran is None else ran.running

    def keep(self, store: DigestStore, row: Serving, digests: Sequence[str]) -> None:
        """Copy the releases that serve: the files first, then the row that names them; then delete unnamed files.

        Args:
            store: store to copy from.
            row: row that made the releases serve.
            digests: digests of the releases that serve by the row.

        Raises:
            ReleaseError, OSError: if a file could not be copied; the former copy is still whole.
        """
        with self._alone():
            here = self.files()
            kept = set(digests)
            for digest in digests:
                manifest = load_manifest(store, digest)
                kept |= {entry.sha256 for entry in manifest.files.values()}
                here.put(store.get(digest, at_most=MANIFEST_LIMIT))
                for name in FILE_LIMITS:
                    here.put(load_file(store, manifest, name))
            self._row.write(row)
            for file in self._files.glob("sha256/*/*"):
                if file.name not in kept:
                    file.unlink(missing_ok=True)

    def confirm(self, row: Serving) -> bool:
        """Record that the database still names this row; false, and nothing is written, if the copy is another row's.

        Raises:
            OSError: if the folder can't be written.
        """
        with self._alone():
            if not self._row.holds(row):
                return False
            self._row.keep(row)
            return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A block that one worker is in at a time."""
        self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self._lock, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def row(self) -> Serving | None:
        """The row of the copy; ``None`` if there is none or it is too old."""
        return self._row.read()

    def files(self) -> DigestStore:
        """The files of the copy; whatever is loaded from them is verified again."""
        return DigestStore(str(self._files))
