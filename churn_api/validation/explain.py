"""Checks rows against a release: which rows a prediction would accept, why not the others, and how the columns are distributed.

Only the decoder of predictions decides whether a row is valid. The rules here explain its refusals, at most one for each cell. A
refusal that no rule explains is still a problem (``not accepted``).

Belongs here: the rules. Does not belong here: how a body becomes records (``validation.parsing``), and the drift index
(``releases.reference``).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from churn_api.http.problems import Problem
from churn_api.releases.reference import LEAST_ROWS, Reference
from churn_api.schemas.requests import CustomerId, RequestTypes
from churn_api.schemas.validation import Distribution, Finding, Validation, ValidationRule
from churn_api.validation.parsing import SUBJECT, Record
from churn_store.model.signature import FLOAT32_MAX, Column, Signature, trained_words

EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 80
LONGEST_NAME: Final = 80
MOST_UNKNOWN: Final = 50
"""Most unknown columns that are named; the rest is counted together, so that the answer stays smaller than the request."""

LONGEST_TEXT: Final = 256
_NOT_FINITE: Final = {"nan", "inf", "infinity"}

_Cells = dict[str, Any]


class _Fault(NamedTuple):
    """A fault of one record: its column, the broken rule, and the value as it was sent."""

    column: str | None
    rule: ValidationRule
    example: bytes | None = None


@dataclass(slots=True)
class _Tally:
    first_row: int
    rows: int = 0
    last_row: int = -1
    examples: list[str] = field(default_factory=list)


class _Findings:
    """Findings by column and rule; a row counts once in each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, ValidationRule], _Tally] = {}
        self._unknown: set[str] = set()

    def add(self, row: int, fault: _Fault) -> None:
        column = self._named(fault.column) if fault.rule == "unknown column" else fault.column
        tally = self._found.setdefault((column, fault.rule), _Tally(row))
        if tally.last_row != row:
            tally.rows += 1
            tally.last_row = row
        if fault.example is not None and len(tally.examples) < EXAMPLES:
            shown = _shortened(fault.example.decode("utf-8"), LONGEST_EXAMPLE)
            if shown not in tally.examples:
                tally.examples.append(shown)

    def listed(self, signature: Signature) -> list[Finding]:
        """The findings: first those about whole rows, then in the order of the signature's columns, unknown columns last."""
        order = {name: position for position, name in enumerate(signature.names)}
        return [
            Finding(column=column, rule=rule, rows=tally.rows, first_row=tally.first_row, examples=tally.examples)
            for (column, rule), tally in sorted(
                self._found.items(),
                key=lambda one: (-1 if one[0][0] is None else order.get(one[0][0], len(order)), one[0][0] or "", one[0][1]),
            )
        ]

    def _named(self, column: str | None) -> str | None:
        if column is None:
            return None
        shown = _shortened(column, LONGEST_NAME)
        if shown not in self._unknown and len(self._unknown) == MOST_UNKNOWN:
            return None
        self._unknown.add(shown)
        return shown


class _Row(NamedTuple):
    """The position of one record, and its readable cells; a missing value is ``None``."""

    position: int
    cells: _Cells


def validate(
    records: Sequence[Record],
    requests: RequestTypes,
    signature: Signature,
    reference: Reference | None,
    *,
    release: str,
    request_id: str,
) -> Validation:
    """Check records against a release.

    Args:
        records: records as they would be sent to ``POST /predict``.
        requests: request bodies of the release; their decoder decides what a prediction accepts.
        signature: signature of the release.
        reference: reference sample of the release, if it can be read.
        release: digest of the release.
        request_id: request id for the answer.
    """
    problems, rows, valid = _Findings(), list[_Row](), 0
    for position, record in enumerate(records):
        if record is None:
            problems.add(position, _Fault(None, "wrong number of cells"))
            continue
        try:
            cells = requests.decode_single(record)[1]
        except Problem:
            faults, cells = _explained(record, signature)
            for fault in faults:
                problems.add(position, fault)
        else:
            valid += 1
        rows.append(_Row(position, cells))
    return Validation(
        request_id=request_id,
        release=release,
        rows=len(records),
        valid=valid,
        problems=problems.listed(signature),
        notices=_unknown_categories(rows, signature).listed(signature),
        distribution=[_distribution(rows, column, reference) for column in signature.columns],
        reference_rows=None if reference is None else reference.rows,
    )


def _explained(record: bytes, signature: Signature) -> tuple[list[_Fault], _Cells]:
    """All faults of a refused record, and its readable cells."""
    outer = _named_values(record)
    given = {} if outer is None else outer
    attributes = _named_values(bytes(given["attributes"])) if "attributes" in given else None
    faults = [_Fault(None, "not a record")] if attributes is None or given.keys() - {"attributes", SUBJECT} else []
    if SUBJECT in given and not _is_id(bytes(given[SUBJECT])):
        faults.append(_Fault(SUBJECT, "not an id"))
    cells: _Cells = {}
    if attributes is not None:
        faults += _faults_of_cells(attributes, signature, cells)
    names = len(given) + len(attributes or ())
    if record.count(b":") != names:  # one colon follows each name, so equal counts mean that no name occurs twice
        faults += _twice(record, {*signature.names, SUBJECT, "attributes"})
    return faults or [_Fault(None, "not accepted")], cells


