"""Ids of customers as all tables of a company have them.

Belongs here: rewriting ids so that two tables' are the same, and ids of a table that has none. Does not belong here: whether the ids of
two tables match (``foreign_keys``), and ids of rows (``surrogate_keys``).
"""

import polars as pl

from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.surrogate_keys import row_ids
from churn_store.mapping.text import MappedText


def customer_ids(text: MappedText, description: MappedTable, readability: Readability) -> pl.Series:
    """The id of each row's customer; a blank one can't be read."""
    column = description.columns["customer_id"]
    ids = text.words(column)
    readability.require(column, ids.is_null() | (ids.str.strip_chars() != ""), "an id, not only blanks")
    return rewritten(ids, description)


def rewritten(ids: pl.Series, description: MappedTable) -> pl.Series:
    """Ids as ``ids`` in churn.yaml asks for them; without it they stay as they are."""
    if description.ids is None:
        return ids
    if description.ids.pad is not None:
        return ids.str.zfill(description.ids.pad)
    return ids.str.replace(r"^0+(.)", "$1")


def ids_of_attributes(attributes: pl.DataFrame) -> pl.Series:
    """Ids of a table's rows without any: digests of their attributes, the same on every read.

    The label is left out, so that a customer keeps the id when the label becomes known.

    Args:
        attributes: canonical attributes of each row.
    """
    return row_ids(attributes.select(pl.all().cast(pl.String)))
