"""Addresses, values and names of columns as a report, a log or an error may show them: without secrets and personal data."""

import json
import re
from collections.abc import Sequence
from urllib.parse import unquote

SECRET = re.compile(
    r"(?i)((?:pass|pwd|secret|token|credential|signature|sig|auth|[a-z_-]*key(?:_?id)?)[a-z_-]*\s*(?:=|%3d)\s*)('[^']*'|[^\s&;,'\"]+)"
)
"""A name that says that its value is a secret, and the value: ``password=x``, ``sslpassword=x``, ``aws_secret_access_key=x``."""

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>/*)(?P<rest>.*)", re.DOTALL)


def without_password(url: str) -> str:
    """An address as it may be shown: without user, password, query and fragment, whether they are encoded or not.

    A folder is shown as it is. Whatever stands before an ``@`` is taken for a user with a password, also where it holds signs that end
    a host's name by the rules.
    """
    match = ADDRESS.fullmatch(url)
    if match is None or not match["slashes"]:
        return SECRET.sub(r"\1***", url)
    rest = match["rest"]
    is_file = len(match["slashes"]) > 2 or match["slashes"] == "/"  # noqa: PLR2004 - no host: only a query can follow
    if "@" in (plain := unquote(rest)) and not is_file:
        rest = plain
    if not is_file or match["slashes"] == "/":
        rest = rest.rpartition("@")[2]
    shown = re.split(r"[?#]" if not is_file else r"\?", rest, maxsplit=1)[0]
    return SECRET.sub(r"\1***", f"{match['scheme']}:{match['slashes']}{shown}")


LONGEST = 40
"""A longer value is a message or an address rather than a word, and is not shown."""


MAIL = re.compile(r"\S@\S")


VALUE = re.compile(r"[\s.,:/+TZ-]*\d[\d\s.,:/+TZ-]*")
"""Numbers and times: no column is called so."""


NAMES = 40
"""So many columns of a file are named."""


LOOKS_LIKE_ID = re.compile(r"\d{5}|^(?=.*\d)[0-9a-fA-F-]{12,}$")


def is_hidden(word: str) -> bool:
    """Whether a word is never shown: it is rather an address, an id or a text."""
    return len(word) > LONGEST or bool(MAIL.search(word) or LOOKS_LIKE_ID.search(word)) or not word.isprintable()


def shown(value: str) -> str:
    """A value as a sentence may tell it: what looks like an e-mail address or is longer than a word is a person's, and stays unsaid."""
    if MAIL.search(value):
        return "what looks like an e-mail address"
    return repr(value) if len(value) <= LONGEST else f"a text of {len(value)} characters"


def shown_names(names: Sequence[str]) -> str:
    """The columns of a file as a sentence may tell them: some, cut short, and without what is rather a value than a name."""
    more = len(names) - NAMES
    told = dict.fromkeys(map(_shown_name, names[:NAMES]))
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _shown_name(name: str) -> str:
    if MAIL.search(name):
        return "what looks like an e-mail address"
    if VALUE.fullmatch(name):
        return "a number or a time"
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}..."


def in_yaml(word: str) -> str:
    """A word as a line of YAML may hold it: in quotes unless it is of letters, digits and ``_`` alone."""
    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word) and word.lower() not in NO_TEXT
    return word if is_plain else json.dumps(word, ensure_ascii=False)


NO_TEXT = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n", "nan"})
"""Words that YAML takes for something else than text."""
