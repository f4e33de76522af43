"""The request bodies of a release and their decoders.

Columns differ between releases, so the decoders are built once per release from its signature. Decoding is strict: no text for
a number, no unknown name, nothing missing, nothing twice. Does not belong here: the words of a refusal
(``http.decode_errors``).
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from churn_api.http.decode_errors import explain, malformed, not_json
from churn_store.model.signature import Column, Signature

LONGEST_ID: Final = 256

ID_PATTERN: Final = "^[^\\x00-\\x1f\\x7f]+$(?!\\n)"  # Python's $ also matches before a line feed at the end

CustomerId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN, description="as in your own systems")
]

_NUL: Final = b"\\u0000"
"""How JSON writes U+0000, which it does not take as it is."""

Row = dict[str, Any]
"""Attributes by column name."""


def require_customer_id(text: str) -> str:
    """Check an id from an address by the same rule as an id from a body.

    Raises:
        Problem: if the id is empty, too long or holds control characters (400).
    """
    if len(text) > LONGEST_ID or not re.search(ID_PATTERN, text):
        raise malformed("customer_id", "expected text of 1 to 256 characters without control characters; found other text")
    return text


class RequestTypes:
    """The request bodies of one release.

    Args:
        signature: signature of the release.
        max_batch: most customers or records in a batch.

    Attributes:
        single, batch: types of the bodies.
        records: type of a batch's records.
    """

    def __init__(self, signature: Signature, *, max_batch: int) -> None:
        self._signature = signature
        self._columns = {column.name: column for column in signature.columns}
        self.single: type[msgspec.Struct] = msgspec.defstruct(
            "PredictRequest",
            [
                ("attributes", signature.attributes),
                ("customer_id", CustomerId | None | msgspec.UnsetType, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        many = msgspec.Meta(min_length=1, max_length=max_batch)
        ids: Any = Annotated[list[CustomerId], many]
        self.records: Any = Annotated[list[self.single], many]  # type: ignore[name-defined]
        self.batch: type[msgspec.Struct] = msgspec.defstruct(
            "BatchRequest",
            [
                ("customer_ids", ids | msgspec.UnsetType, msgspec.UNSET),
                ("records", self.records | msgspec.UnsetType, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
        )
        self._decode_single = msgspec.json.Decoder(self.single).decode
        self._decode_batch = msgspec.json.Decoder(self.batch).decode

    def decode_single(self, body: bytes) -> tuple[str | None, Row]:
        """Decode the body of one prediction.

        Returns:
            The customer's id, if given, and the row of attributes.

        Raises:
            Problem: if the body does not fit (400); names the attribute and what it should be.
        """
        asked: Any = self._decode(self._decode_single, body)
        if _NUL in body:
            self._refuse_nul(asked.attributes)
        _refuse_repeated_names(body, self._names(asked))
        return asked.customer_id or None, self._signature.row(asked.attributes)

    def of_values(self, customer_id: str | None, values: Row) -> tuple[str | None, Row]:
        """Check plain values by the same rules as the body of one prediction.

        Raises:
            Problem: if the values do not fit (400); names the attribute and what it should be.
        """
        record = {"attributes": values, "customer_id": customer_id}
        try:
            asked: Any = msgspec.convert(record, self.single)
        except msgspec.ValidationError as error:
            raise explain(str(error), self._columns) from None
        self._refuse_nul(asked.attributes)
        return asked.customer_id or None, self._signature.row(asked.attributes)

    def decode_batch(self, body: bytes) -> tuple[list[str] | None, list[tuple[str | None, Row]]]:
        """Decode the body of a batch.

        Returns:
            For a batch by id, the ids and no records. For a batch by attributes, ``None`` and the records as in
            ``decode_single``.

        Raises:
            Problem: if the body does not fit (400); names the record's index.
        """
        asked: Any = self._decode(self._decode_batch, body)
        ids, records = asked.customer_ids, asked.records
        if (ids is msgspec.UNSET) == (records is msgspec.UNSET):
            given = "neither" if ids is msgspec.UNSET else "both"
            raise malformed("", f"expected either customer_ids or records, found {given}")
        if records is msgspec.UNSET:
            _refuse_repeated_names(body, 1)
            return ids, []
        if _NUL in body:
            for index, record in enumerate(records):
                self._refuse_nul(record.attributes, where=f"records[{index}].attributes.")
        _refuse_repeated_names(body, 1 + sum(self._names(record) for record in records))
        return None, [(record.customer_id or None, self._signature.row(record.attributes)) for record in records]

    def _refuse_nul(self, attributes: Any, *, where: str = "attributes.") -> None:
        """Refuse a text with U+0000, which no database keeps.

        Raises:
            Problem: if there is one (400).
        """
        for name, value in self._signature.row(attributes).items():
            if isinstance(value, str) and "\0" in value:
                raise malformed(f"{where}{name}", "expected a text without U+0000, found one with it")

    def _names(self, asked: Any) -> int:
        """Number of names in the JSON of a decoded prediction if none occurs twice."""
        return 1 + (asked.customer_id is not msgspec.UNSET) + len(self._columns)

    def _decode(self, decode: Any, body: bytes) -> Any:
        return decoded(decode, body, self._columns, "attributes")


def decoded(decode: Any, body: bytes, columns: Mapping[str, Column], holds: str) -> Any:
    """Decode a body, and turn the decoder's errors into problems.

    Args:
        decode: ``decode`` of a msgspec decoder.
        body: body as it was sent.
        columns: columns of the release, by name, where the body holds attributes.
        holds: what an object is expected to hold, for the message of a refusal.

    Raises:
        Problem: if the body does not fit (400); names the place and what was expected there.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise explain(str(error), columns) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise malformed("", f"the body is nested too deeply; expected an object with {holds}") from None


def _refuse_repeated_names(body: bytes, names: int) -> None:
    """Refuse JSON with a name that occurs twice: which of the two values was meant is unknown.

    Every name is followed by one colon, so a body with as many colons as names has no name twice. Only a body with more colons
    (one in a text, or a name twice) is read again, name by name.

    Raises:
        Problem: if a name occurs twice (400).
    """
    if body.count(b":") != names:
        require_each_name_once(body)


def require_each_name_once(body: bytes) -> None:
    """Read a decoded body once more, name by name.

    Raises:
        Problem: if a name occurs twice (400).
    """
    json.loads(body, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:  # an expected name: others were refused before
            raise malformed(name, f"{name} occurs twice in an object; expected each name once")
        seen.add(name)
