"""The judgement of a period: every rule asked against the earlier periods, and what it comes to in words.

Belongs here: which rules judge which tables, from how many earlier periods on, and what an acceptance lifts. Does not belong here: the
rules themselves, and where profiles are kept (``table_quality``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from churn_assets.periods import Cadence
from churn_assets.quality.acceptances import Acceptance
from churn_assets.quality.arrivals import absent_rows, late_feed, vanished_types
from churn_assets.quality.fault import Fault, Rule
from churn_assets.quality.findings import (
    ABSENT,
    CONSTANT,
    CONTRACT,
    DUPLICATED,
    LATE,
    MISSING,
    NEW,
    NULLS,
    UNIT,
    UNKNOWN,
    VANISHED,
)
from churn_assets.quality.profile import Profile, is_raw
from churn_assets.quality.shares import constants, missing_features, missing_values, new_categories, repeated_rows
from churn_assets.quality.units import unit_changes
from churn_assets.settings.quality import Quality
from churn_store.monitoring.facts import QualityFinding

OF_RAW: Final[Mapping[str, Rule]] = {
    ABSENT: absent_rows,
    LATE: late_feed,
    NULLS: missing_values,
    VANISHED: vanished_types,
    UNIT: unit_changes,
    DUPLICATED: repeated_rows,
    CONSTANT: constants,
    NEW: new_categories,
}
"""The rules of a raw table, by the kind of fault that they find."""

OF_FEATURES: Final[Mapping[str, Rule]] = {MISSING: missing_features, CONSTANT: constants}
"""The rules of the features."""

NOT_COMPARED: Final = frozenset({"treatments"})
"""Raw tables whose periods are not compared: campaigns come and go, and no feature is made of them."""

NEEDED: Final[Mapping[Cadence, int]] = {"monthly": 3, "weekly": 4, "daily": 14}
"""Earlier periods without which nothing can be told: days need two weeks, as they differ by weekday."""


@dataclass(frozen=True)
class Judgement:
    """What was found in a period.

    Attributes:
        findings: findings, those that block first.
        sentence: what they come to.
    """

    findings: tuple[QualityFinding, ...]
    sentence: str

    @property
    def blocks(self) -> bool:
        """Whether the period must not be used."""
        return any(one.blocking for one in self.findings)


def judge(
    now: Profile,
    before: Sequence[Profile],
    *,
    table: str,
    rules: Quality,
    cadence: Cadence,
    accepted: Sequence[Acceptance] = (),
) -> Judgement:
    """Judge a period of a table.

    Args:
        now: profile of the period.
        before: profiles of the earlier periods that stand, the oldest first.
        table: name of the table.
        rules: section ``quality``.
        cadence: length of a period.
        accepted: acceptances of the table.
    """
    needed = rules.earlier_periods or NEEDED[cadence]
    found: list[QualityFinding] = []
    unknown: dict[int, list[str]] = {}
    for kind, rule in _rules_of(table).items():
        earlier = _since_accepted(before, kind, now.period, accepted)[-rules.history :]
        if len(earlier) < needed:
            unknown.setdefault(len(earlier), []).append(kind)
        else:
            found += [_finding(fault, table, now.period, accepted) for fault in rule(now, earlier, rules)]
    found += list(_unknown(unknown, table, now.period, needed))
    found.sort(key=lambda one: (not one.blocking, one.kind, one.column or ""))
    usual = "they are not compared" if table in NOT_COMPARED else f"as in {len(before)} earlier periods"
    return Judgement(tuple(found), " ".join(one.sentence for one in found) or f"{now.rows:,} rows, {usual}")


def _rules_of(table: str) -> Mapping[str, Rule]:
    if table in NOT_COMPARED:
        return {}
    return OF_RAW if is_raw(table) else OF_FEATURES


def _since_accepted(before: Sequence[Profile], kind: str, period: str, accepted: Sequence[Acceptance]) -> list[Profile]:
    """The earlier periods since a fault of the kind was last taken for real: before it the world was another one."""
    since = max((one.of_period for one in accepted if one.kind == kind and one.of_period < period), default="")
    return [one for one in before if one.period >= since]


def _finding(fault: Fault, table: str, period: str, accepted: Sequence[Acceptance]) -> QualityFinding:
    given = [one for one in accepted if one.kind == fault.kind and one.of_period == period]
    what = f"{table} {period}: {fault.found}; expected {fault.expected}."
    if not fault.blocking:
        then = "It is reported, and blocks nothing."
    elif given:
        then = f"It was accepted by {given[-1].actor} ({given[-1].reason}), and blocks nothing."
    else:
        then = _what_to_do(table, period, fault.kind)
    return QualityFinding(
        table=table,
        period=period,
        kind=fault.kind,
        column=fault.column,
        blocking=fault.blocking and not given,
        sentence=f"{what} {then}",
    )


def refused(table: str, period: str, reason: str) -> QualityFinding:
    """The finding of a period that a check of its contract refuses, which no acceptance lifts.

    Args:
        table: name of the table.
        period: key of the period.
        reason: what the checks say.
    """
    return QualityFinding(
        table=table, period=period, kind=CONTRACT, column=None, blocking=True, sentence=f"{table} {period}: {reason}."
    )


def _what_to_do(table: str, period: str, kind: str) -> str:
    """What lifts a block."""
    again = (
        "Correct the feed, and the sensors ask for the period again, or materialize it"
        if is_raw(table)
        else "Correct the feed of the raw tables, then materialize the snapshot again"
    )
    return f"{again}; if the change is real, accept it: `churn quality accept {table} {period} --kind {kind} --by NAME --reason WHY`."


def _unknown(kinds: Mapping[int, Sequence[str]], table: str, period: str, needed: int) -> Iterator[QualityFinding]:
    for number, of_kinds in sorted(kinds.items()):
        yield QualityFinding(
            table=table,
            period=period,
            kind=UNKNOWN,
            column=None,
            blocking=False,
            sentence=f"{table} {period}: too few earlier periods to tell ({', '.join(of_kinds)}): {number}, expected {needed} or more.",
        )
