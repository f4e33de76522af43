"""Follows what the graph has published of drift, quality and performance, and keeps what was read last.

Belongs here: when the file is read, and what is said where it can't be. Does not belong here: the form of the file
(``churn_store.monitoring.facts``), and what it means beside the release that serves (``monitoring.verdicts``). The lake is never opened.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from churn_api.telemetry.json_log import say
from churn_store.errors import StoreAwayError
from churn_store.monitoring.facts import ASSET, Facts, PublishedFacts, UnreadableFactsError, newest_facts, read_facts
from churn_store.storage.digest_store import DigestStore

NONE_YET = f"the graph has published no monitoring facts yet; materialize {ASSET}"


@dataclass(frozen=True)
class FollowedFacts:
    """What is known of the facts.

    Attributes:
        facts: those read last; ``None`` before the first.
        unreadable: why newer ones can't be read; empty where the facts are the newest. They tell of the past then.
        away: why it can't be said whether there are newer ones; empty where the store answers.
    """

    facts: Facts | None = None
    unreadable: str = ""
    away: str = ""


class FactsFollower:
    """Looks for newer facts, in a thread of a ``PeriodicTask``.

    Args:
        files: function that opens the release files, in whose store the facts lie.
        is_released: function that says whether a release serves; before the first there may be no store yet.

    Attributes:
        current: what was read last; replaced as a whole.
    """

    def __init__(self, files: Callable[[], DigestStore], is_released: Callable[[], bool]) -> None:
        self._files = files
        self._is_released = is_released
        self._known: PublishedFacts | None = None
        self.current = FollowedFacts()

    def follow(self) -> None:
        """Read the facts if the pointer names others than before.

        Raises:
            StoreAwayError: if the store does not answer; the former facts stay.
        """
        try:
            self._read(self._files())
        except StoreAwayError as error:
            if not self._is_released():
                return
            self.current = FollowedFacts(self.current.facts, self.current.unreadable, str(error))
            raise
        except UnreadableFactsError as error:
            if not self.current.unreadable:
                say("monitoring_facts_unreadable", logging.ERROR, detail=str(error))
            self._known = None
            self.current = FollowedFacts(self.current.facts, unreadable=str(error))

    def words(self) -> list[str]:
        """What is wrong with the facts, for everybody."""
        is_wrong = bool(self.current.unreadable)
        return ["the monitoring facts can't be read; GET /monitoring/report says why"] if is_wrong else []

    def _read(self, files: DigestStore) -> None:
        published = newest_facts(files)
        if published is None:
            self._known, self.current = None, FollowedFacts()
        elif published != self._known or self.current.unreadable:
            self.current = FollowedFacts(read_facts(files))
            self._known = published
        elif self.current.away:
            self.current = FollowedFacts(self.current.facts)
