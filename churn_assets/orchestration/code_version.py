"""Code versions: a digest of the source that an asset's rows depend on, so that nobody has to bump a number."""

import hashlib
from functools import cache
from pathlib import Path

import churn_store

PACKAGE = Path(__file__).parents[1]
SHARED = (
    "contracts.py",
    "coverage.py",
    "orchestration/table_writer.py",
    "periods.py",
    "lake/lake.py",
    "lake/row_digest.py",
)
STORE = (
    "storage/digest_store.py",
    "releases/manifest.py",
    "storage/online_store.py",
    "releases/log.py",
    "model/scorer.py",
    "model/signature.py",
    "model/psi.py",
)
"""Modules of the hall that rows, scores and releases depend on."""

LOCK = PACKAGE.parent / "requirements.lock"
LENGTH = 16


@cache
def code_version(*stages: str) -> str:
    """A digest of the modules of the given stages, of what all stages share, and of the locked versions of the libraries."""
    hall = Path(churn_store.__file__).parent
    shared = [*(PACKAGE / name for name in SHARED), *(hall / name for name in STORE), *([LOCK] if LOCK.exists() else [])]
    files = [file for stage in sorted(stages) for file in sorted((PACKAGE / stage).rglob("*.py"))]
    digest = hashlib.sha256()
    for file in [*files, *shared]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:LENGTH]
