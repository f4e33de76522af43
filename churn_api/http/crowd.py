"""What all connections of the server may hold together, and who has to go when it is too much.

Belongs here: the choice. Does not belong here: the connections themselves (``http.protocol``).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

BUDGET: Final = 64 * 1024 * 1024
"""Most bytes that are held for callers that don't read, or that send more than is answered."""

AT_ONCE: Final = 20
"""When there are too many connections, one of so many of them is ended, so that a flood does not cost a choice each."""


class Crowd:
    """Bounds for all connections together.

    Args:
        connections: most connections that are open at once.
        budget: most bytes that are held for those that are stuck.
    """

    def __init__(self, connections: int = 1_000, budget: int = BUDGET) -> None:
        self._connections = connections
        self._budget = budget

    def too_many(self, connections: Iterable[Any], newest: Any) -> list[Any]:
        """The connections that make room for a newer one: those of the address that has the most, the longest waiting first.

        A connection whose request is being answered stays. If all of them are, the newest goes.
        """
        everyone = [one for one in connections if not one.transport.is_closing()]
        if len(everyone) <= self._connections:
            return []
        of_address = Counter(one.address for one in everyone)
        waiting = [one for one in everyone if one is not newest and not one.is_answering]
        waiting.sort(key=lambda one: (-of_address[one.address], one.waiting_since))
        return waiting[: max(1, self._connections // AT_ONCE)] or [newest]

    def over_budget(self, connections: Iterable[Any]) -> list[Any]:
        """The stuck connections that have to go, the longest waiting first, until the rest is within the budget."""
        stuck = [one for one in connections if one.stalled is not None or one.is_holding]
        held = {one: one.holds for one in stuck}
        over = sum(held.values()) - self._budget
        chosen: list[Any] = []
        for one in sorted(stuck, key=lambda one: one.waiting_since):
            if over <= 0:
                break
            chosen.append(one)
            over -= held[one]
        return chosen
