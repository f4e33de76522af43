"""Numbers as people read them in the Dagster UI; files and databases keep every digit."""

DIGITS = 5
"""Digits that count, of a number that is not whole."""


def rounded(number: float) -> float:
    """A number with ``DIGITS`` digits that count; whole ones, and what is no number, stay as they are."""
    return number if isinstance(number, int) else float(f"{number:.{DIGITS}g}")
