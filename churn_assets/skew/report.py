"""The result of a replay of logged requests: its form, its verdict, and lines for people.

Belongs here: what is said. Does not belong here: how it was found (``skew``).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from churn_store.monitoring.facts import State, Verdict

NAMED: Final = 12
"""Most features that are listed for people."""

DIFFERS, ROUNDING, NOT_SERVED, NOT_IN_LAKE, NO_COLUMN = (
    "value differs",
    "differs by rounding",
    "missing when served",
    "missing in the lake",
    "no such column in the lake",
)
OTHER_SNAPSHOT = "value of snapshot "
"""Kind of a difference, before the snapshot that has the served value, as all others of the row."""

NOT_AT_RISK, NO_SNAPSHOT, NO_RELEASE = (
    "customer not at risk at that snapshot in the lake",
    "snapshot not in the lake",
    "release's files gone or changed",
)
"""Why a row can't be compared."""


class FeatureSkew(msgspec.Struct, kw_only=True):
    """A feature whose served values are not those of the lake.

    Attributes:
        rows: rows that were compared.
        kinds: number of differences by kind.
        largest: largest absolute difference of two numbers; ``None`` without one.
    """

    feature: str
    rows: int
    mismatches: int
    kinds: dict[str, int]
    largest: float | None


class ScoreSkew(msgspec.Struct, kw_only=True):
    """Probabilities beside those of the batch scorer.

    Attributes:
        rows: rows that were compared.
        mismatches: those whose probabilities differ.
        decisions: those whose decision differs.
        largest: largest absolute difference.
    """

    rows: int = 0
    mismatches: int = 0
    decisions: int = 0
    largest: float = 0.0


class OnlineSkew(msgspec.Struct, kw_only=True):
    """The online features that are served now, beside the lake.

    Attributes:
        snapshot: their name; ``None`` where there are none.
        equal: whether their digest is that of the lake's rows; ``None`` where that can't be said.
        why: why not, in words; empty where they are equal.
    """

    snapshot: str | None
    equal: bool | None
    why: str


class SkewReport(msgspec.Struct, kw_only=True):
    """The result of a replay.

    Attributes:
        rows: rows of the log.
        looked_up, sent, survey: of them by origin; features that a survey has changed are not compared with the lake.
        damaged: rows of the log that can't be read.
        compared: rows whose features were compared with the lake.
        mismatched: rows with a mismatch of any kind.
        apart: number of rows that can't be compared, by the reason.
        features: features with a mismatch, the most first.
        on_logged: probabilities for the logged features: they differ where the service scores otherwise.
        on_batch: probabilities for the lake's features.
        releases, snapshots: those that were replayed.
        examples: names in the prediction log of some rows with a mismatch, with the customer where that was asked for.
    """

    rows: int
    looked_up: int
    sent: int
    survey: int
    damaged: int
    compared: int
    mismatched: int
    apart: dict[str, int]
    features: list[FeatureSkew]
    on_logged: ScoreSkew
    on_batch: ScoreSkew
    online: OnlineSkew
    releases: list[str]
    snapshots: list[str]
    examples: list[dict[str, str]]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs and nothing could not be compared."""
        return not self.mismatched and not self.damaged and self.online.equal is not False


def verdict_of(report: SkewReport, *, now_s: int) -> Verdict:
    """The verdict named ``skew`` for the published facts."""
    return Verdict(
        name="skew",
        state=_state(report),
        sentence=sentence(report),
        snapshot=max(report.snapshots, default=None),
        release=None,
        as_of_s=now_s,
    )


def sentence(report: SkewReport) -> str:
    """The verdict in words."""
    if not report.is_equal:
        return f"skew: {'; '.join(_faults(report))}"
    if not report.rows:
        return "no request was logged, so nothing could be replayed"
    of = f"{report.compared:,} looked up and {report.on_logged.rows:,} scored again"
    return f"no skew: of {report.rows:,} logged predictions {of}, 0 mismatches"


def lines(report: SkewReport) -> Iterator[str]:
    """The report for a person."""
    yield sentence(report)
    yield (
        f"  log        {report.rows:,} predictions: {report.looked_up:,} looked up, {report.sent:,} with sent features, "
        f"{report.survey:,} with answers to a survey, {report.damaged:,} damaged"
    )
    yield f"  snapshots  {', '.join(report.snapshots) or 'none'}; releases {', '.join(one[:12] for one in report.releases) or 'none'}"
    yield f"  features   {report.compared:,} rows compared with the lake, {len(report.features)} features differ"
    for feature in report.features[:NAMED]:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in feature.kinds.items())
        largest = "" if feature.largest is None else f"; largest difference {feature.largest:g}"
        yield f"    {feature.feature}: {feature.mismatches:,} of {feature.rows:,}: {kinds}{largest}"
    if len(report.features) > NAMED:
        yield f"    and {len(report.features) - NAMED} more; --json lists all"
    for reason, count in report.apart.items():
        yield f"    {reason}: {count:,} rows"
    for what, scored in (("logged", report.on_logged), ("lake's", report.on_batch)):
        yield (
            f"  scores     on the {what} features {scored.rows:,} rows, {scored.mismatches:,} differ, {scored.decisions:,} of them in "
            f"the decision; largest difference {scored.largest:.2g}"
        )
    same = {True: "equal to the lake", False: f"not those of the lake: {report.online.why}", None: report.online.why}
    yield f"  online     {report.online.snapshot or 'none'}: {same[report.online.equal]}"
    for example in report.examples:
        yield f"  for example {', '.join(f'{name} {value}' for name, value in example.items())}"


def _state(report: SkewReport) -> State:
    if not report.is_equal:
        return "attention"
    return "fine" if report.rows else "unknown"


def _faults(report: SkewReport) -> Iterator[str]:
    """What is wrong, the causes before what follows from them."""
    if report.online.equal is False:
        yield f"the online features of {report.online.snapshot} are not those of the lake ({report.online.why})"
    if report.features:
        named = ", ".join(one.feature for one in report.features[:3])
        more = f" and {len(report.features) - 3} more" if len(report.features) > 3 else ""  # noqa: PLR2004 - as many as are named
        kinds = sorted({kind for one in report.features for kind in one.kinds})
        yield f"{named}{more}: {', '.join(kinds)}"
    if report.on_logged.mismatches:
        yield (
            f"{report.on_logged.mismatches:,} of {report.on_logged.rows:,} were answered with another probability than the release "
            "gives for the same features: another model, order of columns or runtime"
        )
    if report.on_batch.mismatches:
        yield f"{report.on_batch.mismatches:,} of {report.on_batch.rows:,} have another probability on the lake's features"
    for reason, count in report.apart.items():
        yield f"{reason}: {count:,}"
    if report.damaged:
        yield f"{report.damaged:,} rows of the log can't be read"
