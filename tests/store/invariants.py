"""What holds of releases whatever happened before (design.md section 9, 1 to 3)."""

import sqlalchemy as sa

from churn_store.releases.bundles import load_bundle
from churn_store.releases.log import history, newest
from churn_store.storage.digest_store import DigestStore


def assert_invariants(engine: sa.Engine, files: DigestStore, *, rows: int, at: str = "", newest_rows: int = 2) -> None:
    """There is one history of so many rows, and what its newest ones point at is whole, and blessed or overridden by somebody."""
    found = history(engine, limit=None)
    assert [row.epoch for row in found] == list(range(rows, 0, -1)), at
    for row in found[:newest_rows]:
        for digest in (row.champion, row.challenger):
            if digest is not None:
                blessing = load_bundle(files, digest).manifest.blessing
                assert blessing.releasable, at
                assert blessing.verdict != "overridden" or blessing.actor.strip(), at
    assert newest(engine) == (found[0] if found else None), at
