"""What a rate limit costs a request: the library's own hit beside permits taken in blocks, in memory and through Redis.

Run ``make bench-limits``. The service's two default rules are checked for one key; each figure is the median of several rounds.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from churn_api.security.permits import PermitStore
from churn_api.security.rate_limits import Limiter
from churn_api.settings import LimitSettings

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.store.servers import redis_server

REQUESTS, ROUNDS = 5_000, 7
RULES = parse_many(str(LimitSettings().key))


async def library() -> Callable[[], Awaitable[bool]]:
    """A hit of each rule, as the library's documentation shows."""
    strategy = FixedWindowRateLimiter(MemoryStorage())
    generous = parse_many("100000000/minute; 100000000/second")

    async def one() -> bool:
        return all(strategy.hit(rule, "key", "a") for rule in generous)

    return one


async def ours(redis_url: str = "") -> Callable[[], Awaitable[bool]]:
    """As the request pipeline asks."""
    store = PermitStore(redis_url, lambda _: None)
    limits = Limiter("key", RULES, store, scope=f"bench{time.time_ns()}")

    async def one() -> bool:
        return limits.take("a") or await limits.wait("a") is None

    return one


async def microseconds(one: Callable[[], Awaitable[bool]]) -> float:
    """Of a request, without the loop around it."""

    async def nothing() -> bool:
        return True

    async def timed(work: Callable[[], Awaitable[bool]]) -> float:
        began = time.perf_counter()
        for _ in range(REQUESTS):
            assert await work()
        return (time.perf_counter() - began) / REQUESTS * 1e6

    rounds = []
    for _ in range(ROUNDS):
        rounds.append(await timed(one) - await timed(nothing))
        await asyncio.sleep(1.0)  # the window of a second begins anew
    return statistics.median(rounds)


async def measure(redis_url: str) -> None:
    """Print the table."""
    print("| limit of a request (two rules) | us a request |\n|---|---|")
    print(f"| the library's hit, in memory | {await microseconds(await library()):.2f} |")
    print(f"| blocks of permits, in memory | {await microseconds(await ours()):.2f} |")
    print(f"| blocks of permits, through Redis | {await microseconds(await ours(redis_url)):.2f} |")


if __name__ == "__main__":
    with redis_server() as url:
        asyncio.run(measure(url))
