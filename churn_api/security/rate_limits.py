"""Rate limits: how many requests a key may make, and an address without a usable key.

An address is limited for what comes without a usable key: behind a proxy everybody has the proxy's address, and whoever has a key must
not be stopped by those who have none. A rule has an amount and a window, such as ``600/minute``; a second rule with a shorter window
bounds bursts. Belongs here: who is counted by what, and for how long a caller has to wait. Does not belong here: where the counts are
(``security.permits``).
"""

import asyncio
import ipaddress
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from limits import RateLimitItem, parse_many

from churn_api.security.permits import PermitStore
from churn_api.settings import LimitSettings

What = Literal["key", "address"]

MOST_NAMES: Final = 10_000
"""Most keys or addresses that are told apart; further ones share a count."""

OTHERS: Final = "others"

SWEEP_S: Final = 1.0
"""Shortest time between two looks for names whose windows are over."""

HOME_BITS: Final = 64
"""Of an IPv6 address, the network that one caller has."""


class _Permits:
    """The permits that this process holds for one rule and name.

    Attributes:
        left: permits that are left, until ``end_s`` by the monotonic clock.
        refused_s: end of a window in which no permit is left; 0 if there may be some.
    """

    __slots__ = ("end_s", "key", "left", "refused_s", "rule")

    def __init__(self, rule: RateLimitItem, key: str) -> None:
        self.rule = rule
        self.key = key
        self.left = 0
        self.end_s = self.refused_s = 0.0


class _Counted:
    """A key or an address: its permits by rule, and how many of its requests were let in and refused since the start."""

    __slots__ = ("lock", "permits", "refused", "taken")

    def __init__(self, permits: Sequence[_Permits]) -> None:
        self.permits = permits
        self.lock = asyncio.Lock()
        self.taken = self.refused = 0


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted for a key or an address since the start of this worker.

    Attributes:
        wait_s: seconds until the next request is let in; 0 where it may come now.
    """

    what: What
    name: str
    taken: int
    refused: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A request beyond a rule.

    Attributes:
        rule: the rule in words.
        wait_s: whole seconds after which it may be made again.
    """

    rule: str
    wait_s: int


class Limiter:
    """The limits of all keys, or of all addresses.

    Args:
        what: what is counted.
        rules: rules, all of which hold.
        store: source of permits.
        scope: begins the names of counts that are shared with other services.
    """

    def __init__(self, what: What, rules: Sequence[RateLimitItem], store: PermitStore, *, scope: str) -> None:
        self.what = what
        self.rules = tuple(rules)
        self._store = store
        self._scope = scope
        self._counted: dict[str, _Counted] = {}
        self._swept_s = 0.0

    def take(self, name: str) -> bool:
        """Let a request in if this process holds permits for it; this is all that most requests cost."""
        counted = self._counted.get(name)
        if counted is None:
            return not self.rules
        now_s = time.monotonic()
        for permits in counted.permits:
            if permits.left <= 0 or now_s >= permits.end_s:
                return False
        for permits in counted.permits:
            permits.left -= 1
        counted.taken += 1
        return True

    async def wait(self, name: str) -> Refused | None:
        """Let a request in by new permits where ``take`` has not; ``None`` if it is in."""
        counted = self._of(name)
        now_s = time.monotonic()
        for permits in counted.permits:
            if now_s < permits.refused_s:
                return self._refuse(counted, permits, now_s)
        async with counted.lock:
            used: list[_Permits] = []
            for permits in counted.permits:
                if permits.left <= 0 or time.monotonic() >= permits.end_s:
                    permits.left, permits.end_s = await self._store.take(permits.rule, permits.key)
                if permits.left <= 0:
                    permits.refused_s = permits.end_s
                    for former in used:
                        former.left += 1
                    return self._refuse(counted, permits, time.monotonic())
                permits.left -= 1
                used.append(permits)
        counted.taken += 1
        return None

    def counts(self) -> Iterable[Count]:
        """What was counted, by name."""
        now_s = time.monotonic()
        for name, counted in list(self._counted.items()):
            wait_s = max((permits.refused_s - now_s for permits in counted.permits), default=0.0)
            yield Count(self.what, name, counted.taken, counted.refused, max(wait_s, 0.0))

    def _refuse(self, counted: _Counted, permits: _Permits, now_s: float) -> Refused:
        counted.refused += 1
        wait_s = min(math.ceil(permits.refused_s - now_s), permits.rule.get_expiry())
        return Refused(str(permits.rule), max(1, wait_s))

    def _of(self, name: str) -> _Counted:
        counted = self._counted.get(name)
        if counted is not None:
            return counted
        if len(self._counted) >= MOST_NAMES:
            self._sweep()
            if len(self._counted) >= MOST_NAMES and name != OTHERS:
                return self._of(OTHERS)
        permits = [_Permits(rule, rule.key_for(self._scope, self.what, name)) for rule in self.rules]
        return self._counted.setdefault(name, _Counted(permits))

    def _sweep(self) -> None:
        """Forget the names whose windows are over, and with them what was counted."""
        now_s = time.monotonic()
        if now_s - self._swept_s < SWEEP_S:
            return
        self._swept_s = now_s
        over = [
            name
            for name, counted in self._counted.items()
            if all(max(permits.end_s, permits.refused_s) <= now_s for permits in counted.permits)
        ]
        for name in over:
            del self._counted[name]


@dataclass(frozen=True)
class RateLimits:
    """The limits of the service.

    Attributes:
        keys: limits of each key.
        addresses: limits of each address, for what comes without a usable key.
        store: source of permits of both.
        is_shared: whether the counts are those of all workers, through Redis.
    """

    keys: Limiter
    addresses: Limiter
    store: PermitStore
    is_shared: bool

    @classmethod
    def of(cls, settings: LimitSettings, *, company: str, on_failure: Callable[[BaseException], None]) -> "RateLimits":
        """The limits as configured.

        Args:
            settings: rules, and the address of a Redis to share them through.
            company: name that tells the counts of two companies in one Redis apart.
            on_failure: function called when Redis does not answer, or answers no count.
        """
        store = PermitStore(settings.redis_url, on_failure)
        keys = Limiter("key", rules_of(settings.key), store, scope=company)
        addresses = Limiter("address", rules_of(settings.address), store, scope=company)
        return cls(keys, addresses, store, bool(settings.redis_url))

    def words(self) -> list[str]:
        """What is wrong with the limits now."""
        return ["Redis does not answer, so each worker counts its limits alone"] if self.store.is_away else []


def rules_of(text: str) -> list[RateLimitItem]:
    """The rules of a setting; none for an empty one."""
    return parse_many(text) if text.strip() else []


def network_of(address: str) -> str:
    """The name under which an address is counted: an IPv6 address by its network, of which one caller has every address."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], HOME_BITS), strict=False))
    except ValueError:
        return address
