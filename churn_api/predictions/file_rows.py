"""The rows of a body that is a file: what a row is, and which rows a release takes.

Belongs here: everything about rows that needs no frame. Does not belong here: how a file is read (``predictions.company_files``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from churn_api.http.decode_errors import malformed
from churn_api.http.problems import Problem
from churn_api.schemas.requests import RequestTypes, Row

MOST_FAULTS: Final = 20
"""Most lines that a refusal names."""


@dataclass(frozen=True)
class FileRow:
    """A row of a body.

    Attributes:
        place: where it begins: ``line`` of CSV or ``row`` of Parquet.
        line: number of that, from 1.
        customer_id: its id, if it has one.
        values: inputs of the release by name; a number that can't be read is the text that stands there.
        fault: why it can't be read; empty where it can.
        is_whole: whether it has as many fields as the header; else it has no values.
    """

    place: str
    line: int
    customer_id: str | None
    values: Row
    fault: str
    is_whole: bool = True

    @property
    def where(self) -> str:
        """Its place in words."""
        return f"{self.place} {self.line}"


def asked_of(row: FileRow, requests: RequestTypes) -> tuple[str | None, Row | Problem]:
    """A row as a prediction by attributes, or the problem (400) of one that the release does not take; names its place."""
    if row.fault:
        return row.customer_id, _unscored(row, row.fault)
    try:
        return requests.of_values(row.customer_id, row.values)
    except Problem as problem:
        said = "; ".join(error["detail"] for error in problem.details.errors or [])
        return (None if "customer_id" in said else row.customer_id), _unscored(row, said)


def _unscored(row: FileRow, said: str) -> Problem:
    problem = malformed(row.where, said)
    problem.details.detail = f"This row can't be scored: {said} (at {row.where})."
    return problem


def batch_of(rows: Iterable[FileRow], requests: RequestTypes) -> list[tuple[str | None, Row]]:
    """The rows as a batch of predictions by attributes.

    Raises:
        Problem: if the release does not take some of them (400); names their places.
    """
    taken: list[tuple[str | None, Row]] = []
    faults: list[dict[str, str]] = []
    for row in rows:
        customer_id, asked = asked_of(row, requests)
        if isinstance(asked, Problem):
            faults += asked.details.errors or []
        else:
            taken.append((customer_id, asked))
    if not faults:
        return taken
    first = faults[0]
    refusal = malformed(first["path"], first["detail"])
    refusal.details.detail = (
        f"{len(faults)} of {len(faults) + len(taken)} rows can't be scored, the first on {first['path']}: {first['detail']}. No "
        "prediction was made; POST /validate says more of all of them, and a streamed answer (Accept: application/x-ndjson) "
        "has the others."
    )
    more = len(faults) - MOST_FAULTS
    refusal.details.errors = [
        *faults[:MOST_FAULTS],
        *([{"path": "", "detail": f"and {more} more lines"}] if more > 0 else []),
    ]
    raise refusal


def records_of(rows: Iterable[FileRow]) -> list[bytes | None]:
    """The rows as bodies of ``POST /predict``, each to be judged by itself; ``None`` for one with too many or too few fields."""
    encode = msgspec.json.Encoder().encode
    written: list[bytes | None] = []
    for row in rows:
        record: dict[str, Any] = {"attributes": row.values}
        if row.customer_id:
            record["customer_id"] = row.customer_id
        written.append(encode(record) if row.is_whole else None)
    return written
