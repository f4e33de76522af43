"""Reads a body of outcomes: one as JSON, many as JSON, or CSV.

Every row is read, and a refusal names each bad one with what was found, what was expected and what to do, up to a bound. It repeats
nothing that was sent. Belongs here: from bytes to outcomes. Does not belong here: saving them (``churn_store.outcomes.log``).
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from churn_api.http.decode_errors import explain, malformed, not_json, without_what_was_sent
from churn_api.http.file_type import CsvType
from churn_api.http.problems import Problem
from churn_api.http.strict_json import strict_decoder
from churn_api.http.times import BadTimeError, past_seconds
from churn_api.schemas.outcomes import OutcomeRecord
from churn_store.mapping.encoding import GZIP, ZSTD
from churn_store.outcomes.log import Outcome, latest_s

MOST_FAULTS: Final = 20
"""Most rows that a refusal names."""

COLUMNS: Final = OutcomeRecord.__struct_fields__
NEEDED: Final = ("customer_id", "churned")

WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""How CSV says whether a customer left; capitals don't matter."""

_MANY: Final = re.compile(rb'\s*\{\s*"outcomes"\s*:').match
_NUL: Final = b"\\u0000"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it was sent: its place in the body, and either what it says or why it can't be read."""

    place: str
    record: OutcomeRecord | None
    fault: str = ""
    field: str = ""


class _BadValue(Exception):  # noqa: N818 - never leaves this module
    """A value that is of the right type and still wrong."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(field)
        self.field = field
        self.fault = fault


class OutcomeBodies:
    """Reads bodies.

    Args:
        max_rows: most outcomes of a body.
        now_s: the platform's clock.
    """

    def __init__(self, max_rows: int, now_s: Callable[[], float]) -> None:
        self._max_rows = max_rows
        self._now_s = now_s
        many: Any = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=max_rows)]
        batch = msgspec.defstruct("OutcomeBatch", [("outcomes", many)], forbid_unknown_fields=True)
        self._apart: Any = msgspec.json.Decoder(batch).decode
        self._one: Callable[[bytes], OutcomeRecord] = strict_decoder(OutcomeRecord)

    def read(self, body: bytes, kind: CsvType | None) -> list[Outcome]:
        """The outcomes of a body, in its order.

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
        taken: list[Outcome] = []
        faults: list[tuple[str, str]] = []
        seen = _Seen()
        for row in rows:
            try:
                if row.record is None:
                    raise _BadValue(row.field, row.fault)
                outcome = _outcome(row.record, now_s)
                seen.add(row.place, outcome)
                taken.append(outcome)
            except _BadValue as bad:
                faults.append((_path(row.place, bad.field), bad.fault))
        if faults:
            raise bad_rows(faults, len(rows))
        return taken

    def _json(self, body: bytes) -> Iterator[_Row]:
        if not _MANY(body):
            yield self._row("", body)
            return
        try:
            body.isascii() or body.decode("utf-8")
            records = [bytes(record) for record in self._apart(body).outcomes]
        except msgspec.ValidationError as error:
            raise explain(without_what_was_sent(str(error)), {}) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_json(str(error)) from None
        except RecursionError:
            raise malformed("", "the body is nested too deeply; expected an object with outcomes") from None
        if body.count(b":") - sum(record.count(b":") for record in records) != 1:  # the colon behind "outcomes"
            raise malformed("outcomes", "outcomes occurs twice in an object; expected each name once")
        for place, record in enumerate(records):
            yield self._row(f"outcomes[{place}]", record)

    def _row(self, place: str, record: bytes) -> _Row:
        try:
            return _Row(place, self._one(record))
        except Problem as problem:
            [error] = problem.details.errors or [{"path": "", "detail": problem.details.detail}]
            return _Row(place, None, error["detail"], error["path"])

    def _csv(self, body: bytes, kind: CsvType | None) -> Iterator[_Row]:
        encoding = (kind.encoding if kind is not None else None) or "utf-8"
        try:
            text = body.decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError:
            raise malformed("", f"the body is not CSV in {encoding.upper()}; send its encoding as charset") from None
        if (place := text.find("\0")) >= 0:
            raise malformed(f"line {text.count(chr(10), 0, place) + 1}", "the character NUL; expected text without it")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            header = next(filter(None, reader), [])
            _require_header(header)
            rows, line = 0, reader.line_num
            for cells in reader:
                begin, line = line + 1, reader.line_num
                if not cells:
                    continue
                rows += 1
                if rows > self._max_rows:
                    raise malformed("", f"expected a header line and 1 to {self._max_rows} rows; found more")
                yield _of_cells(f"line {begin}", header, cells)
        except csv.Error:
            raise malformed("", f"the body is not CSV: line {reader.line_num} can't be read") from None
        if not rows:
            raise malformed("", f"expected a header line and 1 to {self._max_rows} rows; found no row")


