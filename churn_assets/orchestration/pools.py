"""How runs share the machine: two at a time, and of one pool never more than one.

The limits are in ``dagster.yaml``. A pool holds the runs that write the same tables, so that no two of them meet. Labels, training and
reports share one pool, so that one of the two places is always free for what customers wait for, which also comes first.

Belongs here: the names of the pools, their limits before their first runs, and how often a sensor looks. Does not belong here: which asset is in which (the stages).
"""

import dagster as dg

INGEST, FEATURES, SCORES, BACKGROUND = "ingest", "features", "scores", "background"

FIRST = {"dagster/priority": "1"}
"""The tag of runs that customers wait for: of those that are queued they are taken first."""

EVERY_S = 3
"""The least time between two looks of a sensor. Dagster's daemon goes round every five seconds, and passes over a sensor whose time has
not come: an interval of five would be missed by a moment every other time."""


def ensure_limits(instance: dg.DagsterInstance) -> None:
    """Give each pool its limit from ``dagster.yaml`` before a run of it is queued.

    Dagster does so itself while it takes the first runs of a pool from the queue, and does not yet hold these to the limit: two that were
    queued on a fresh instance would write the same tables at once.
    """
    storage = instance.event_log_storage
    if instance.global_op_concurrency_default_limit is None or not storage.supports_global_concurrency_limits:
        return
    known = {pool.name for pool in storage.get_pool_limits()}
    for pool in (INGEST, FEATURES, SCORES, BACKGROUND):
        if pool not in known:
            storage.initialize_concurrency_limit_to_default(pool)
