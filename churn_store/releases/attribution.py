"""Who decides, and why: the name and the reason that stay in the history for ever.

Belongs here: what such a line may hold; the same for the commands, the jobs, the service's route and the names of its keys. Does
not belong here: what is decided.
"""

from churn_store.errors import InputError

LONGEST_NAME, LONGEST_REASON = 200, 2_000

UNSEEN_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Fillers of Korean script: letters by their Unicode category, but invisible."""


def require_name(text: str) -> str:
    """A person's name as one readable line.

    Args:
        text: name as it was given; any white space in it counts as one space.

    Raises:
        InputError: if it holds nothing readable, a character that can't be shown, or more than ``LONGEST_NAME`` letters.
    """
    return _line("name", text, LONGEST_NAME)


def require_reason(text: str) -> str:
    """A reason as one readable line, by the rules of ``require_name``, of at most ``LONGEST_REASON`` letters."""
    return _line("reason", text, LONGEST_REASON)


def _line(what: str, text: str, at_most: int) -> str:
    line = " ".join(text.split())
    if len(line) > at_most:
        raise InputError(f"the {what} has {len(line)} letters; expected at most {at_most}")
    unseen = next((one for one in line if not one.isprintable()), None)
    if unseen is not None:
        raise InputError(
            f"the {what} holds U+{ord(unseen):04X}, which is a control or formatting character or no text at all; write it without"
        )
    if not any(one.isalnum() and one not in UNSEEN_LETTERS for one in line):
        raise InputError(f"no {what} was given; expected one line with a letter or a digit")
    return line
