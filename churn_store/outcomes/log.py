"""The outcomes in the serving database: each written once, a correction as a new version, nothing ever changed.

Belongs here: the transaction that adds outcomes, and reading their versions. Does not belong here: how they meet the predictions
(``outcomes.counts``), and what a body may hold (the service's ``churn_api.outcomes``).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.schema import NO_SNAPSHOT, outcome_keys, outcomes
from churn_store.database.turns import take_turns
from churn_store.errors import ChurnError

TOGETHER: Final = 500
"""Customers or keys in one question."""

STILL_THERE_S: Final = 3_600
"""Seconds after which it is news that a customer stays, though the newest version says so: the window may have closed meanwhile."""

ADVISORY_LOCK: Final = 0x6F7574636F6D65  # "outcome"

Fate = Literal["added", "corrected", "unchanged"]
"""What an outcome does: it is the first of its customer and snapshot, says something else than the newest version, or the same."""

Subject = tuple[str, int]
"""A customer, and a snapshot or ``NO_SNAPSHOT``."""


def latest_s(occurred_s: float) -> float:
    """The latest time at which a customer left, in epoch seconds: a time of exactly midnight is a date, and that day has a last second."""
    return occurred_s + DAY_S - 1 if occurred_s % DAY_S == 0 else occurred_s


class ReusedKeyError(ChurnError):
    """An idempotency key that stands for something else already.

    Args:
        places: positions of the outcomes whose key it is; empty where it is the request's.
    """

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__("the idempotency key was used for something else already")
        self.places = tuple(places)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a customer.

    Attributes:
        snapshot_s: time T of the features that the prediction used, in epoch seconds; ``None`` where it used none.
        churned: whether the customer left within the horizon.
        occurred_s: when the customer left, in epoch seconds, if that is known.
        idempotency_key: the sender's own name for this statement, if it has one.
    """

    customer_id: str
    snapshot_s: int | None
    churned: bool
    occurred_s: int | None = None
    idempotency_key: str | None = None

    @property
    def subject(self) -> Subject:
        """Customer and snapshot, as they are kept."""
        return self.customer_id, NO_SNAPSHOT if self.snapshot_s is None else self.snapshot_s

    @property
    def digest(self) -> str:
        """Digest of what it says."""
        said = msgspec.json.encode([*self.subject, self.churned, self.occurred_s])
        return hashlib.sha256(said).hexdigest()


def digest_of(sent: Sequence[Outcome]) -> str:
    """Digest of what outcomes say, in their order and with their keys, however it was written."""
    said = msgspec.json.encode([(one.digest, one.idempotency_key) for one in sent])
    return hashlib.sha256(said).hexdigest()


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends outcomes, and when.

    Attributes:
        key_id: id of the API key; idempotency keys are told apart by it.
        request_id: id of the request, made by the service.
        now_s: time of receipt, by the platform's clock.
        idempotency_key: the sender's name for the whole request, if it has one.
        digest: digest of what the whole request says; needed with ``idempotency_key``.
        former_digest: digest by which versions up to 0.2.0 knew the same request: that of its bytes.
    """

    key_id: str
    request_id: str
    now_s: float
    idempotency_key: str | None = None
    digest: str = ""
    former_digest: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the outcomes of a request; all of them are committed.

    Attributes:
        received: number of outcomes in the request.
        added: first outcomes of their customer and snapshot.
        corrected: new versions of outcomes that said something else.
        unchanged: outcomes that say what the newest version says; they add nothing, but for who still stays an hour or more later.
        repeated: outcomes whose idempotency key was here before with the same content; they add nothing.
        replayed: whether the whole request was here before; the numbers are those of the first time.
    """

    received: int
    added: int
    corrected: int
    unchanged: int
    repeated: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeVersion:
    """A version of an outcome, as it was received.

    Attributes:
        is_newest: whether it is the one that counts.
    """

    customer_id: str
    snapshot_s: int | None
    version: int
    churned: bool
    occurred_s: int | None
    received_s: float
    key_id: str
    is_newest: bool


def record(engine: sa.Engine, sent: Sequence[Outcome], sender: Sender) -> Receipt:
    """Add outcomes: all of them in one transaction, or none.

    Writers take turns, so that the newest version is the last one received. When this returns, the outcomes are committed, on SQLite
    also synced to the disk.

    Args:
        engine: the serving database.
        sent: outcomes, each customer and snapshot once, each idempotency key once.
        sender: who sends them.

    Raises:
        ReusedKeyError: if an idempotency key stands for something else already; nothing was written.
        SQLAlchemyError: if the database does not answer or take them; nothing is known to be written.
    """
    with engine.connect() as connection:
        take_turns(connection, ADVISORY_LOCK)
        if (former := _replayed(connection, sender)) is not None:
            return former
        receipt = _write(connection, sent, sender)
        connection.commit()
    return receipt