def _faults_of_cells(attributes: Mapping[str, msgspec.Raw], signature: Signature, cells: _Cells) -> Iterable[_Fault]:
    known = set(signature.names)
    unknown = [name for name in attributes if name not in known]
    yield from (_Fault(name, "unknown column") for name in unknown[:MOST_UNKNOWN])
    if len(unknown) > MOST_UNKNOWN:
        yield _Fault(None, "unknown column")
    for column in signature.columns:
        raw = attributes.get(column.name)
        if raw is None:
            cells[column.name] = None
            yield _Fault(column.name, "missing column")
            continue
        sent = bytes(raw)
        rule = (_number if column.kind == "number" else _text)(sent, column, cells)
        if rule is not None:
            shows = rule != "missing value" and column.name != SUBJECT
            yield _Fault(column.name, rule, sent if shows else None)


def _number(sent: bytes, column: Column, cells: _Cells) -> ValidationRule | None:
    """The rule that a cell of a number column breaks; adds a readable number to the cells."""
    value = _plain(sent)
    if value is None:
        cells[column.name] = None
        return None if column.nullable else "missing value"
    if isinstance(value, str):
        return "not finite" if value.strip().lstrip("+-").lower() in _NOT_FINITE else "not a number"
    if not isinstance(value, float):
        return "not a number"
    if not math.isfinite(value):
        return "not finite"
    cells[column.name] = value
    return _outside(value, column)


def _outside(value: float, column: Column) -> ValidationRule | None:
    if value < (-FLOAT32_MAX if column.low is None else column.low):
        return "below the range"
    if value > (FLOAT32_MAX if column.high is None else column.high):
        return "above the range"
    return None


def _text(sent: bytes, column: Column, cells: _Cells) -> ValidationRule | None:
    """The rule that a cell of a text column breaks; adds a readable text to the cells."""
    value = _plain(sent)
    if value is None:
        cells[column.name] = None
        return None if column.nullable else "missing value"
    if not isinstance(value, str):
        return "not a text"
    if len(value) > LONGEST_TEXT:
        return "text too long"
    cells[column.name] = value
    return None


def _plain(sent: bytes) -> Any:
    """A JSON value as ``None``, bool, float or text; lists and objects as an empty tuple, numbers beyond 64 bits as infinite."""
    if sent[:1] in {b"{", b"["}:
        return ()
    try:
        value = msgspec.json.decode(sent)
        return float(value) if type(value) is int else value
    except (msgspec.ValidationError, OverflowError):
        return math.inf


_NAMED_VALUES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ID: Final = msgspec.json.Decoder(CustomerId | None).decode


def _named_values(record: bytes) -> dict[str, msgspec.Raw] | None:
    """The undecoded values of a JSON object by name; ``None`` if it is no object."""
    try:
        return _NAMED_VALUES(record)
    except msgspec.DecodeError:
        return None


def _is_id(sent: bytes) -> bool:
    try:
        _ID(sent)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _twice(record: bytes, expected: set[str]) -> list[_Fault]:
    repeated: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            repeated.update(name for name in expected if names.count(name) > 1)

    try:
        json.loads(record, object_pairs_hook=note, parse_int=len, parse_float=len)
    except RecursionError:  # the rules report such a deeply nested value by its own kind
        return []
    return [_Fault(None if name == "attributes" else name, "name twice") for name in sorted(repeated)]


def _unknown_categories(rows: Sequence[_Row], signature: Signature) -> _Findings:
    notices = _Findings()
    for column in signature.columns:
        if column.kind == "category":
            words = frozenset([*column.categories, *trained_words(column)])
            for row in rows:
                word = row.cells.get(column.name)
                if word is not None and word not in words:
                    example = None if column.name == SUBJECT else msgspec.json.encode(word)
                    notices.add(row.position, _Fault(column.name, "unknown category", example))
    return notices


def _distribution(rows: Sequence[_Row], column: Column, reference: Reference | None) -> Distribution:
    values = [row.cells[column.name] for row in rows if column.name in row.cells]
    words = frozenset([*column.categories, *trained_words(column)])
    unseen = sum(value is not None and value not in words for value in values) if column.kind == "category" else None
    return Distribution(
        column=column.name,
        rows=len(values),
        missing=sum(value is None for value in values) / len(values) if values else None,
        missing_in_reference=None if reference is None else reference.missing[column.name],
        unseen=unseen / len(values) if values and unseen is not None else None,
        psi=None if reference is None or len(values) < LEAST_ROWS else reference.psi(column, values),
    )


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."
