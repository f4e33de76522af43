"""The platform's clock, followed at the poll interval so that a request does not read a file to know the time.

Belongs here: the time that answers, log rows, ages and expiries carry. Does not belong here: durations
(``time.perf_counter`` where they happen) and the time stamps of log lines, which are about this process.
"""

import time

from churn_store.clock import Clock
from churn_store.errors import InputError


class FollowedClock:
    """The time of ``churn_store.clock`` as it was last seen.

    Attributes:
        fault: reason why the time can't be read now; ``None`` if it can.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fixed_s: float | None = None
        self.fault: str | None = None
        self.follow()

    def follow(self) -> None:
        """Read from the platform's clock whether it is fixed, and at which time.

        Raises:
            InputError: if the file ``as_of`` holds no time; the clock goes on as it was.
        """
        try:
            self._fixed_s = self._clock.now().timestamp() if self._clock.is_fixed else None
        except (InputError, OSError) as error:
            self.fault = str(error)
            raise
        self.fault = None

    @property
    def is_fixed(self) -> bool:
        """Whether the time stands still."""
        return self._fixed_s is not None

    def now_s(self) -> float:
        """Epoch seconds."""
        return time.time() if self._fixed_s is None else self._fixed_s
