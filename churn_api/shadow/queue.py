"""What the champion has answered and the challenger in shadow has yet to score.

Belongs here: all that shadow mode costs a request. Does not belong here: the scoring (``shadow.follower``).
"""

from collections import deque
from typing import Final, NamedTuple

from churn_api.releases.serving_model import ServingModel
from churn_api.schemas.requests import Row
from churn_api.telemetry.metrics import Metrics

MOST_ROWS: Final = 10_000
"""Most rows that wait; about 1 KB each."""


class Answered(NamedTuple):
    """One prediction as it was answered.

    Attributes:
        role: release that answered.
        row: its inputs by name.
        probability: its probability of churn.
        churn: its decision.
    """

    role: ServingModel
    row: Row
    probability: float
    churn: bool


class ShadowQueue:
    """Rows on their way into the shadow; closed unless a challenger is in shadow.

    Args:
        metrics: metrics that count what did not fit.
        most: most rows that wait.

    Attributes:
        is_open: whether rows are taken; asked by each prediction.
    """

    __slots__ = ("_metrics", "_most", "_release", "_rows", "is_open")

    def __init__(self, metrics: Metrics, *, most: int = MOST_ROWS) -> None:
        self.is_open = False
        self._rows: deque[Answered] = deque()
        self._most = most
        self._metrics = metrics
        self._release = ""

    def open(self, release: str) -> None:
        """Take rows for a release in shadow, named by the first digits of its digest; what waited for another one is forgotten."""
        self._rows.clear()
        self._release = release
        self.is_open = True

    def close(self) -> None:
        """Take no more rows, and forget those that wait."""
        self.is_open = False
        self._rows.clear()

    def put(self, role: ServingModel, row: Row, probability: float, churn: bool) -> None:
        """Queue what was answered, or count it as dropped. Waits for nobody."""
        if len(self._rows) < self._most:
            self._rows.append(Answered(role, row, probability, churn))
        else:
            self._metrics.shadow_dropped.labels(self._release, role.short).inc()

    def take(self, most: int) -> list[Answered]:
        """The rows that wait longest."""
        taken: list[Answered] = []
        try:
            while len(taken) < most:
                taken.append(self._rows.popleft())
        except IndexError:
            pass
        return taken
