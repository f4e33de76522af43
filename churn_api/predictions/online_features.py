"""Online features: which snapshot is current, and the model's inputs for customer ids.

An unknown customer is a 404; everything else that is missing is a 503. Belongs here: following the snapshot, and picking the
serving release's columns out of it. Does not belong here: how a snapshot is stored (``churn_store.storage.online_store``).
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from churn_api.http.problems import Problem
from churn_api.releases.served import Served
from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.metrics import Metrics
from churn_store.model.signature import Picker, picker
from churn_store.storage.online_store import OnlineReader, Snapshot

TOGETHER = 200
"""Most ids in one look-up, so that a large batch does not block the event loop."""

TIMEOUT_S = 3.0
SLOWEST_S = 5.0


class FoundFeatures(NamedTuple):
    """The model's inputs for some customers, from one snapshot.

    Attributes:
        snapshot: snapshot that was read.
        rows: one entry per id, in order: the model's inputs by name, or ``None`` for a customer who is not in the snapshot.
    """

    snapshot: Snapshot
    rows: list[dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The positions of one release's columns in one snapshot."""

    snapshot: Snapshot
    served: Served
    names: tuple[str, ...]
    pick: Picker
    missing: tuple[str, ...]


class OnlineFeatures:
    """Looks up customers in the current snapshot.

    Args:
        reader: reader of the address to which the graph writes the features.
        metrics: metrics that count failures.

    Attributes:
        hits, misses: customers that were looked up and were in the snapshot, and those that were not.
    """

    def __init__(self, reader: OnlineReader, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics
        self._plan: _Plan | None = None
        self.hits = self.misses = 0
        self._succeeded = time.monotonic()
        self._is_away = False

    @property
    def snapshot(self) -> Snapshot | None:
        """The current snapshot, or ``None`` before the first."""
        return self._reader.snapshot

    @property
    def age_s(self) -> float:
        """Seconds since the last successful look at the pointer."""
        return time.monotonic() - self._succeeded

    async def refresh(self) -> bool:
        """Read the pointer to the current snapshot once; after a failure, which is counted, the former snapshot stays.

        Returns:
            Whether the pointer could be read.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._reader.refresh()
        except Exception as error:  # whatever Redis, SQLite or a damaged pointer raises
            self._failed(error)
            return False
        self._succeeded = time.monotonic()
        self._is_away = False
        return True

    async def require_newest(self) -> None:
        """Look for the newest snapshot now.

        Raises:
            Problem: if the pointer can't be read (503); the former snapshot stays.
        """
        if not await self.refresh():
            raise _away()

    async def reload(self) -> None:
        """Drop what is kept of the snapshot, and read the newest anew.

        Raises:
            Problem: if it can't be read (503); the former snapshot stays.
        """
        self._reader.forget()
        await self.require_newest()

    @property
    def kept_in(self) -> str:
        """Where look-ups read: ``file`` or ``redis``."""
        return self._reader.kept_in

    async def size(self) -> int | None:
        """Bytes of what look-ups read; ``None`` if they can't be told now."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._reader.size()
        except Exception as error:  # whatever Redis or the disk raises
            self._failed(error)
            return None

    async def follow(self, every_s: float) -> None:
        """Refresh for ever, less often while refreshes fail."""
        pause_s = every_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = every_s if await self.refresh() else min(pause_s * 2, max(SLOWEST_S, every_s))

    async def close(self) -> None:
        """Release the connections."""
        await self._reader.close()

    def columns_missing_for(self, served: Served) -> tuple[str, ...]:
        """Columns of a release that the current snapshot lacks."""
        snapshot = self._reader.snapshot
        return () if snapshot is None else self._plan_of(snapshot, served).missing

    async def look_up(self, customer_ids: Sequence[str], served: Served) -> FoundFeatures:
        """The release's inputs for customers, all from one snapshot.

        Raises:
            Problem: if there is no snapshot, it lacks a column of the release, or it can't be read now (503).
        """
        plan = self._plan_for(served)
        rows: list[dict[str, Any] | None] = []
        while len(rows) < len(customer_ids):
            if rows:
                await asyncio.sleep(0)
                if self._reader.snapshot is not plan.snapshot:  # another one became current: begin again
                    plan, rows = self._plan_for(served), []
            try:
                looked_up = await self._reader.get(customer_ids[len(rows) : len(rows) + TOGETHER])
            except Exception as error:  # whatever Redis or SQLite raises
                self._failed(error)
                raise _away() from error
            rows += [
                None if values is None else dict(zip(plan.names, plan.pick(values), strict=True)) for values in looked_up
            ]
        missed = rows.count(None)
        self.hits += len(rows) - missed
        self.misses += missed
        return FoundFeatures(snapshot=plan.snapshot, rows=rows)

    async def of_customer(self, customer_id: str) -> tuple[Snapshot | None, dict[str, Any] | None]:
        """The snapshot, and all features that it has of a customer; it is no look-up for a prediction and not counted as one.

        Raises:
            Problem: if they can't be read now (503).
        """
        snapshot = self._reader.snapshot
        if snapshot is None:
            return None, None
        try:
            (values,) = await self._reader.get((customer_id,))
        except Exception as error:  # whatever Redis or SQLite raises
            self._failed(error)
            raise _away() from error
        return snapshot, None if values is None else dict(zip(snapshot.columns, values, strict=True))

    def _plan_for(self, served: Served) -> _Plan:
        """How to read a release's columns from the current snapshot.

        Raises:
            Problem: if there is no snapshot, or it lacks a column (503).
        """
        snapshot = self._reader.snapshot
        if snapshot is None:
            raise Problem(
                503,
                "no-online-features",
                "There are no online features yet, so no customer can be looked up; materialize the asset online_features, or "
                "send the attributes to POST /predict.",
            )
        plan = self._plan_of(snapshot, served)
        if plan.missing:
            raise Problem(
                503,
                "online-features-of-another-model",
                f"The online features lack {', '.join(plan.missing)}, which the serving release needs; materialize the asset "
                "online_features again.",
            )
        return plan

    def _plan_of(self, snapshot: Snapshot, served: Served) -> _Plan:
        plan = self._plan
        if plan is None or plan.snapshot is not snapshot or plan.served is not served:
            where = {name: position for position, name in enumerate(snapshot.columns)}
            names = served.champion.bundle.manifest.signature.names
            plan = self._plan = _Plan(
                snapshot=snapshot,
                served=served,
                names=names,
                pick=picker([where[name] for name in names if name in where]),
                missing=tuple(name for name in names if name not in where),
            )
        return plan

    def _failed(self, error: Exception) -> None:
        self._metrics.refresh_failures.labels("online").inc()
        if not self._is_away:
            say("online_features_away", logging.WARNING, error=where_raised(error))
        self._is_away = True


def _away() -> Problem:
    return Problem(
        503,
        "online-features-away",
        "The online features can't be read at the moment; try again, or send the attributes to POST /predict.",
    )


def date_of(snapshot: Snapshot) -> str:
    """The snapshot for people: the date of its time T, or its name where data has no time."""
    if snapshot.snapshot_s is None:
        return snapshot.name
    return datetime.fromtimestamp(snapshot.snapshot_s, UTC).date().isoformat()