def bad_rows(faults: list[tuple[str, str]], rows: int) -> Problem:
    """The refusal of a body with bad rows (400).

    Args:
        faults: place and fault of each bad row.
        rows: number of all rows.
    """
    place, said = faults[0]
    refusal = malformed(place, said)
    if rows > 1:
        refusal.details.detail = (
            f"{len(faults)} of {rows} outcomes can't be saved, the first at {place}: {said}. Nothing was saved; put them right "
            "and send all of them again."
        )
    named = [{"path": place, "detail": detail} for place, detail in faults[:MOST_FAULTS]]
    more = len(faults) - len(named)
    refusal.details.errors = [*named, *([{"path": "", "detail": f"and {more} more outcomes"}] if more else [])]
    return refusal


def place_of(position: int, rows: int, kind: CsvType | None) -> str:
    """The place of an outcome that was read, for a refusal that comes later; in CSV it is counted without lines that span several."""
    if kind is not None:
        return f"row {position + 1}"
    return f"outcomes[{position}]" if rows > 1 else "idempotency_key"


class _Seen:
    """What a body has said so far; it may say each thing once, as nothing tells which of two was meant."""

    def __init__(self) -> None:
        self._subjects: dict[object, str] = {}
        self._keys: dict[str, str] = {}

    def add(self, place: str, outcome: Outcome) -> None:
        """Take an outcome.

        Raises:
            _BadValue: if its customer and snapshot, or its key, were here before.
        """
        first = self._subjects.setdefault(outcome.subject, place)
        if first != place:
            raise _BadValue("", f"the same customer and snapshot as {first}; send a correction in a later request")
        if outcome.idempotency_key is not None:
            first = self._keys.setdefault(outcome.idempotency_key, place)
            if first != place:
                raise _BadValue("idempotency_key", f"the same as {first}; expected another one for each outcome")


def _outcome(record: OutcomeRecord, now_s: float) -> Outcome:
    snapshot_s = _seconds("snapshot", record.snapshot, now_s)
    occurred_s = _seconds("occurred", record.occurred, now_s)
    if occurred_s is not None and not record.churned:
        raise _BadValue("occurred", "a time although churned is false; leave it out, or say that the customer left")
    if occurred_s is not None and snapshot_s is not None and latest_s(occurred_s) < snapshot_s:
        raise _BadValue("occurred", "a time before the snapshot; who had left before it is no outcome of its prediction")
    return Outcome(record.customer_id, snapshot_s, record.churned, occurred_s, record.idempotency_key)


def _seconds(field: str, text: str | None, now_s: float) -> int | None:
    if text is None:
        return None
    try:
        return past_seconds(text, now_s)
    except BadTimeError as error:
        raise _BadValue(field, str(error)) from None


def _require_header(header: list[str]) -> None:
    if not header:
        raise malformed("", "the body is empty; expected a header line with the names of columns")
    if len(set(header)) < len(header):
        raise malformed("", "the header line names a column twice; expected each name once")
    if missing := [name for name in NEEDED if name not in header]:
        raise malformed("", f"the header line lacks {' and '.join(missing)}; expected {', '.join(COLUMNS)}, commas between")
    if strange := sum(name not in COLUMNS for name in header):
        raise malformed(
            "", f"the header line names {strange} columns that are not known; expected only {', '.join(COLUMNS)}"
        )


def _of_cells(place: str, header: Iterable[str], cells: list[str]) -> _Row:
    names = list(header)
    if len(cells) != len(names):
        return _Row(place, None, f"{len(cells)} fields; expected {len(names)}, as in the header line")
    values: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    for name in NEEDED:
        if name not in values:
            return _Row(place, None, f"{name} is empty; expected a value", name)
    churned = WORDS.get(values["churned"].strip().lower())
    if churned is None:
        return _Row(place, None, f"another word; expected {', '.join(WORDS)}", "churned")
    values["churned"] = churned
    try:
        return _Row(place, msgspec.convert(values, OutcomeRecord))
    except msgspec.ValidationError as error:
        [said] = explain(without_what_was_sent(str(error)), {}).details.errors or [{"path": "", "detail": ""}]
        return _Row(place, None, said["detail"], said["path"])


def _path(place: str, field: str) -> str:
    if not place or not field:
        return place or field
    return f"{place}: {field}" if place.startswith("line") else f"{place}.{field}"
