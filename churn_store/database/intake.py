"""Statements that others send, each written once: a correction is a new version, nothing is ever changed.

Belongs here: the transaction that adds statements of any kind, with idempotency keys for a whole request and for each statement. Does not
belong here: what a statement says (``outcomes.log``, ``treatments.log``), and what a body may hold (the service).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec
import sqlalchemy as sa

from churn_store.database.turns import take_turns
from churn_store.errors import ChurnError

TOGETHER: Final = 500
"""Customers or keys in one question."""

Fate = Literal["added", "corrected", "unchanged"]
"""What a statement does: it is the first of its subject, says something else than the newest version, or the same."""

Subject = tuple[Any, ...]
"""What a statement is about: a customer, and what tells it from the customer's other statements."""


class Statement(Protocol):
    """Something that is said of a customer."""

    @property
    def idempotency_key(self) -> str | None:
        """The sender's own name for this statement, if it has one."""

    @property
    def subject(self) -> Subject:
        """What it is about, the customer's id first, as the subject's columns hold it."""

    @property
    def said(self) -> Mapping[str, Any]:
        """What it says, by column; a later version may say something else."""


class ReusedKeyError(ChurnError):
    """An idempotency key that stands for something else already.

    Args:
        places: positions of the statements whose key it is; empty where it is the request's.
    """

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__("the idempotency key was used for something else already")
        self.places = tuple(places)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends statements, and when.

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
    """What became of the statements of a request; all of them are committed.

    Attributes:
        received: number of statements in the request.
        added: first statements about their subject.
        corrected: new versions of statements that said something else.
        unchanged: statements that say what the newest version says.
        repeated: statements whose idempotency key was here before with the same content; they add nothing.
        replayed: whether the whole request was here before; the numbers are those of the first time.
    """

    received: int
    added: int
    corrected: int
    unchanged: int
    repeated: int
    replayed: bool = False


def _nothing_new(_said: Any, _newest: Any, _now_s: float) -> bool:
    return False


@dataclass(frozen=True)
class Intake:
    """Where statements of a kind are kept.

    Attributes:
        rows: table of the versions, with the columns ``version``, ``received_s``, ``key_id`` and ``request_id``.
        keys: table of the idempotency keys.
        subject: columns of what a statement is about, the customer's id first.
        name: word before the key of a single statement, which tells it from a request's.
        lock: number of the lock that its writers share.
        is_news: whether a statement that repeats the newest version is written all the same, by statement, newest version and time.
    """

    rows: sa.Table
    keys: sa.Table
    subject: tuple[str, ...]
    name: str
    lock: int
    is_news: Callable[[Any, Any, float], bool] = _nothing_new


def is_newest(rows: sa.Table, subject: Sequence[str]) -> sa.ColumnElement[bool]:
    """The condition that a row is the newest version of its subject.

    Args:
        rows: table of the versions.
        subject: columns of what a statement is about.
    """
    later = rows.alias("later")
    same = sa.and_(*(later.c[name] == rows.c[name] for name in subject))
    return ~sa.exists().where(same & (later.c.version > rows.c.version))


def digest_of(statement: Statement) -> str:
    """Digest of what a statement says, and of what it is about."""
    return hashlib.sha256(msgspec.json.encode([*statement.subject, *statement.said.values()])).hexdigest()


def digest_of_all(sent: Sequence[Statement]) -> str:
    """Digest of what statements say, in their order and with their keys, however it was written."""
    said = msgspec.json.encode([(digest_of(one), one.idempotency_key) for one in sent])
    return hashlib.sha256(said).hexdigest()


def take_in(engine: sa.Engine, intake: Intake, sent: Sequence[Statement], sender: Sender) -> Receipt:
    """Add statements: all of them in one transaction, or none.

    Writers take turns, so that the newest version is the last one received. When this returns, the statements are committed, on SQLite
    also synced to the disk.

    Args:
        engine: the serving database.
        intake: where they are kept.
        sent: statements, each subject once, each idempotency key once.
        sender: who sends them.

    Raises:
        ReusedKeyError: if an idempotency key stands for something else already; nothing was written.
        SQLAlchemyError: if the database does not answer or take them; nothing is known to be written.
    """
    with engine.connect() as connection:
        take_turns(connection, intake.lock)
        if (former := _replayed(connection, intake, sender)) is not None:
            return former
        receipt = _write(connection, intake, sent, sender)
        connection.commit()
    return receipt


