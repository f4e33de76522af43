"""Turns the text of a customers' table into the inputs of a model, by the mapping that ingest reads the same table by.

Belongs here: which part of a description a model needs, and the rows that can't be read. Does not belong here: how values are read
(``canonical``), and which of them a model takes (``churn_store.model.signature``).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import polars as pl

from churn_store.mapping.canonical import attributes_of
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.ids import customer_ids, ids_of_attributes
from churn_store.mapping.labels import known_labels
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.tables import PERSON
from churn_store.mapping.text import MappedText


@dataclass(frozen=True)
class ModelInputs:
    """Rows of customers as a model takes them.

    Attributes:
        rows: attributes by name: numbers and words; and ``customer_id``, if the description maps it.
        unreadable: why a row can't be read, in words; null where it can. The values of such a row are not to be used.
        notes: remarks about what was read, for people.
        labels: what the table says of each customer (``labels.known_labels``); ``None`` where it has no label column.
    """

    rows: pl.DataFrame
    unreadable: pl.Series
    notes: tuple[str, ...] = ()
    labels: pl.Series | None = None


def needed(description: FileTable, inputs: Iterable[str], there: Collection[str] | None = None) -> FileTable:
    """The part of a description that scoring needs: ids, the attributes that are a model's inputs, and the label if it is there.

    Where the table has no ids, they are digests of all attributes, as in ingest.

    Args:
        description: description of a table of customers.
        inputs: names of the model's inputs.
        there: columns of the file; ids are left out if they can't be read from them. ``None`` if they are not known yet.
    """
    wanted = {name: description.attributes[name] for name in inputs}
    ids = description.columns.get(PERSON)
    if there is not None and ids is not None:
        if description.has_ids:
            ids = ids if ids in there else None
        elif all(attribute.column in there for attribute in description.attributes.values()):
            wanted = description.attributes
        else:
            ids = None
    label = description.label if there is not None and description.label and description.label.column in there else None
    return description.model_copy(
        update={
            "columns": {} if ids is None else {PERSON: ids},
            "attributes": wanted,
            "values": {name: words for name, words in description.values.items() if name in wanted},
            "label": label,
        }
    )


def model_inputs(text: MappedText, description: FileTable, *, where: str, with_values: bool = True) -> ModelInputs:
    """The inputs of a model in a block of a table.

    Whatever share of the rows can't be read, the others can: a score is of one row.

    Args:
        text: texts of the block.
        description: description of the table, as ``needed``.
        where: name of the table or file, with which every error message begins.
        with_values: whether the reasons show values.
    """
    readability = Readability(text, where=where, limit=1.0, person=description.columns.get(PERSON, "\0no ids"))
    attributes = attributes_of(text, description, readability)
    ids = {}
    if PERSON in description.columns:
        has_ids = description.has_ids
        ids[PERSON] = (
            customer_ids(text, description, readability) if has_ids else ids_of_attributes(pl.DataFrame(attributes))
        )
    reasons = readability.reasons(with_values=with_values)
    labels = None if description.label is None else known_labels(text, description.label)
    return ModelInputs(pl.DataFrame({**ids, **attributes}), reasons, tuple(readability.notes), labels)
