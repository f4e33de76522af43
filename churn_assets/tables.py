"""Names around the lake's tables: the protocol of a source of raw rows, names of quarantines, roles of training rows.

Belongs here: what several stages must agree on about tables. Does not belong here: the canonical columns
(``churn_store.mapping.tables``), where rows come from (``simulator``, ``connectors``), and in which period a row arrives
(``raw.arrivals``).
"""

from typing import Protocol

from churn_store.mapping.tables import Delivery, Table
from churn_store.model.signature import Column

EVER_S = 2**62
"""Later than every time, in seconds; its negative is earlier."""


def quarantine_of(table: Table) -> str:
    """The name of the table that holds a raw table's quarantined rows."""
    return f"{table}_quarantine"


class Source(Protocol):
    """Rows of the canonical tables."""

    @property
    def attributes(self) -> tuple[Column, ...]:
        """The columns that the source has of a customer in addition to the canonical ones."""

    def given(self, table: Table) -> frozenset[str]:
        """Which of a table's ``OPTIONAL`` and ``WHERE_MAPPED`` columns the source has."""

    def says_when_known(self, table: Table) -> bool:
        """Whether the source says when a row of a table became known."""

    def numeric_words(self, table: Table) -> frozenset[str]:
        """Which columns of words are numbers to their writer, by their canonical names.

        Raises:
            InputError: if the source does not fit its description in ``churn.yaml``.
        """

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """Rows that became known in ``[start_s, end_s)``; data without time gives all its rows.

        Without arrival timestamps it gives all rows that happened before ``end_s``, dated as known when they happened;
        ``raw.late_arrivals`` then finds the new ones.

        Raises:
            InputError: if the source does not fit its description in ``churn.yaml``.
        """

    def fingerprint(self) -> str:
        """A digest that changes whenever other rows could come out."""


LABEL = "churned"
"""The column with a customer's label: whether it churned."""

KIND = "churn_kind"
"""The column with the kind of a customer's churn; null for who stayed."""

PAYMENT_FAILURE, VOLUNTARY = "payment_failure", "voluntary"
"""The kinds of churn."""

WEIGHT = "treatment_weight"
"""The column of a training set with the number of rows that a row stands for, as treated customers were left out."""

TRAIN, SELECT, JUDGE = "train", "select", "judge"
"""The roles of a row of the training set."""

SCORE = "score"
"""The column of a model's probability of churn, in what drift is measured on."""
