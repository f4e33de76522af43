"""Data that is blocked because it is broken or late, as the graph's alerts tell it: why the online features grow old.

Belongs here: the open alerts of quality, read now and then. Does not belong here: what is broken (the graph), and the age of the online
features (``health``).
"""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from churn_api.background import PeriodicTask
from churn_store.alerts.log import open_alerts

UNDER: Final = "quality/"
"""What the causes of the alerts begin with."""

EVERY_S: Final = 5.0
"""Seconds between two looks."""


class BlockedData:
    """The open alerts of quality.

    Args:
        engine: the serving database.
        on_failure: function that hears of each look that failed; what was seen last stays.
    """

    def __init__(self, engine: sa.Engine, *, on_failure: Callable[[BaseException], None]) -> None:
        self._engine = engine
        self.task = PeriodicTask("blocked data", self.look, every_s=EVERY_S, on_failure=on_failure)
        self.sentences: list[str] = []
        self._periods: set[str] = set()

    def look(self) -> None:
        """Read the open alerts."""
        found = open_alerts(self._engine, under=UNDER)
        self.sentences = [one.alert.sentence for one in found]
        self._periods = {one.alert.cause.rpartition("/")[0] for one in found}  # table and period, without the kind of fault

    def words(self) -> list[str]:
        """What is wrong, for everybody."""
        if not self.sentences:
            return []
        number = len(self._periods)
        return [
            f"the data of {number} period{'s' if number > 1 else ''} is broken or late, so that newer online features wait; "
            "/health/detailed says what was found"
        ]
