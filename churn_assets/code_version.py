"""Code versions: a digest of the source that an asset's rows depend on, so that nobody has to bump a number."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
SHARED = ("contracts.py", "periods.py", "resources/lake.py")
LENGTH = 16


@cache
def code_version(*stages: str) -> str:
    """A digest of the modules of the given stages and of what all stages share."""
    files = [file for stage in sorted(stages) for file in sorted((PACKAGE / stage).rglob("*.py"))]
    digest = hashlib.sha256()
    for file in [*files, *(PACKAGE / shared for shared in SHARED)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:LENGTH]
