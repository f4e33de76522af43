"""Who may ask, put together: the keys, and what is written about their use.

Belongs here: making these parts, and the work that they repeat. Does not belong here: what each part does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa

from churn_api.disk_cache import CachedValue
from churn_api.security.audit import AuditTrail
from churn_api.security.key_ring import KeyRing
from churn_api.security.keys import HashedKey
from churn_api.security.last_use import LastUse
from churn_api.security.rate_limits import RateLimits
from churn_api.settings import ServiceConfig
from churn_api.telemetry.metrics import Metrics
from churn_store.clock import wall_s
from churn_store.errors import DatabaseAwayError


@dataclass(frozen=True)
class Access:
    """The parts.

    Attributes:
        ring: the keys in memory.
        last_use: when each key was last used.
        limits: how many requests a caller may make.
        audit: who changed something, and who was refused.
        since_s: start of this worker, in epoch seconds.
    """

    ring: KeyRing
    limits: RateLimits
    last_use: LastUse
    audit: AuditTrail
    since_s: float

    @classmethod
    def open(cls, settings: ServiceConfig, engine: sa.Engine, away: DatabaseAwayError | None, metrics: Metrics) -> Self:
        """The parts, with the keys as the database or this machine's disk has them.

        Args:
            settings: settings of the service.
            engine: the serving database.
            away: its error if it can't be read.
            metrics: metrics that count failures.

        Raises:
            DatabaseAwayError: if the database is away and no usable key is on local disk.
            InputError: if there is no usable key.
        """
        max_age_s = settings.service.keys_max_age_s
        kept = CachedValue(settings.cache_folder / "keys.json", list[HashedKey], max_age_s=max_age_s, now_s=wall_s)
        ring = KeyRing(engine, kept, max_age_s=max_age_s, now_s=wall_s)
        ring.open(away)
        failures = metrics.refresh_failures.labels("limits")
        limits = RateLimits.of(settings.service.limits, company=settings.company, on_failure=lambda _: failures.inc())
        audit = AuditTrail(engine, ring.name_of, wall_s, metrics.audit_dropped)
        return cls(ring, limits, LastUse(engine, ring), audit, wall_s())

    @property
    def writers(self) -> dict[str, Callable[[], None]]:
        """What is written into the database again and again, off the answers' path, by name."""
        return {"use of keys": self.last_use.write, "audit": self.audit.write}

    @property
    def last_writers(self) -> list[Callable[[], None]]:
        """The same, once more at the end of the process."""
        return [self.last_use.write, self.audit.write_last]

    def words(self) -> list[str]:
        """What is wrong with any of it now."""
        return [*self.limits.words(), *self.audit.words()]