def versions_of(engine: sa.Engine, customer_id: str, *, limit: int) -> list[OutcomeVersion]:
    """The outcomes of a customer, the newest snapshot first, and of each the newest version first."""
    order = (outcomes.c.snapshot_s.desc(), outcomes.c.version.desc())
    asked = outcomes.select().where(outcomes.c.customer_id == customer_id).order_by(*order).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(asked).all()
    found, seen = [], set()
    for row in rows:
        snapshot_s = None if row.snapshot_s == NO_SNAPSHOT else row.snapshot_s
        found.append(
            OutcomeVersion(
                row.customer_id, snapshot_s, row.version, row.churned, row.occurred_s, row.received_s, row.key_id,
                is_newest=row.snapshot_s not in seen,
            )
        )  # fmt: skip
        seen.add(row.snapshot_s)
    return found


def _replayed(connection: sa.Connection, sender: Sender) -> Receipt | None:
    """The receipt of a request that was here before; ``None`` for a new one, or one without a key.

    Raises:
        ReusedKeyError: if its key stands for another request.
    """
    if sender.idempotency_key is None:
        return None
    known = _known_keys(connection, sender, [_of_request(sender.idempotency_key)])
    for digest, answer in known.values():
        if digest not in (sender.digest, sender.former_digest):
            raise ReusedKeyError
        return msgspec.structs.replace(msgspec.convert(answer, Receipt), replayed=True)
    return None


def _write(connection: sa.Connection, sent: Sequence[Outcome], sender: Sender) -> Receipt:
    named = {_of_outcome(one.idempotency_key): place for place, one in enumerate(sent) if one.idempotency_key is not None}
    known = _known_keys(connection, sender, list(named))
    reused = [named[name] for name, (digest, _) in known.items() if sent[named[name]].digest != digest]
    if reused:
        raise ReusedKeyError(sorted(reused))
    new = [one for one in sent if one.idempotency_key is None or _of_outcome(one.idempotency_key) not in known]
    newest = _newest(connection, {one.customer_id for one in new})
    fates: list[Fate] = []
    rows, keys = [], []
    for one in new:
        former = newest.get(one.subject)
        fate = _fate(one, former)
        fates.append(fate)
        if fate != "unchanged" or _is_still_there(one, former, sender.now_s):
            rows.append(_row(one, 1 if former is None else former.version + 1, sender))
        if one.idempotency_key is not None:
            keys.append(_key_row(_of_outcome(one.idempotency_key), one.digest, fate, sender))
    receipt = Receipt(
        received=len(sent),
        added=fates.count("added"),
        corrected=fates.count("corrected"),
        unchanged=fates.count("unchanged"),
        repeated=len(sent) - len(new),
    )
    if sender.idempotency_key is not None:
        name = _of_request(sender.idempotency_key)
        keys.append(_key_row(name, sender.digest, msgspec.to_builtins(receipt), sender))
    if rows:
        connection.execute(outcomes.insert(), rows)
    if keys:
        connection.execute(outcome_keys.insert(), keys)
    return receipt


def _fate(one: Outcome, newest: sa.Row[Any] | None) -> Fate:
    """What an outcome does to what is there."""
    if newest is None:
        return "added"
    return "unchanged" if (newest.churned, newest.occurred_s) == (one.churned, one.occurred_s) else "corrected"


def _is_still_there(one: Outcome, newest: sa.Row[Any] | None, now_s: float) -> bool:
    """Whether a repeated outcome says that the customer stays at a later time."""
    return not one.churned and newest is not None and now_s - newest.received_s >= STILL_THERE_S


def _newest(connection: sa.Connection, customers: Iterable[str]) -> Mapping[Subject, sa.Row[Any]]:
    """The newest versions of all outcomes of some customers."""
    found: dict[Subject, sa.Row[Any]] = {}
    for part in _parts(sorted(customers)):
        asked = outcomes.select().where(outcomes.c.customer_id.in_(part)).order_by(outcomes.c.version)
        found |= {(row.customer_id, row.snapshot_s): row for row in connection.execute(asked)}
    return found


def _known_keys(connection: sa.Connection, sender: Sender, names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """The digest and the answer of those idempotency keys that were here before."""
    found: dict[str, tuple[str, Any]] = {}
    for part in _parts(names):
        mine = (outcome_keys.c.key_id == sender.key_id) & outcome_keys.c.idempotency_key.in_(part)
        for row in connection.execute(outcome_keys.select().where(mine)):
            found[row.idempotency_key] = (row.digest, row.answer)
    return found


def _row(one: Outcome, version: int, sender: Sender) -> dict[str, Any]:
    customer_id, snapshot_s = one.subject
    return {
        "customer_id": customer_id, "snapshot_s": snapshot_s, "version": version, "churned": one.churned,
        "occurred_s": one.occurred_s, "received_s": sender.now_s, "key_id": sender.key_id, "request_id": sender.request_id,
    }  # fmt: skip


def _key_row(name: str, digest: str, answer: Any, sender: Sender) -> dict[str, Any]:
    return {
        "key_id": sender.key_id, "idempotency_key": name, "digest": digest, "answer": answer, "received_s": sender.now_s,
    }  # fmt: skip


def _of_request(key: str) -> str:
    return f"request:{key}"


def _of_outcome(key: str) -> str:
    return f"outcome:{key}"


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), TOGETHER):
        yield names[start : start + TOGETHER]
