"""The reasons of a batch's rows, a few at a time.

Reasons cost dozens of times what a prediction costs, so a batch with them has fewer rows, and leaves the threads to others after a few
rows. Belongs here: which rows get reasons. Does not belong here: the reasons themselves (the folder ``explanations``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from churn_api.http.call import Call
from churn_api.http.decode_errors import malformed
from churn_api.http.problems import Problem
from churn_api.predictions.service import Asked, Predictor
from churn_api.releases.served import Served
from churn_api.releases.serving_model import ServingModel
from churn_api.schemas.reasons import Reasons
from churn_api.schemas.requests import Row

T = TypeVar("T")

EXPLAINED_AT_ONCE: Final = 20
"""Rows that are explained before another request has its turn in the thread: 0.02 to 0.05 s."""


class Explained(NamedTuple):
    """Rows of a batch with their reasons.

    Attributes:
        asked: id and row of each prediction; a row that can't be explained is the problem instead.
        reasons: reasons of each; ``None`` where there is a problem.
    """

    asked: list[tuple[str | None, Row | Problem]]
    reasons: list[Reasons | None]

    def and_more(self, more: "Explained") -> "Explained":
        """These rows and those behind them."""
        return Explained(self.asked + more.asked, self.reasons + more.reasons)


@dataclass(frozen=True)
class BatchReasons:
    """Explains the rows of batches, in the thread of the caller.

    Attributes:
        predictor: what knows which rows can be scored.
        explain: function that gives the reasons of a row; it raises a problem where there are none.
        require: function that raises a problem where a release can't be explained.
        max_rows: most rows of a batch with reasons.
    """

    predictor: Predictor
    explain: Callable[[ServingModel, str | None, Row], Reasons]
    require: Callable[[ServingModel], None]
    max_rows: int

    def few(self, rows: Iterable[T]) -> list[T]:
        """The rows of a batch, counted.

        Raises:
            Problem: if there are more than ``max_rows`` (400).
        """
        found = list(islice(rows, self.max_rows + 1))
        if len(found) > self.max_rows:
            raise malformed(
                "explain",
                f"expected at most {self.max_rows} rows with explain=true, found more; send them in parts, or leave explain out",
            )
        return found

    def require_explained(self, served: Served) -> None:
        """Refuse a batch whose releases can't be explained.

        Raises:
            Problem: if one of them can't (503).
        """
        for role in served.roles:
            self.require(role)

    def of(self, call: Call, served: Served, asked: Asked) -> Explained:
        """The reasons of rows; what can't be scored is not explained."""
        explained = Explained([], [])
        for customer_id, row in asked:
            found = row if isinstance(row, Problem) else self._one(call, served, customer_id, row)
            explained.asked.append((customer_id, found if isinstance(found, Problem) else row))
            explained.reasons.append(None if isinstance(found, Problem) else found)
        return explained

    def _one(self, call: Call, served: Served, customer_id: str | None, row: Row) -> Reasons | Problem:
        role, _ = served.answering(customer_id, call.headers)
        try:
            self.predictor.require_complete(role, row)
            return self.explain(role, customer_id, row)
        except Problem as problem:
            return problem
