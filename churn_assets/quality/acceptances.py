"""Acceptances: a person's word that what looks broken is real, such as an event type that was renamed.

An acceptance is a row that is only ever added, in a partition of its own, so that two people can't overwrite each other. It lifts the
block of one kind in one period of one table; later periods are compared with that period and those after it.

Belongs here: writing and reading acceptances. Does not belong here: what they lift (``judge``).
"""

import secrets
from collections.abc import Collection
from dataclasses import astuple, dataclass
from typing import Final

import polars as pl

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.quality.findings import KINDS
from churn_store.errors import InputError

TABLE: Final = "quality_acceptances"

LONGEST: Final = 1_000


@dataclass(frozen=True, order=True)
class Acceptance:
    """An acceptance.

    Attributes:
        accepted_s: when it was given, in epoch seconds by the platform's clock.
        table: table that it is about.
        of_period: key of the period.
        kind: kind of fault that it accepts, one of ``findings.KINDS``.
        reason: why it is real, in words.
        actor: who says so.
    """

    accepted_s: int
    table: str
    of_period: str
    kind: str
    reason: str
    actor: str


SCHEMA: Final = {
    "accepted_s": pl.Int64, "table": pl.String, "of_period": pl.String, "kind": pl.String, "reason": pl.String, "actor": pl.String,
}  # fmt: skip


def accept(lake: Lake, acceptance: Acceptance) -> None:
    """Record an acceptance.

    Raises:
        InputError: if its kind is unknown, or it has no reason or nobody's name.
        LostError: if the table can't be read.
    """
    if acceptance.kind not in KINDS:
        raise InputError(f"{acceptance.kind!r} is no kind of fault; expected one of {', '.join(KINDS)}")
    for name, words in (("reason", acceptance.reason), ("actor", acceptance.actor)):
        if not words.strip() or len(words) > LONGEST:
            raise InputError(f"the {name} of an acceptance has {len(words):,} characters; expected 1 to {LONGEST:,}")
    row = pl.DataFrame([astuple(acceptance)], schema=SCHEMA, orient="row")
    partition = f"{acceptance.accepted_s}-{secrets.token_hex(4)}"
    lake.replace(TABLE, {partition: row}, run_id="churn quality accept")


def acceptances(lake: Lake) -> list[Acceptance]:
    """All acceptances, the oldest first.

    Raises:
        LostError: if the table can't be read.
    """
    if not lake.has(TABLE):
        return []
    rows = lake.collect(TABLE, lake.scan(TABLE).drop(PERIOD))
    return sorted(Acceptance(*row) for row in rows.select(*SCHEMA).iter_rows())


def of_table(lake: Lake, table: str) -> list[Acceptance]:
    """The acceptances of a table, the oldest first.

    Raises:
        LostError: if they can't be read.
    """
    return [one for one in acceptances(lake) if one.table == table]


def as_cause(lake: Lake, tables: Collection[str]) -> list[tuple[str, ...]]:
    """What is accepted of some tables, as a cause of runs: a new acceptance makes another one.

    Raises:
        LostError: if it can't be read.
    """
    return [(one.table, one.of_period, one.kind) for one in acceptances(lake) if one.table in tables]