def _replayed(connection: sa.Connection, intake: Intake, sender: Sender) -> Receipt | None:
    """The receipt of a request that was here before; ``None`` for a new one, or one without a key.

    Raises:
        ReusedKeyError: if its key stands for another request.
    """
    if sender.idempotency_key is None:
        return None
    known = _known_keys(connection, intake, sender, [_of_request(sender.idempotency_key)])
    for digest, answer in known.values():
        if digest not in (sender.digest, sender.former_digest):
            raise ReusedKeyError
        return msgspec.structs.replace(msgspec.convert(answer, Receipt), replayed=True)
    return None


def _write(connection: sa.Connection, intake: Intake, sent: Sequence[Statement], sender: Sender) -> Receipt:
    named = {
        f"{intake.name}:{one.idempotency_key}": place for place, one in enumerate(sent) if one.idempotency_key is not None
    }
    known = _known_keys(connection, intake, sender, list(named))
    reused = [named[name] for name, (digest, _) in known.items() if digest_of(sent[named[name]]) != digest]
    if reused:
        raise ReusedKeyError(sorted(reused))
    new = [one for one in sent if one.idempotency_key is None or f"{intake.name}:{one.idempotency_key}" not in known]
    newest = _newest(connection, intake, {one.subject[0] for one in new})
    fates: list[Fate] = []
    rows, keys = [], []
    for one in new:
        former = newest.get(one.subject)
        fate = _fate(one, former)
        fates.append(fate)
        if fate != "unchanged" or intake.is_news(one, former, sender.now_s):
            version = 1 if former is None else former.version + 1
            about = dict(zip(intake.subject, one.subject, strict=True))
            received = {"received_s": sender.now_s, "key_id": sender.key_id, "request_id": sender.request_id}
            rows.append({**about, "version": version, **one.said, **received})
        if one.idempotency_key is not None:
            keys.append(_key_row(f"{intake.name}:{one.idempotency_key}", digest_of(one), fate, sender))
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
        connection.execute(intake.rows.insert(), rows)
    if keys:
        connection.execute(intake.keys.insert(), keys)
    return receipt


def _fate(one: Statement, newest: sa.Row[Any] | None) -> Fate:
    """What a statement does to what is there."""
    if newest is None:
        return "added"
    return "unchanged" if all(newest._mapping[name] == value for name, value in one.said.items()) else "corrected"


def _newest(connection: sa.Connection, intake: Intake, customers: Iterable[str]) -> Mapping[Subject, sa.Row[Any]]:
    """The newest versions of all statements about some customers."""
    found: dict[Subject, sa.Row[Any]] = {}
    customer = intake.rows.c[intake.subject[0]]
    for part in _parts(sorted(customers)):
        asked = intake.rows.select().where(customer.in_(part)).order_by(intake.rows.c.version)
        found |= {
            tuple(row._mapping[name] for name in intake.subject): row for row in connection.execute(asked)
        }  # fmt: skip
    return found


def _known_keys(
    connection: sa.Connection, intake: Intake, sender: Sender, names: Sequence[str]
) -> dict[str, tuple[str, Any]]:
    """The digest and the answer of those idempotency keys that were here before."""
    found: dict[str, tuple[str, Any]] = {}
    for part in _parts(names):
        mine = (intake.keys.c.key_id == sender.key_id) & intake.keys.c.idempotency_key.in_(part)
        for row in connection.execute(intake.keys.select().where(mine)):
            found[row.idempotency_key] = (row.digest, row.answer)
    return found


def _key_row(name: str, digest: str, answer: Any, sender: Sender) -> dict[str, Any]:
    return {
        "key_id": sender.key_id, "idempotency_key": name, "digest": digest, "answer": answer, "received_s": sender.now_s,
    }  # fmt: skip


def _of_request(key: str) -> str:
    return f"request:{key}"


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), TOGETHER):
        yield names[start : start + TOGETHER]
