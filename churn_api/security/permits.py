"""Permits of rate limits, taken in blocks: of this process, or shared by all through Redis (`limits`' storage).

A hit of the library costs 9 to 16 us, and the fast lane answers in 250. So a block of permits is taken at once, a hundredth of what a
window allows, and given out one by one. No more permits exist than the rule says; of those that several workers share, a worker that
falls silent may waste one block. Windows are measured by the monotonic clock, so a wall clock that is set back or ahead lengthens none.
Belongs here: counts, and what happens while Redis is away. Does not belong here: who needs a permit (``security.rate_limits``).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from limits import RateLimitItem
from limits.errors import StorageError

from churn_api.telemetry.json_log import say
from churn_store.clock import wall_s

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

PATIENCE_S: Final = 0.1
"""Longest wait for Redis; a request waits so long at most once in ``PAUSE_S``."""

PAUSE_S: Final = 5.0
"""Time for which Redis is not asked after it did not answer."""

BLOCKS: Final = 100
"""Blocks in a window."""

FEWEST_KEPT: Final = 1_000
"""Windows that are kept in this process before those that are over are looked for."""


class _Windows:
    """The windows of this process, by key: what was counted in each, and its end by the monotonic clock."""

    def __init__(self) -> None:
        self._by_key: dict[str, tuple[int, float]] = {}
        self._look_at = FEWEST_KEPT

    def count(self, key: str, window_s: float, amount: int) -> tuple[int, float]:
        """Count in the window of a key, a new one if the former is over; its count and its end."""
        now_s = time.monotonic()
        count, end_s = self._by_key.get(key, (0, 0.0))
        if now_s >= end_s:
            count, end_s = 0, now_s + window_s
        self._by_key[key] = count + amount, end_s
        if len(self._by_key) > self._look_at:
            self._by_key = {one: kept for one, kept in self._by_key.items() if kept[1] > now_s}
            self._look_at = max(FEWEST_KEPT, 2 * len(self._by_key))
        return count + amount, end_s


class PermitStore:
    """Hands out blocks of permits.

    Args:
        redis_url: address of the Redis that all workers share; empty to count in this process.
        on_failure: function called when Redis does not answer, or answers no count.
    """

    def __init__(self, redis_url: str, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._windows = _Windows()
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
        """Whether Redis is configured and does not answer as it should, so that each worker counts alone."""
        return self._redis is not None and self._ask_again_s > 0.0

    async def take(self, rule: RateLimitItem, key: str) -> tuple[int, float]:
        """Take a block.

        Returns:
            The number of permits, 0 if none is left in this window; and the end of the window, by the monotonic clock.
        """
        block = max(1, rule.amount // BLOCKS)
        window_s = rule.get_expiry()
        if self._redis is not None and time.monotonic() >= self._ask_again_s:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    count = await self._redis.incr(key, window_s, amount=block)
                    left_s = await self._redis.get_expiry(key) - wall_s()  # the library adds the wall clock
                if not isinstance(count, int) or count < block:
                    raise ValueError(f"a count of kind {type(count).__name__}; expected a whole number of at least {block}")
            except (
                StorageError,
                OSError,
                TimeoutError,
                TypeError,
                ValueError,
            ) as error:  # the last two: it answers something else
                self._note_away(error)
            else:
                self._ask_again_s = 0.0
                return _granted(rule, block, count), time.monotonic() + min(max(left_s, 0.0), window_s)
        count, end_s = self._windows.count(key, window_s, block)
        return _granted(rule, block, count), end_s

    async def close(self) -> None:
        """Let go of the connections."""
        if self._redis is not None:
            await self._pool.disconnect()

    def _note_away(self, error: BaseException) -> None:
        if not self.is_away:
            say("limits_not_shared", logging.WARNING, reason=type(error).__name__)
        self._ask_again_s = time.monotonic() + PAUSE_S
        self._on_failure(error)


def _granted(rule: RateLimitItem, block: int, count: int) -> int:
    """Permits of a block, of which the last ones may be beyond the rule."""
    return max(0, min(block, rule.amount - (count - block)))
