"""Addresses, values and names of columns as a report, a log or an error may show them: without secrets and personal data."""

import json
import re
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit


def without_password(url: str) -> str:
    """An address as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return url.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


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
