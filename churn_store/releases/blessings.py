"""The verdicts on candidates: the append-only table ``blessings``.

Belongs here: recording a verdict, and reading the newest. Does not belong here: how a verdict is reached (by the gate of
``churn_assets``, or by a named person through ``approval``).
"""

import math
from contextlib import suppress
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from churn_store.database import schema
from churn_store.database.lenient import raw_rows
from churn_store.errors import ReleaseError
from churn_store.releases.bundles import Reached, on
from churn_store.releases.manifest import Blessing

RECORDING = ("verdict written", "verdict committed")
"""The steps of ``record_blessing``, in order."""

_COLUMNS: Final = tuple(schema.blessings.c)


def record_blessing(engine: sa.Engine, blessing: Blessing, *, reached: Reached = on) -> None:
    """Append a verdict; ``reached`` is called at each step of ``RECORDING``."""
    with engine.begin() as connection:
        connection.execute(
            schema.blessings.insert().values(
                candidate=blessing.candidate,
                verdict=blessing.verdict,
                reasons=blessing.reasons,
                actor=blessing.actor,
                decided_s=blessing.decided_s,
                rules=msgspec.to_builtins(blessing.rules),
                epoch=blessing.epoch,
                gain=blessing.gain,
                reason=blessing.reason,
            )
        )
        reached("verdict written")
    reached("verdict committed")


def newest_blessing(engine: sa.Engine, candidate: str) -> Blessing | None:
    """The newest verdict on a candidate; ``None`` if it was never judged.

    Args:
        engine: the serving database.
        candidate: digest of the candidate.

    Raises:
        ReleaseError: if that verdict can't be read, so that no older one counts in its place.
    """
    mine = schema.blessings.c.candidate == candidate
    with engine.connect() as connection:
        rows = list(
            raw_rows(connection, _COLUMNS, lambda asked: asked.where(mine).order_by(schema.blessings.c.id.desc()).limit(1))
        )
    try:
        return _blessing(rows[0]) if rows else None
    except msgspec.ValidationError as error:
        raise ReleaseError(
            f"the newest verdict on candidate {candidate[:12]} can't be read ({error}); judge it anew"
        ) from error


def newest_blessings(engine: sa.Engine) -> list[Blessing]:
    """The newest verdict on each candidate, newest first. A verdict that can't be read hides its candidate, and no other."""
    last = sa.select(sa.func.max(schema.blessings.c.id)).group_by(schema.blessings.c.candidate)
    found = []
    with engine.connect() as connection:
        for row in raw_rows(
            connection,
            _COLUMNS,
            lambda asked: asked.where(schema.blessings.c.id.in_(last)).order_by(schema.blessings.c.id.desc()),
        ):
            with suppress(msgspec.ValidationError):
                found.append(_blessing(row))
    return found


def _blessing(row: dict[str, Any]) -> Blessing:
    """A verdict from its row. One without rules counts as a verdict by no rule, from which no release can be made.

    Raises:
        msgspec.ValidationError: if the row holds what no verdict does.
    """
    found = msgspec.convert(
        {**{name: row[name] for name in Blessing.__struct_fields__}, "rules": row["rules"] or []}, Blessing
    )
    if found.gain is not None and not math.isfinite(found.gain):
        raise msgspec.ValidationError("its gain is not a number")
    return found
