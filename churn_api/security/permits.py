"""Permits of rate limits, taken from `limits`' storage in blocks: of this process, or shared by all through Redis.

A hit of the library costs 9 to 16 us, and the fast lane answers in 250. So a block of permits is taken at once, a hundredth of what a
window allows, and given out one by one. No more permits exist than the rule says; of those that several workers share, a worker that
falls silent may waste one block. Belongs here: storage, and what happens while Redis is away. Does not belong here: who needs a permit
(``security.rate_limits``).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage

from churn_api.telemetry.json_log import say

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

PATIENCE_S: Final = 0.1
"""Longest wait for Redis; a request waits so long at most once in ``PAUSE_S``."""

PAUSE_S: Final = 5.0
"""Time for which Redis is not asked after it did not answer."""

BLOCKS: Final = 100
"""Blocks in a window."""


class PermitStore:
    """Hands out blocks of permits.

    Args:
        redis_url: address of the Redis that all workers share; empty to count in this process.
        now_s: the wall clock.
        on_failure: function called when Redis does not answer.
    """

    def __init__(self, redis_url: str, now_s: Callable[[], float], on_failure: Callable[[BaseException], None]) -> None:
        self._now_s = now_s
        self._on_failure = on_failure
        self._memory = MemoryStorage()
        self._ask_again_s = 0.0
        self._redis: RedisStorage | None = None
        if redis_url:
            import redis.asyncio  # noqa: PLC0415 - a tenth of the service's start, and few have Redis
            from limits.aio import storage  # noqa: PLC0415

            self._pool = redis.asyncio.ConnectionPool.from_url(
                redis_url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
            )
            pool: Any = self._pool  # the library's annotation names only texts and numbers
            self._redis = storage.RedisStorage(
                f"async+{redis_url}",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix="churn-limits",
                connection_pool=pool,
            )

    @property
    def is_away(self) -> bool:
        """Whether Redis is configured and does not answer, so that each worker counts alone."""
        return self._redis is not None and self._ask_again_s > 0.0

    async def take(self, rule: RateLimitItem, key: str) -> tuple[int, float]:
        """Take a block.

        Returns:
            The number of permits, 0 if none is left in this window; and the end of the window, in epoch seconds.
        """
        block = max(1, rule.amount // BLOCKS)
        window_s = rule.get_expiry()
        now_s = self._now_s()
        if self._redis is not None and now_s >= self._ask_again_s:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    count = await self._redis.incr(key, window_s, amount=block)
                    end_s = await self._redis.get_expiry(key)
            except (StorageError, OSError, TimeoutError) as error:
                self._note_away(error)
            else:
                self._ask_again_s = 0.0
                return _granted(rule, block, count), end_s
        if self._memory.get_expiry(key) > now_s + window_s:  # the clock was set back
            self._memory.clear(key)
        count = self._memory.incr(key, window_s, amount=block)
        return _granted(rule, block, count), self._memory.get_expiry(key)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._redis is not None:
            await self._pool.disconnect()

    def _note_away(self, error: BaseException) -> None:
        if not self.is_away:
            say("limits_not_shared", logging.WARNING, reason=type(error).__name__)
        self._ask_again_s = self._now_s() + PAUSE_S
        self._on_failure(error)


def _granted(rule: RateLimitItem, block: int, count: int) -> int:
    """Permits of a block, of which the last ones may be beyond the rule."""
    return max(0, min(block, rule.amount - (count - block)))
