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

    Every row that is put and never taken is counted as dropped.

    Args:
        metrics: metrics that count what is dropped.
        most: most rows that wait.

    Attributes:
        is_open: whether a release is in shadow, so that rows are taken or counted; asked by each prediction.
    """

    __slots__ = ("_has_room", "_metrics", "_most", "_release", "_rows", "is_open")

    def __init__(self, metrics: Metrics, *, most: int = MOST_ROWS) -> None:
        self.is_open = False
        self._has_room = True
        self._rows: deque[Answered] = deque()
        self._most = most
        self._metrics = metrics
        self._release = ""

    def open(self, release: str) -> None:
        """Take rows for a release in shadow, named by the first digits of its digest."""
        self._drop_all()
        self._release = release
        self._has_room = True
        self.is_open = True

    def close(self) -> None:
        """Take no more rows, and drop those that wait."""
        self.is_open = False
        self._drop_all()

    def give_up(self) -> None:
        """Drop the rows that wait, and all that come until the queue is opened again: nobody scores them."""
        self._has_room = False
        self._drop_all()

    def put(self, role: ServingModel, row: Row, probability: float, churn: bool) -> None:
        """Queue what was answered, or count it as dropped. Waits for nobody."""
        if self._has_room and len(self._rows) < self._most:
            self._rows.append(Answered(role, row, probability, churn))
        else:
            self._dropped(role)

    def _drop_all(self) -> None:
        while dropped := self.take(1):
            self._dropped(dropped[0].role)

    def _dropped(self, role: ServingModel) -> None:
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
