"""Texts in files that people open with a spreadsheet: none of them may be run as a formula.

Belongs here: which texts a spreadsheet runs, and how they are written so that it shows them. Does not belong here: how a file is
written (``churn_store.batch.row_writer``).
"""

import polars as pl

FORMULA = r"^[=+\-@\t\r\n]"
"""The beginning of a text that a spreadsheet may run (OWASP, CSV injection)."""

NEGATIVE_NUMBER = r"^-\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?$"
"""A text that begins like a formula and is only a number."""

APOSTROPHE = "'"
"""In front of a cell, it says to a spreadsheet that the rest is text."""


def is_run(text: pl.Expr) -> pl.Expr:
    """Whether a spreadsheet may run a text as a formula."""
    return text.str.contains(FORMULA) & ~text.str.contains(NEGATIVE_NUMBER)


def defused_text(text: pl.Expr) -> pl.Expr:
    """A text as a spreadsheet shows it: one that it may run begins with an apostrophe."""
    return pl.when(is_run(text)).then(pl.lit(APOSTROPHE) + text).otherwise(text)


def defused(frame: pl.DataFrame, *, exact: str | None = None) -> pl.DataFrame:
    """A frame for a file that a spreadsheet may open: its texts and the names of its columns are defused, numbers stay.

    Args:
        frame: rows of the file.
        exact: column that stays as it is, because other tables are joined by it.
    """
    texts = [
        name
        for name, kind in frame.schema.items()
        if name != exact and isinstance(kind, pl.String | pl.Categorical | pl.Enum)
    ]
    written = frame.with_columns(defused_text(pl.col(name).cast(pl.String)).alias(name) for name in texts)
    names = pl.Series([name for name in frame.columns if name != exact], dtype=pl.String).to_frame("name")
    shown = names.select("name", shown=defused_text(pl.col("name"))).filter(pl.col("name") != pl.col("shown"))
    return written.rename(dict(shown.iter_rows()))


def any_is_run(ids: pl.Series) -> bool:
    """Whether a spreadsheet may run one of the ids."""
    if not isinstance(ids.dtype, pl.String | pl.Categorical | pl.Enum):
        return False
    found = ids.cast(pl.String).to_frame("id").select(is_run(pl.col("id")).any()).item()
    return bool(found)
