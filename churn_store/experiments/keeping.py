"""The results of an experiment that is over, kept before its predictions are removed, so that its verdict stays what it was.

A result is counted from the predictions each time. Without some of them it would be another one, with nothing to see it by. So nothing of an
experiment is removed before its result is a row of its events, and from then on that row is what is shown. Belongs here: when it is kept. Does
not belong here: the removal (``database.retention``), and counting (``results``).
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import sqlalchemy as sa

from churn_store.database.retention import PREDICTIONS, has_older, of_experiments
from churn_store.errors import FencedError
from churn_store.experiments.history import append, finished
from churn_store.experiments.results import results
from churn_store.storage.digest_store import DigestStore

BY: Final = "retention"
"""Who keeps them."""


def keep_results(engine: sa.Engine, files: Callable[[], DigestStore], *, now_s: float, before_s: float) -> list[str]:
    """Keep the results of experiments that are over and have predictions from before a time. Asked again, it adds nothing.

    One that lacks customers because labels of the lake can't be read is kept another time.

    Args:
        engine: the serving database.
        files: function that opens the release files, beside which the labels of the lake are published.
        now_s: time by the platform's clock, in epoch seconds.
        before_s: time before which predictions are removed.

    Returns:
        The names of those that were kept.
    """
    kept = []
    for record in finished(engine, now_s=now_s):
        others = ~of_experiments([record.experiment.name])
        if record.kept is not None or not has_older(engine, before_s, PREDICTIONS, kept=others):
            continue
        found = results(engine, files, record, now_s=now_s)
        if found.sources.left_out:
            continue
        event = record.next_event(
            "kept",
            by=BY,
            reason="before its predictions are removed",
            at_s=int(now_s),
            found=msgspec.json.encode(found).decode(),
        )
        with suppress(FencedError):  # another run was faster
            append(engine, event)
            kept.append(record.experiment.name)
    return kept
