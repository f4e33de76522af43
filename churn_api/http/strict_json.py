"""Strict reading of JSON bodies: UTF-8, every name known and given once, no NUL, limited depth, no text for a number.

Belongs here: the rules for the body of every ordinary route. Does not belong here: the bodies of predictions, whose columns
depend on the release (``schemas.requests``).
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from churn_api.http.decode_errors import explain, malformed, not_json, without_what_was_sent

DEEPEST: Final = 32
"""Most levels of nested objects and lists."""


def strict_decoder(type_: Any) -> Callable[[bytes], Any]:
    """A function that decodes a body as a type.

    For a body that does not fit, the function raises ``Problem`` (400), which names the place and what was expected there.
    """
    decode = msgspec.json.Decoder(type_, strict=True).decode

    def decoded(body: bytes) -> Any:
        try:
            text = body.decode("utf-8")
            value = decode(body)
        except msgspec.ValidationError as error:
            raise explain(without_what_was_sent(str(error)), {}) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_json(str(error)) from None
        except RecursionError:
            raise _too_deep() from None
        _require_unambiguous(text)
        return value

    return decoded


def _require_unambiguous(text: str) -> None:
    """Read an otherwise valid body once more, name by name.

    Raises:
        Problem: if a name occurs twice, a text holds NUL, or there are too many levels (400).
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_int=str, parse_float=str)
    except RecursionError:
        raise _too_deep() from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise _too_deep()


def _inside(value: Any) -> list[Any]:
    if isinstance(value, str) and "\0" in value:
        raise malformed("", "the body holds the character NUL; expected text without it")
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) < len(pairs):
        raise malformed("", "a name occurs twice in an object; expected each name once")
    return once


def _too_deep() -> Exception:
    return malformed("", f"the body is nested too deeply; expected at most {DEEPEST} levels")
