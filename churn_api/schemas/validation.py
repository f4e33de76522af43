"""Answer body of a validation: findings by column and rule, and each column compared with the release's reference.

Belongs here: the body of the answer. Does not belong here: how a finding is made (``validation.explain``).
"""

from typing import Annotated, Literal

import msgspec

ValidationRule = Literal[
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
    """One finding that several rows may share.

    Attributes:
        column: name of the column; null for faults of a whole row, and for unknown columns beyond the first 50.
        rows: number of rows with the finding.
        first_row: first of these rows, counted from 0.
        examples: some of the values as shortened JSON text; empty for ids and unknown columns.
    """

    column: str | None
    rule: ValidationRule
    rows: int
    first_row: int
    examples: list[str]


class Distribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A column compared with the release's reference sample.

    Attributes:
        rows: rows whose value is of the column's kind or missing, whatever else is wrong with them; the other fields refer to
            these rows.
        missing: share of rows without a value; null without rows.
        missing_in_reference: share of the reference's rows without a value.
        unseen: share of rows with a category that training never saw; null for numbers.
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
        release: digest of the release that the rows were checked against.
        valid: number of rows that a prediction by this release would accept.
        problems: reasons why the other rows would be refused.
        notices: findings that a prediction accepts but somebody should look at.
        reference_rows: size of the release's reference sample; null without a readable one.
    """

    request_id: str
    release: str
    rows: int
    valid: int
    problems: list[Finding]
    notices: list[Finding]
    distribution: list[Distribution]
    reference_rows: int | None
