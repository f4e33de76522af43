"""Reads a body of statements: one as JSON, many as JSON, or CSV.

Every row is read, and a refusal names each bad one with what was found, what was expected and what to do, up to a bound. It repeats
nothing that was sent. Belongs here: from bytes to records, of whatever kind. Does not belong here: what a record of a kind may say
(``outcomes.parsing``, ``treatments.parsing``), and saving it (``intake.saving``).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from churn_api.http.decode_errors import explain, malformed, not_json, without_what_was_sent
from churn_api.http.file_type import CsvType
from churn_api.http.problems import Problem
from churn_api.http.strict_json import strict_decoder
from churn_api.http.times import BadTimeError, past_seconds
from churn_api.intake.csv_rows import CellReader, csv_rows
from churn_api.intake.rows import BadValueError, Record, Row
from churn_store.database.intake import Statement
from churn_store.mapping.encoding import GZIP, ZSTD

Said = TypeVar("Said", bound=Statement)
"""The statement of a record."""

MOST_FAULTS: Final = 20
"""Most rows that a refusal names."""


@dataclass(frozen=True)
class Kind(Generic[Record, Said]):
    """A kind of statements.

    Attributes:
        name: what several are called, such as ``outcomes``: the name of the list in a body.
        record: type of one as it is sent.
        statement: the statement of a record, by the present time in epoch seconds; raises ``BadValueError``.
        subject: what a statement is about, in words, for a refusal of two about the same.
        needed: columns that CSV must have.
        cells: how cells of CSV become other values than text, by column; raise ``BadValueError``.
    """

    name: str
    record: type[Record]
    statement: Callable[[Record, float], Said]
    subject: str
    needed: tuple[str, ...]
    cells: Mapping[str, CellReader] = field(default_factory=dict)


class Bodies(Generic[Record, Said]):
    """Reads bodies of a kind.

    Args:
        kind: kind of the statements.
        max_rows: most statements of a body.
        now_s: the platform's clock.
    """

    def __init__(self, kind: Kind[Record, Said], max_rows: int, now_s: Callable[[], float]) -> None:
        self.kind = kind
        self._max_rows = max_rows
        self._now_s = now_s
        many: Any = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=max_rows)]
        batch = msgspec.defstruct("Batch", [(kind.name, many)], forbid_unknown_fields=True)
        self._apart: Any = msgspec.json.Decoder(batch).decode
        self._one: Callable[[bytes], Record] = strict_decoder(kind.record)
        self._is_many = re.compile(rb'\s*\{\s*"' + kind.name.encode() + rb'"\s*:').match

    def read(self, body: bytes, kind: CsvType | None) -> list[Said]:
        """The statements of a body, in its order.

        Args:
            body: body as it was sent.
            kind: type of CSV, or ``None`` for JSON.

        Raises:
            Problem: if the body is not of its form, or any row is bad (400; 415 for a compressed body). It names the rows.
        """
        if body.startswith((GZIP, ZSTD)):
            raise Problem(415, "compressed", "The body is compressed; expected it as it is.")
        rows = list(self._csv(body, kind) if kind is not None else self._json(body))
        now_s = self._now_s()
        taken: list[Said] = []
        faults: list[tuple[str, str]] = []
        seen = _Seen(self.kind.name, self.kind.subject)
        for row in rows:
            try:
                if row.record is None:
                    raise BadValueError(row.field, row.fault)
                statement = self.kind.statement(row.record, now_s)
                seen.add(row.place, statement)
                taken.append(statement)
            except BadValueError as bad:
                faults.append((_path(row.place, bad.field), bad.fault))
        if faults:
            raise self.bad_rows(faults, len(rows))
        return taken

    def bad_rows(self, faults: list[tuple[str, str]], rows: int) -> Problem:
        """The refusal of a body with bad rows (400).

        Args:
            faults: place and fault of each bad row.
            rows: number of all rows.
        """
        name, (place, said) = self.kind.name, faults[0]
        refusal = malformed(place, said)
        if rows > 1:
            refusal.details.detail = (
                f"{len(faults)} of {rows} {name} can't be saved, the first at {place}: {said}. Nothing was saved; put them right "
                "and send all of them again."
            )
        named = [{"path": place, "detail": detail} for place, detail in faults[:MOST_FAULTS]]
        more = len(faults) - len(named)
        refusal.details.errors = [*named, *([{"path": "", "detail": f"and {more} more {name}"}] if more else [])]
        return refusal

    def place_of(self, position: int, rows: int, kind: CsvType | None) -> str:
        """The place of a statement that was read, for a refusal that comes later; in CSV it is counted without lines that span several."""
        if kind is not None:
            return f"row {position + 1}"
        return f"{self.kind.name}[{position}]" if rows > 1 else "idempotency_key"

    def _json(self, body: bytes) -> Iterator[Row[Record]]:
        if not self._is_many(body):
            yield self._row("", body)
            return
        name = self.kind.name
        try:
            body.isascii() or body.decode("utf-8")
            records = [bytes(record) for record in getattr(self._apart(body), name)]
        except msgspec.ValidationError as error:
            raise explain(without_what_was_sent(str(error)), {}) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_json(str(error)) from None
        except RecursionError:
            raise malformed("", f"the body is nested too deeply; expected an object with {name}") from None
        if body.count(b":") - sum(record.count(b":") for record in records) != 1:  # the colon behind the list's name
            raise malformed(name, f"{name} occurs twice in an object; expected each name once")
        for place, record in enumerate(records):
            yield self._row(f"{name}[{place}]", record)

    def _row(self, place: str, record: bytes) -> Row[Record]:
        try:
            return Row(place, self._one(record))
        except Problem as problem:
            [error] = problem.details.errors or [{"path": "", "detail": problem.details.detail}]
            return Row(place, None, error["detail"], error["path"])

    def _csv(self, body: bytes, kind: CsvType) -> Iterator[Row[Record]]:
        return csv_rows(
            body, kind, self.kind.record, needed=self.kind.needed, cells=self.kind.cells, max_rows=self._max_rows
        )


def past(field_name: str, text: str, now_s: float) -> int:
    """Epoch seconds of a time in a record.

    Raises:
        BadValueError: if it is no time, before 1970 or in the future.
    """
    try:
        return past_seconds(text, now_s)
    except BadTimeError as error:
        raise BadValueError(field_name, str(error)) from None


class _Seen:
    """What a body has said so far; it may say each thing once, as nothing tells which of two was meant."""

    def __init__(self, name: str, subject: str) -> None:
        self._one = name.removesuffix("s")
        self._words = subject
        self._subjects: dict[object, str] = {}
        self._keys: dict[str, str] = {}

    def add(self, place: str, statement: Statement) -> None:
        """Take a statement.

        Raises:
            BadValueError: if its subject, or its key, was here before.
        """
        first = self._subjects.setdefault(statement.subject, place)
        if first != place:
            raise BadValueError("", f"the same {self._words} as {first}; send a correction in a later request")
        if statement.idempotency_key is not None:
            first = self._keys.setdefault(statement.idempotency_key, place)
            if first != place:
                raise BadValueError("idempotency_key", f"the same as {first}; expected another one for each {self._one}")


def _path(place: str, field_name: str) -> str:
    if not place or not field_name:
        return place or field_name
    return f"{place}: {field_name}" if place.startswith("line") else f"{place}.{field_name}"
