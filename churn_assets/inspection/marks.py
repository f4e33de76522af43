"""Finds out how the numbers of a table are written, and which words stand for a missing value.

Belongs here: marks and words that hold for all columns of a table. Does not belong here: what one column is (``columns``).
"""

from collections.abc import Mapping, Sequence

import polars as pl

from churn_assets.inspection.series import share
from churn_assets.inspection.time_forms import ENOUGH, SAMPLE, is_iso
from churn_store.mapping.numbers import NO_VALUES, parse
from churn_store.mapping.time_formats import formats

MARKS: tuple[tuple[str, str | None], ...] = (
    (".", None),
    (",", None),
    (".", ","),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
)
"""Marks of decimals and between thousands, the most frequent first; a comma for decimals goes with points between thousands."""

MISSING_EVERYWHERE = frozenset({"null", "nan", "n/a", r"\n", "#n/a", "<na>", "-", "--", "?"})
"""Words that stand for a missing value in a column of words as well."""


def missing_words(raw: Mapping[str, pl.Series]) -> tuple[str, ...]:
    """The words that stand for a missing value: between numbers or times, or where they can mean nothing else."""
    found: dict[str, None] = {}
    for values in raw.values():
        words = values.drop_nulls().unique()
        strange = words.filter(words.str.to_lowercase().is_in(list(NO_VALUES)))
        if strange.len() == 0:
            continue
        others = words.filter(~words.is_in(strange.implode()))
        among_numbers = share(others.str.contains(r"^[+-]?[\d.,' \u00a0:/TZ-]*\d[\d.,' \u00a0:/TZ-]*$")) >= ENOUGH
        for word in strange.sort():
            if among_numbers or word.lower() in MISSING_EVERYWHERE:
                found[word] = None
    return tuple(found)


def marks(texts: Sequence[pl.Series]) -> tuple[str, str | None, bool]:
    """The marks by which the most columns are numbers, and whether a column could be read by others as well."""
    candidates = [
        sample
        for values in texts
        if (sample := values.drop_nulls().unique().head(SAMPLE)).len()
        and sample.str.contains(r"^[(+-]?\s?\d[\d.,'\u2019 \u00a0\u2009\u202f]*[)-]?$").mean() >= ENOUGH  # type: ignore[operator]
        and sample.str.contains(r"[.,'\u2019 \u00a0\u2009\u202f]").any()
        and not is_iso(sample)
        and not formats(sample, share=ENOUGH)
    ]
    if not candidates:
        return ".", None, False

    def fitting(marks: tuple[str, str | None]) -> int:
        return sum(_share_of_numbers(sample, *marks) >= ENOUGH for sample in candidates)

    best = max(MARKS, key=fitting)  # the first of equals
    groups = [sample for sample in candidates if _looks_grouped(sample, best[0])]
    is_ambiguous = False
    if (
        groups
        and best[1] is None
        and all(
            _looks_grouped(sample, best[0]) or not sample.str.contains(best[0], literal=True).any() for sample in candidates
        )
    ):
        # Every mark stands before three digits: rather between thousands.
        best, is_ambiguous = ((",", None) if best[0] == "." else (".", ",")), True
    return best[0], best[1], is_ambiguous


def _looks_grouped(sample: pl.Series, mark: str) -> bool:
    marked = sample.filter(sample.str.contains(mark, literal=True))
    return marked.len() > 0 and bool(marked.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+$").all())


def _share_of_numbers(sample: pl.Series, decimal: str, thousands: str | None) -> float:
    return 1 - parse(sample, decimal, thousands).null_count() / sample.len()
