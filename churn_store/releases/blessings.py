"""The verdicts on candidates: the append-only table ``blessings``.

Belongs here: recording a verdict, and reading the newest. Does not belong here: how a verdict is reached (by the gate of
``churn_assets``, or by a named person through ``approval``).
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from churn_store.database import schema
from churn_store.releases.bundles import Reached, on
from churn_store.releases.manifest import Blessing

RECORDING = ("verdict written", "verdict committed")
"""The steps of ``record_blessing``, in order."""


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
    """
    asked = (
        schema.blessings.select()
        .where(schema.blessings.c.candidate == candidate)
        .order_by(schema.blessings.c.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(asked).first()
    return None if row is None else _blessing(row._asdict())


def newest_blessings(engine: sa.Engine) -> list[Blessing]:
    """The newest verdict on each candidate, newest first."""
    last = sa.select(sa.func.max(schema.blessings.c.id)).group_by(schema.blessings.c.candidate)
    asked = schema.blessings.select().where(schema.blessings.c.id.in_(last)).order_by(schema.blessings.c.id.desc())
    with engine.connect() as connection:
        return [_blessing(row._asdict()) for row in connection.execute(asked)]


def _blessing(row: dict[str, Any]) -> Blessing:
    """A verdict from its row. One without rules counts as a verdict by no rule, from which no release can be made."""
    return msgspec.convert(
        {**{name: row[name] for name in Blessing.__struct_fields__}, "rules": row["rules"] or []}, Blessing
    )
