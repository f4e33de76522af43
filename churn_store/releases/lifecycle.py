"""What state a candidate is in, between the gate and its retirement.

Belongs here: what follows from the rows and the verdicts. Does not belong here: how it gets into another state
(``approval``, ``challenge``, ``rollback``).
"""

from typing import Literal

import sqlalchemy as sa

from churn_store.errors import ReleaseError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Blessing
from churn_store.storage.digest_store import DigestStore

SHOWN_DIGITS = 12
"""So much of a digest is enough for a person to name it by."""

State = Literal["candidate", "blessed", "waiting", "challenger", "champion", "retired", "rejected"]
"""What a candidate can be: not decided on yet; accepted, but another champion serves than it was compared with; accepted, and
it can be approved now; answering a share; answering; one of these once; rejected."""


def states(engine: sa.Engine, files: DigestStore) -> dict[str, State]:
    """What each candidate is that was ever judged, the one that was judged last first.

    Args:
        engine: the serving database.
        files: the release files.

    Returns:
        By digest of the candidate. A former release whose manifest is no longer there says nothing of its candidate.
    """
    rows = history(engine, limit=None)
    released: dict[str, str | None] = {}
    for row in rows:
        for digest in (row.champion, row.challenger):
            if digest is not None and digest not in released:
                released[digest] = candidate_of(files, digest)
    serving = rows[0] if rows else None
    champions = {row.epoch: row.champion for row in rows}
    found: dict[str, State] = {}
    for blessing in newest_blessings(engine):
        candidate = blessing.candidate
        if serving is not None and released[serving.champion] == candidate:
            found[candidate] = "champion"
        elif serving is not None and serving.challenger is not None and released[serving.challenger] == candidate:
            found[candidate] = "challenger"
        elif candidate in released.values():
            found[candidate] = "retired"
        elif blessing.verdict == "rejected":
            found[candidate] = "rejected"
        elif not blessing.releasable:
            found[candidate] = "candidate"
        elif blessing.verdict == "accepted" and judged_against(blessing, champions) == champion_of(serving):
            found[candidate] = "waiting"
        else:
            found[candidate] = "blessed"
    return found


def waiting(engine: sa.Engine, files: DigestStore) -> list[Blessing]:
    """The accepted candidates that never served and can be approved now, the one that was judged last first."""
    state = states(engine, files)
    return [blessing for blessing in newest_blessings(engine) if state.get(blessing.candidate) == "waiting"]


def how_to_approve(candidate: str) -> str:
    """The command that lets a waiting candidate serve."""
    return f"churn approve {candidate[:SHOWN_DIGITS]} --by NAME --reason TEXT"


def judged_against(blessing: Blessing, champions: dict[int, str]) -> str | None:
    """The champion that a candidate was compared with; none where there was none."""
    return champions.get(blessing.epoch)


def champion_of(serving: Serving | None) -> str | None:
    """The release that answers; none before the first."""
    return None if serving is None else serving.champion


def candidate_of(files: DigestStore, digest: str) -> str | None:
    """The candidate that a release was made of; none where its manifest is no longer there."""
    try:
        return load_manifest(files, digest).candidate
    except ReleaseError:  # of a release that no longer serves; the others can still be told apart
        return None
