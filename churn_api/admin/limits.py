"""``GET /admin/limits``: the rate limits in force, and what this worker has counted.

Does not belong here: the limits themselves (``security.rate_limits``). They are set in ``churn.yaml``.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from litestar import Controller, get

from churn_api.http.lanes import needs
from churn_api.security.access import Access
from churn_api.security.rate_limits import Count, Limiter

SHOWN: Final = 100
"""Most keys, and most addresses, in the answer."""


class LimitRule(msgspec.Struct, kw_only=True):
    """At most so many requests in a window.

    Attributes:
        of: ``key``, or ``address`` for requests without a usable key.
        rule: the rule in words.
        setting: name of the setting.
    """

    of: str
    rule: str
    requests: int
    window_s: int
    setting: str


class LimitCount(msgspec.Struct, kw_only=True):
    """What was counted for a key or an address.

    Attributes:
        name: id of the key, or the address; of IPv6 the network; ``others`` beyond the 10,000 that are told apart.
        owner: name of the key's owner; null for an address.
        let_in, refused: requests since ``since``.
        wait_s: seconds until its next request is let in; 0 where it may come now.
    """

    of: str
    name: str
    owner: str | None
    let_in: int
    refused: int
    wait_s: float


class Limits(msgspec.Struct, kw_only=True):
    """The rules, and what this worker has counted by them.

    Attributes:
        shared: whether all workers count together, through Redis.
        away: whether Redis does not answer, so that each worker counts alone.
        counts: of keys and of addresses, those with the most refusals first, then the busiest.
    """

    rules: list[LimitRule]
    shared: bool
    away: bool
    since: datetime
    counts: list[LimitCount]


class LimitsController(Controller):
    """The rate limits."""

    @get("/admin/limits", opt=needs("admin"), summary="The rate limits, and what this worker has counted")
    async def limits(self, access: Access) -> Limits:
        """As they are now."""
        limiters = (access.limits.keys, access.limits.addresses)
        return Limits(
            rules=[rule for limiter in limiters for rule in _rules(limiter)],
            shared=access.limits.is_shared,
            away=access.limits.store.is_away,
            since=datetime.fromtimestamp(access.since_s, UTC),
            counts=[count for limiter in limiters for count in _counts(limiter, access)],
        )


def _rules(limiter: Limiter) -> list[LimitRule]:
    return [
        LimitRule(
            of=limiter.what,
            rule=str(rule),
            requests=rule.amount,
            window_s=rule.get_expiry(),
            setting=f"service.limits.{limiter.what}",
        )
        for rule in limiter.rules
    ]


def _counts(limiter: Limiter, access: Access) -> list[LimitCount]:
    def busiest_first(count: Count) -> tuple[int, int, str]:
        return -count.refused, -count.taken, count.name

    return [
        LimitCount(
            of=count.what,
            name=count.name,
            owner=access.ring.name_of(count.name) if count.what == "key" else None,
            let_in=count.taken,
            refused=count.refused,
            wait_s=round(count.wait_s, 3),
        )
        for count in sorted(limiter.counts(), key=busiest_first)[:SHOWN]
    ]
