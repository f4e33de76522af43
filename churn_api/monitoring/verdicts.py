"""What the facts mean now: each verdict beside the release that serves, with its severity.

A verdict is ``unknown`` where nothing was judged, where what was judged is another release or an older snapshot than the one that serves, and
where newer facts can't be read. What is unknown is never fine. Belongs here: that rule, and the one verdict of many. Does not belong here: reading
(``monitoring.facts``) and HTTP (``monitoring.facts_routes``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from churn_api.monitoring.facts import NONE_YET, FollowedFacts
from churn_api.releases.serving_model import SHOWN_DIGITS
from churn_store.monitoring.facts import DriftWindow, QualityFinding, SnapshotPerformance, State, Verdict

Severity = Literal["none", "info", "warning", "critical"]

NAMES: Final = ("drift", "served_drift", "quality", "performance", "skew")
"""The verdicts that a report holds, in its order."""

_SEVERITIES: Final[dict[str, Severity]] = {"performance": "critical", "skew": "critical"}
"""How severe it is that a verdict asks for attention: what is served is wrong, beside what may become so."""


class VerdictEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict, as it counts now.

    Attributes:
        name: ``drift``, ``served_drift``, ``quality``, ``performance`` or ``skew``.
        severity: ``none`` (fine), ``info`` (unknown), ``warning`` or ``critical``.
        sentence: verdict in words; of an unknown one, why.
        snapshot: snapshot that it is about; null where it is about none.
        release: digest of the release that it is about; null where it is about none.
        as_of: time by the platform's clock at which the graph found it; null where it did not.
    """

    name: str
    state: State
    severity: Severity
    sentence: str
    snapshot: str | None = None
    release: str | None = None
    as_of: datetime | None = None


@dataclass(frozen=True)
class ServedNow:
    """What serves now.

    Attributes:
        release: digest of the release; ``None`` before the first.
        snapshot: key of the online features' snapshot; ``None`` before the first.
    """

    release: str | None
    snapshot: str | None


def verdict_of(name: str, followed: FollowedFacts, now: ServedNow) -> VerdictEntry:
    """A verdict beside what serves now.

    Args:
        name: one of ``NAMES``.
        followed: what was read last.
        now: what serves now.
    """
    facts = followed.facts
    found = None if facts is None else next((one for one in facts.verdicts if one.name == name), None)
    if followed.unreadable:
        return _unknown(name, followed.unreadable, found)
    if facts is None:
        return _unknown(name, f"{followed.away}; no monitoring facts were read before" if followed.away else NONE_YET)
    if found is None:
        return _unknown(name, f"the graph has not judged {name.replace('_', ' ')} yet")
    if found.release is not None and found.release != now.release:
        other = "no release serves" if now.release is None else f"{now.release[:SHOWN_DIGITS]} serves"
        return _unknown(name, f"what was judged is release {found.release[:SHOWN_DIGITS]}, and {other} now", found)
    if name == "drift" and found.snapshot is not None and found.snapshot < (now.snapshot or ""):
        return _unknown(
            name, f"snapshot {now.snapshot} is served and was not compared yet; the last was {found.snapshot}", found
        )
    return VerdictEntry(
        name=name,
        state=found.state,
        severity=_severity(found, facts.quality),
        sentence=found.sentence,
        snapshot=found.snapshot,
        release=found.release,
        as_of=datetime.fromtimestamp(found.as_of_s, UTC),
    )


def verdicts_of(followed: FollowedFacts, now: ServedNow) -> list[VerdictEntry]:
    """All verdicts, in the order of ``NAMES``."""
    return [verdict_of(name, followed, now) for name in NAMES]


def together(verdicts: Sequence[VerdictEntry]) -> tuple[State, str]:
    """One state and one sentence for many verdicts: attention before unknown before fine."""
    attention = [one.name for one in verdicts if one.state == "attention"]
    unknown = [one.name for one in verdicts if one.state == "unknown"]
    if attention:
        said = f"{_listed(attention)} {'needs' if len(attention) == 1 else 'need'} attention"
        return "attention", f"{said}; {_listed(unknown)} unknown" if unknown else said
    if unknown:
        return "unknown", f"nothing is known of {_listed(unknown)}"
    return "fine", f"{_listed([one.name for one in verdicts])} fine"


def newest_window(
    windows: Sequence[DriftWindow], *, of: str = "snapshot", segment: str | None = None
) -> DriftWindow | None:
    """The newest window of a kind."""
    return next((one for one in reversed(windows) if (one.of, one.segment) == (of, segment)), None)


def newest_performance(
    entries: Sequence[SnapshotPerformance], *, release: str | None, segment: str | None = None
) -> SnapshotPerformance | None:
    """The newest judged snapshot of a release, outside of experiments; ``None`` where none was judged."""
    return next(
        (
            one
            for one in reversed(entries)
            if one.release == release and one.segment == segment and one.arm is None and one.state != "unknown"
        ),
        None,
    )


def _unknown(name: str, why: str, found: Verdict | None = None) -> VerdictEntry:
    return VerdictEntry(
        name=name,
        state="unknown",
        severity="info",
        sentence=why,
        snapshot=None if found is None else found.snapshot,
        release=None if found is None else found.release,
        as_of=None if found is None else datetime.fromtimestamp(found.as_of_s, UTC),
    )


def _severity(found: Verdict, quality: Sequence[QualityFinding]) -> Severity:
    if found.state != "attention":
        return "none" if found.state == "fine" else "info"
    if found.name == "quality":
        return "critical" if any(one.blocking for one in quality) else "warning"
    return _SEVERITIES.get(found.name, "warning")


def _listed(names: Sequence[str]) -> str:
    said = [name.replace("_", " ") for name in names]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
