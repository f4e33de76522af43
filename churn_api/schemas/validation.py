"""What a validation answers: findings by column and rule, and how each column lies beside the release's reference.

Belongs here: the body of the answer. Does not belong here: how a finding is made (``validation.explain``).
"""

from typing import Annotated, Literal

import msgspec

Rule = Literal[
    "not a record",
    "not an id",
    "name twice",
    "wrong number of cells",
    "unknown column",
    "missing column",
    "missing value",
    "not a number",
    "not finite",
    "below the range",
    "above the range",
    "not a text",
    "text too long",
    "not accepted",
    "unknown category",
]

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What rows have in common.

    Attributes:
        column: null for what is wrong with a row as a whole, and for unknown columns beyond the first 50.
        rows: how many rows.
        first_row: the first of them, counted from 0.
        examples: some of the values, as JSON text, shortened; none of ids and of unknown columns.
    """

    column: str | None
    rule: Rule
    rows: int
    first_row: int
    examples: list[str]


class Distribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a column lies beside the release's reference sample.

    Attributes:
        rows: rows whose value is of the column's kind or missing, whatever else is wrong with them; what the rest is of.
        missing: share without a value; null without rows.
        missing_in_reference: the same of the reference.
        unseen: share with a word that training never saw; null for numbers.
        psi: bias-corrected population stability index, about 0 without drift; null below 100 rows or without a reference.
    """

    column: str
    rows: int
    missing: Share | None
    missing_in_reference: Share | None
    unseen: Share | None
    psi: float | None


class Validation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whether rows fit a release.

    Attributes:
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else one made by the service.
        release: digest of the release that the rows were held against.
        valid: rows that a prediction by this release would accept.
        problems: why the other rows would be refused.
        notices: what a prediction accepts and somebody should look at.
        reference_rows: size of the release's reference sample; null if it has none that can be read.
    """

    request_id: str
    release: str
    rows: int
    valid: int
    problems: list[Finding]
    notices: list[Finding]
    distribution: list[Distribution]
    reference_rows: int | None
