"""Code versions: a digest of the source that an asset's rows depend on, so that nobody has to bump a number.

Belongs here: the digest. Does not belong here: what a stage's source consists of (``source_tree``).
"""

import hashlib
from functools import cache
from pathlib import Path

from churn_assets.orchestration.source_tree import SourceTree
from churn_assets.orchestration.syntax import Part

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
LENGTH = 16


class CodeVersions:
    """The code versions of the source in a folder.

    The source of a stage is read once, when its version is first requested.

    Args:
        root: folder that holds the three packages and the lock file.
    """

    def __init__(self, root: Path) -> None:
        lock = root / LOCK.name
        self._lock = lock.read_bytes() if lock.exists() else b""
        self._tree = SourceTree(root)
        self._digest = cache(self._tree.digest)
        self.parts = cache(self._parts)

    def version(self, *stages: str) -> str:
        """A digest of the source of some stages and of the locked versions of the libraries."""
        digest = hashlib.sha256(self._lock)
        for part in self.parts(*sorted(set(stages))):
            digest.update(f"{part.module} {part.name}\n".encode() + self._digest(part))
        return digest.hexdigest()[:LENGTH]

    def sections(self, *stages: str) -> frozenset[str]:
        """The names of the sections of ``churn.yaml`` that some stages use."""
        return self._tree.sections(self.parts(*sorted(set(stages))))

    def _parts(self, *stages: str) -> list[Part]:
        return self._tree.closure(stages)


def code_version(*stages: str) -> str:
    """The code version of some stages (folders of ``churn_assets``) in the source that this process runs."""
    return _started_with().version(*stages)


def sections_of(*stages: str) -> frozenset[str]:
    """The names of the sections of ``churn.yaml`` that some stages use."""
    return _started_with().sections(*stages)


@cache
def _started_with() -> CodeVersions:
    return CodeVersions(ROOT)
