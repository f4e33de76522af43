"""Messages for bodies that do not fit: the place, what was expected there, and the kind of value that was found.

Belongs here: the translation of msgspec's messages for users of the API. Does not belong here: the decoding
(``http.strict_json``, ``schemas.requests``). A refused value is never repeated: it may be a customer's.
"""

import re
from collections.abc import Mapping
from typing import Final

from churn_api.http.problems import Problem
from churn_store.model.signature import Column

_PLACE: Final = re.compile(r"^(?P<found>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_GOT: Final = re.compile(r"got `(\w+)`")
_FIELD: Final = re.compile(r"(missing required|contains unknown) field `(.*)`", re.DOTALL)
_TYPES: Final = re.compile(r"`(\w+(?: \| \w+)*)`")
_NO_INTEGER: Final = re.compile(r"Expected `int(?: \| null)?`, got `float`")
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_ID: Final = re.compile(r"(customer_id|customer_ids\[\d+\])$")
_WORDS: Final = {
    "str": "text", "int": "a number", "float": "a number", "bool": "true or false", "null": "null", "array": "a list",
    "object": "an object",
}  # fmt: skip
_LONGEST_NAME: Final = 80


def malformed(path: str, detail: str) -> Problem:
    """The problem of a body that is refused (400).

    Args:
        path: place in the body, such as ``records[3].attributes.plan``; empty for the whole body.
        detail: what was expected there and what was found.
    """
    where = f" (at {path})" if path else ""
    return Problem(400, "malformed-request", f"{detail}{where}", errors=[{"path": path, "detail": detail}])


def not_json(said: str) -> Problem:
    """The problem of a body that is no JSON at all, from msgspec's message."""
    at = _BYTE.search(said)
    place = f" at byte {at[1]}" if at else ""
    return malformed("", f"the body is not JSON in UTF-8{place}; NaN and Infinity are not JSON")


def without_what_was_sent(said: str) -> str:
    """The message of a msgspec ``ValidationError`` without the names and values that it may repeat from a body."""
    place = _PLACE.match(said)
    at = f" - at `${place['path']}`" if place and place["path"] else ""
    if "contains unknown field" in said:
        return f"the object has a name that is not expected here; see /docs{at}"
    if said.startswith("Invalid "):
        return f"expected one of the documented values; found another one{at}"
    return said


def explain(said: str, columns: Mapping[str, Column]) -> Problem:
    """The problem of a body that is JSON but not what the release takes.

    Args:
        said: message of msgspec's ``ValidationError``.
        columns: columns of the release, by name.
    """
    place = _PLACE.match(said)
    message, path = (place["found"], (place["path"] or "").lstrip(".")) if place else (said, "")
    field = _FIELD.search(message)
    if field:
        return _wrong_name(path, field[2], is_missing="missing" in field[1], columns=columns)
    before, marker, name = path.rpartition("attributes.")
    if marker and name in columns:
        return malformed(
            before + marker + name, f"attribute {name}: expected {_expected(columns[name])}; {_found(message)}"
        )
    if _ID.search(path):
        return malformed(path, f"expected text of 1 to 256 characters without control characters; {_found(message)}")
    if _NO_INTEGER.match(message):
        return malformed(path, "expected an integer such as 15; found a number with a decimal point or an exponent")
    plain = _TYPES.sub(lambda match: " or ".join(_WORDS.get(one, one) for one in match[1].split(" | ")), message)
    plain = re.sub(r"text of length <= (\d+)", r"text of at most \1 characters", plain)
    plain = plain.replace("a list of length <= ", "at most so many entries: ").replace("a list of length >= ", "at least ")
    return malformed(path, plain[:1].lower() + plain[1:])


def _wrong_name(path: str, name: str, *, is_missing: bool, columns: Mapping[str, Column]) -> Problem:
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."
    full = f"{path}.{shown}".lstrip(".")
    if path != "attributes" and not path.endswith(".attributes"):
        return malformed(full, f"{shown} is {'missing' if is_missing else 'not expected here'}; see /docs")
    if is_missing and name in columns:
        return malformed(full, f"attribute {shown}: expected {_expected(columns[name])}; it is missing")
    return malformed(full, f"attribute {shown} is not an input of this release; expected {', '.join(columns)}")


def _expected(column: Column) -> str:
    if column.kind == "category":
        kind = "text of at most 256 characters"
    else:
        bounds = [f">= {column.low:g}"] if column.low is not None else []
        bounds += [f"<= {column.high:g}"] if column.high is not None else []
        kind = " ".join(["a number", " and ".join(bounds)]).strip()
    return kind + (" or null" if column.nullable else "")


def _found(said: str) -> str:
    got = _GOT.search(said)
    if got:
        return f"found {_WORDS.get(got[1], got[1])}"
    if "length" in said or "matching" in said:
        return "found other text"
    return "found a number out of range"
