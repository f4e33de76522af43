"""What follows a swap and takes its time: the copy on local disk, and the reference sample.

Both run in threads of their own, so that the next row of ``releases`` is followed as fast as any. Does not belong here: what serves
(``releases.poller``).
"""

import logging
import time

from obstore.exceptions import BaseError as ObjectStoreError

from churn_api.releases.last_good import LastGood
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.reference import Reference, read_reference
from churn_api.releases.served import Served
from churn_api.releases.serving_model import SHOWN_DIGITS
from churn_api.telemetry.json_log import say, where_raised
from churn_store.errors import ReleaseError, StoreAwayError
from churn_store.releases.bundles import Bundle

COPY_AGAIN_S = 60.0
"""Pause after a copy that failed."""

REMEMBERED = 4
"""Reference samples that are kept, so that a rollback finds its own."""


class FollowUp:
    """Copies and reads what serves.

    Args:
        releases: source of what serves.
        last_good: copy on local disk.
    """

    def __init__(self, releases: ReleasePoller, last_good: LastGood) -> None:
        self._releases = releases
        self._last_good = last_good
        self._kept: Served | None = None
        self._not_before = 0.0
        self._references: dict[str, Reference | None] = {}

    def copy(self) -> None:
        """Copy what serves, once; later only record that the database still names it."""
        served, row = self._releases.current, self._releases.confirmed
        if served is None or served.row != row or time.monotonic() < self._not_before:
            return
        try:
            self._last_good.keep_experiment(served.running)
            is_there = _same(served, self._kept) or served.from_cache
            if not (is_there and self._last_good.confirm(served.row)):
                self._last_good.keep(self._releases.store(), served.row, served.digests)
            self._kept = served
        except (OSError, ObjectStoreError, ReleaseError, StoreAwayError) as error:
            self._not_before = time.monotonic() + COPY_AGAIN_S
            say("release_not_cached", logging.WARNING, release=served.champion.short, error=where_raised(error))

    def read_reference(self) -> None:
        """Read the champion's reference sample, unless it was read; predictions do not need it."""
        served = self._releases.current
        if served is None or served.reference is not None:
            return
        bundle = served.champion.bundle
        if bundle.digest not in self._references:
            self._references[bundle.digest] = _reference_of(bundle)
            for digest in list(self._references)[:-REMEMBERED]:
                del self._references[digest]
        reference = self._references[bundle.digest]
        if reference is not None:
            self._releases.take_reference(bundle.digest, reference)


def _same(served: Served, kept: Served | None) -> bool:
    return kept is not None and (kept.row, kept.digests) == (served.row, served.digests)


def _reference_of(bundle: Bundle) -> Reference | None:
    """A release's reference sample; ``None`` if it can't be read."""
    try:
        return read_reference(bundle.reference, bundle.manifest.signature)
    except ReleaseError as error:
        say("reference_not_read", logging.WARNING, release=bundle.digest[:SHOWN_DIGITS], detail=str(error))
        return None
