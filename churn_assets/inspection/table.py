"""A table as it was looked at: where it lies, how it is written, and the text of all its columns.

Belongs here: what files and a database hand over. Does not belong here: how they are found and read (``files``, ``database``), and
what a column is (``columns``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from churn_store.mapping.text import MappedText


@dataclass(frozen=True)
class InspectedTable:
    """A table of a company.

    Attributes:
        name: its name for people: a file, a pattern of files, or a table of a database.
        described: what ``churn.yaml`` says of where it lies and how it is written: ``path``, ``separator``, ``table`` and so on.
        text: the text of all its columns, read as ingest reads it.
        columns: names of the columns that can be mapped.
        left_out: columns that can't be, each with the reason.
        time_zone: zone in which times without one were most likely written, where the source tells; empty where it does not.
        several_names: names of files of which each stands for a part, where they differ in more than a date or a number.
    """

    name: str
    described: Mapping[str, object]
    text: MappedText
    columns: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = ""
    several_names: tuple[str, ...] = ()
