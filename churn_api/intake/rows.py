"""A row of a body as it was sent, and a value that is wrong.

Belongs here: what the readers of JSON and of CSV share. Does not belong here: reading (``intake.bodies``, ``intake.csv_rows``).
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)
"""A row of a kind, as it is sent."""


@dataclass(frozen=True, slots=True)
class Row(Generic[Record]):
    """A row: its place in the body, and either what it says or why it can't be read.

    Attributes:
        place: such as ``line 3`` or ``outcomes[2]``; empty for a body of one.
        fault: what is wrong with it.
        field: the field that is wrong; empty for the whole row.
    """

    place: str
    record: Record | None
    fault: str = ""
    field: str = ""


class BadValueError(Exception):
    """A value that is of the right type and still wrong; it becomes a part of a refusal.

    Args:
        field: its field; empty for the whole row.
        fault: what was found, what was expected and what to do.
    """

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(field)
        self.field = field
        self.fault = fault
