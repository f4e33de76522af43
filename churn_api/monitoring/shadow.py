"""``GET /shadow``: how far the challenger in shadow agrees with the champion.

Belongs here: the report, made of what all workers have counted. Does not belong here: the counting (``churn_api.shadow``), and who is in
shadow (``PUT /ab/config``).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import msgspec
from litestar import Controller, get

from churn_api.http.lanes import needs
from churn_api.monitoring.exposition import Counted, Exposition
from churn_api.shadow.follower import Shadow

QUANTILES: Final = (0.5, 0.9, 0.99)


class Differences(msgspec.Struct, kw_only=True):
    """The absolute difference of the two probabilities; each number is null without a row.

    Attributes:
        mean: its mean.
        p50, p90, p99: quantiles, as far as the bounds of ``churn_shadow_difference`` tell: linear between two bounds.
        largest: largest of all workers that run.
    """

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    largest: float | None


class Comparison(msgspec.Struct, kw_only=True):
    """A release in shadow beside a champion, over all workers.

    Attributes:
        release: first digits of the digest of the release in shadow.
        champion: first digits of the digest of the release that answered.
        counted_s: seconds since a worker that runs first had the release in shadow: what is counted is not older.
        scored: answered rows that it scored as well.
        dropped: answered rows for which there was no room.
        failed: answered rows for which it gave no probability, or whose process ended.
        agreement: share of equal decisions among those scored; null without one.
    """

    release: str
    champion: str
    counted_s: float | None
    scored: int
    dropped: int
    failed: int
    agreement: float | None
    difference: Differences


class ShadowReport(msgspec.Struct, kw_only=True):
    """The shadow of this worker, and what all workers have counted since they were started.

    Attributes:
        state: of this worker: ``off``, ``starting``, ``scoring``, ``waiting`` (its process failed and is started again) or ``given up``.
        release: digest of the release in shadow; null without one.
        failure: what its process last did that it should not; null if nothing.
        failures, restarts: of the processes of that release, over all workers.
        comparisons: one for each release and champion, of those before too.
    """

    state: str
    release: str | None
    since: datetime | None
    actor: str | None
    reason: str | None
    failure: str | None
    failures: int
    restarts: int
    comparisons: list[Comparison]


class ShadowController(Controller):
    """The challenger in shadow."""

    @get("/shadow", opt=needs("read"), summary="How far the challenger in shadow agrees with the champion")
    async def shadow(self, shadow: Shadow, exposition: Exposition) -> ShadowReport:
        """Always answered with 200."""
        current, counted = shadow.current, _Samples(await exposition.together())
        release, row = current.release, current.row
        short = "" if release is None else release.short
        return ShadowReport(
            state=current.state,
            release=None if release is None else release.digest,
            since=None if row is None else datetime.fromtimestamp(row.published_s, UTC),
            actor=None if row is None else row.actor,
            reason=None if row is None else row.reason,
            failure=current.failure,
            failures=int(counted.total("churn_shadow_failures_total", release=short)),
            restarts=int(counted.total("churn_shadow_restarts_total", release=short)),
            comparisons=[_comparison(counted, *pair) for pair in counted.pairs()],
        )


class _Samples:
    """Samples of the metrics of the shadow."""

    def __init__(self, counted: Iterable[Counted]) -> None:
        self._samples = [
            sample for metric in counted if metric.name.startswith("churn_shadow_") for sample in metric.samples
        ]

    def pairs(self) -> list[tuple[str, str]]:
        """Releases in shadow, each with a champion, in the order in which they were first compared."""
        labels = (labels for _, labels, _ in self._samples if "champion" in labels)
        return list(dict.fromkeys((one["release"], one["champion"]) for one in labels))

    def values(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples of a name that carry the labels."""
        return [(has, value) for one, has, value in self._samples if one == name and labels.items() <= has.items()]

    def total(self, name: str, **labels: str) -> float:
        """Their sum."""
        return sum(value for _, value in self.values(name, **labels))


def _comparison(counted: _Samples, release: str, champion: str) -> Comparison:
    of: dict[str, Any] = {"release": release, "champion": champion}
    scored = int(counted.total("churn_shadow_difference_count", **of))
    buckets = [(float(has["le"]), value) for has, value in counted.values("churn_shadow_difference_bucket", **of)]
    largest = next((value for _, value in counted.values("churn_shadow_largest_difference", **of)), None)
    p50, p90, p99 = (quantile(buckets, share, at_most=largest) for share in QUANTILES)
    ages = [value for _, value in counted.values("churn_shadow_age_seconds", release=release)]
    return Comparison(
        release=release,
        champion=champion,
        counted_s=round(ages[0], 3) if ages else None,
        scored=scored,
        dropped=int(counted.total("churn_shadow_rows_dropped_total", **of)),
        failed=int(counted.total("churn_shadow_rows_failed_total", **of)),
        agreement=counted.total("churn_shadow_agreements_total", **of) / scored if scored else None,
        difference=Differences(
            mean=counted.total("churn_shadow_difference_sum", **of) / scored if scored else None,
            p50=p50,
            p90=p90,
            p99=p99,
            largest=largest,
        ),
    )


def quantile(buckets: Iterable[tuple[float, float]], share: float, *, at_most: float | None = None) -> float | None:
    """A quantile of a histogram of values from 0 on.

    Args:
        buckets: upper bound of each bucket, and how many values are not above it.
        share: share of the values that lie below the quantile.
        at_most: largest value, if known.

    Returns:
        The quantile, linear between the two bounds; ``None`` without a value.
    """
    cumulated = [(0.0, 0.0), *sorted(buckets)]
    wanted = share * cumulated[-1][1]
    if not wanted:
        return None
    for (low, below), (high, up_to) in pairwise(cumulated):
        if up_to >= wanted:
            found = low if high == float("inf") else low + (high - low) * (wanted - below) / (up_to - below)
            return found if at_most is None else min(found, at_most)
    return None
