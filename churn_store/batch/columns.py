"""The columns of a file that are scored, kept and written, and the messages when some of them are not there.

Belongs here: names. Does not belong here: reading (``tables``, ``mapped_table``) and values (``rows``).
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from churn_store.batch.row_writer import SHOWN
from churn_store.batch.rows import REASON
from churn_store.batch.scores import CHURN, PROBABILITY, RELEASE
from churn_store.batch.tables import LINE, ROW
from churn_store.errors import InputError
from churn_store.spreadsheet import any_is_run

CUSTOMER_ID = "customer_id"

LABEL = "\0\0label"
"""What the file says of each customer already. No column of a file has such a name."""

WRITTEN_AS = {ROW: "row", LINE: "line", REASON: "reason", LABEL: "known_label"}
"""Names of a row's position and reason in the written files."""

TAKEN = frozenset({PROBABILITY, CHURN, RELEASE, *WRITTEN_AS.values()})
"""Names that a column of ids can't have, because written columns have them."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file's rows, besides the inputs of the release.

    Attributes:
        ids: column of ids; ``None`` without ids.
        kept: further columns that are copied to the scores.
        written_as: names in the written files, where they differ.
        has_labels: whether rows have the column ``LABEL``.
    """

    ids: str | None
    kept: tuple[str, ...] = ()
    written_as: Mapping[str, str] = field(default_factory=dict)
    has_labels: bool = False


def id_written_as(name: str) -> str:
    """The name of a column of ids in the written files: one without a name, as pandas writes, is ``customer_id``."""
    return CUSTOMER_ID if name == "" or any_is_run(pl.Series([name])) else name


def refuse_keeping(keep: Sequence[str], there: Sequence[str], *, ids: str | None, source: Path) -> None:
    """Refuse columns to keep that are not there, twice, or called as a written column.

    Args:
        keep: columns to keep.
        there: columns of the file.
        ids: name of the column of ids in the written files.
        source: the file.

    Raises:
        InputError: if there are such columns.
    """
    if unknown := [name for name in keep if name not in there]:
        raise InputError(f"{source} has no column {', '.join(f'{name}{near(name, there)}' for name in unknown)} to keep")
    if ids in TAKEN:
        raise InputError(f"--id {ids}: the files that are written have a column of that name; rename it in {source}")
    taken = [name for name in keep if name in {*TAKEN, ids, f"{ids}{SHOWN}"}]
    if taken or len(set(keep)) < len(keep):
        raise InputError(
            f"--keep {', '.join(taken or keep)}: the scores have a column of that name already; rename it in {source}"
        )


def require_id(name: str, there: Sequence[str], *, source: Path) -> None:
    """Refuse a column of ids that is not there.

    Raises:
        InputError: if it is not.
    """
    if name not in there:
        raise InputError(f"{source} has no column {name}{near(name, there)}; name the column of ids with --id")


def near(name: str, there: Sequence[str]) -> str:
    """A hint at a column of a similar name; empty without one."""
    found = difflib.get_close_matches(name, there, n=1)
    return f" (there is {found[0]})" if found else ""
