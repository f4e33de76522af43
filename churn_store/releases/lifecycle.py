"""The state of a candidate, between the gate and its retirement.

Belongs here: the state that follows from the rows and the verdicts. Does not belong here: how a candidate changes its state
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
"""Digits of a digest that are enough for a person to name it."""

State = Literal["candidate", "blessed", "waiting", "challenger", "champion", "retired", "rejected"]
"""The states of a candidate: ``candidate``: not decided on yet; ``blessed``: accepted, but another champion serves than the one it
was compared with; ``waiting``: accepted, or undecided and the first, and can be approved now; ``challenger``: answers a share; ``champion``: answers;
``retired``: was once one of these two; ``rejected``."""


def states(engine: sa.Engine, files: DigestStore) -> dict[str, State]:
    """The state of each candidate that was ever judged, last judged first.

    Args:
        engine: the serving database.
        files: the release files.

    Returns:
        The states by digest of the candidate. A former release whose manifest no longer exists does not count for its candidate.
    """
    rows = history(engine, limit=None)
    released: dict[str, str | None] = {}
    for row in rows:
        for digest in (row.champion, row.challenger):
            if digest is not None and digest not in released:
                released[digest] = candidate_of(files, digest)
    serving = rows[0] if rows else None
    champions = {row.epoch: row.champion for row in rows}
    state_of: dict[str, State] = {}
    for blessing in newest_blessings(engine):
        candidate = blessing.candidate
        if serving is not None and released[serving.champion] == candidate:
            state_of[candidate] = "champion"
        elif serving is not None and serving.challenger is not None and released[serving.challenger] == candidate:
            state_of[candidate] = "challenger"
        elif candidate in released.values():
            state_of[candidate] = "retired"
        elif blessing.verdict == "rejected":
            state_of[candidate] = "rejected"
        elif not blessing.releasable:
            state_of[candidate] = "candidate"
        elif blessing.verdict != "overridden" and judged_against(blessing, champions) == champion_of(serving):
            state_of[candidate] = "waiting"
        elif blessing.verdict == "undecided":
            state_of[candidate] = "candidate"
        else:
            state_of[candidate] = "blessed"
    return state_of


def waiting(engine: sa.Engine, files: DigestStore) -> list[Blessing]:
    """The candidates that the gate lets through, that never served and can be approved now, last judged first."""
    state = states(engine, files)
    return [blessing for blessing in newest_blessings(engine) if state.get(blessing.candidate) == "waiting"]


def how_to_approve(candidate: str) -> str:
    """The command that lets a waiting candidate serve."""
    return f"churn approve {candidate[:SHOWN_DIGITS]} --by NAME --reason TEXT"


def judged_against(blessing: Blessing, champions: dict[int, str]) -> str | None:
    """The champion that a candidate was compared with; ``None`` where there was none."""
    return champions.get(blessing.epoch)


def champion_of(serving: Serving | None) -> str | None:
    """The release that answers; ``None`` before the first."""
    return None if serving is None else serving.champion


def candidate_of(files: DigestStore, digest: str) -> str | None:
    """The candidate that a release was made of; ``None`` where its manifest no longer exists."""
    try:
        return load_manifest(files, digest).candidate
    except ReleaseError:  # the release no longer serves; the others can still be told apart
        return None
