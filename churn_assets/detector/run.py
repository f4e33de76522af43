"""The benchmark itself: false alarms in years without a change, power and delay after changes of known size, and whether the promises are kept.

Belongs here: what is measured, at which sizes, and the promises. Does not belong here: how it is shown (``tables``).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import scipy

from churn_assets.detector.changes import CHANGES, Change
from churn_assets.detector.company import company
from churn_assets.detector.figures import FalseAlarms, false_alarms, share_interval
from churn_assets.detector.moves import Flags, Moves, alerts, figures, first_alert, moves_of
from churn_assets.detector.peers import WINDOW_RULES, Peers
from churn_assets.detector.replays import Year, independent_year, weeks, years
from churn_assets.settings.monitoring import Monitoring

OWN: Final = "this rule"
CATALOGUE, SHORT, INDEPENDENT = "catalogue", "catalogue, half a year known", "independent"
WITHIN = 3
"""Windows within which the power is promised."""

AFTER = 6
"""Windows after a change that are looked at."""

STARTS = (4, 17, 30, 43)
"""Windows of the year at which changes begin."""

POWER = 0.9
PROMISED: Final = {CATALOGUE: "weekend_share_90d", INDEPENDENT: "count"}
"""The features of moderate skew (0.7 to 1.2) for which power is promised, by replay: those of a count, and one of the catalogue that was named on the
company that the rule was built on. Every feature is printed with its own."""


Cell = tuple[str, int]
"""A replay, and the rows of its windows."""


@dataclass(frozen=True)
class Size:
    """How much is replayed.

    Attributes:
        customers: customers who sign up at the synthetic company in two years.
        rows: customers at risk of the small companies.
        years: greatest number of years of each size.
        peer_years: likewise, in which others' rules are asked.
        changed_years: likewise, in which changes are made.
        kinds: kinds of changes.
    """

    customers: int
    rows: tuple[int, ...]
    years: int
    peer_years: int
    changed_years: int
    kinds: tuple[str, ...]


FULL: Final = Size(60_000, (500, 1_000, 2_000), 40, 2, 3, tuple(CHANGES))
QUICK: Final = Size(5_000, (500, 1_000), 3, 1, 1, ("mean", "correlation only"))


@dataclass(frozen=True)
class Power:
    """How often changes of a kind and size in one feature are an alert for it.

    Attributes:
        within: share that is an alert within ``WITHIN`` windows.
        later: share within ``AFTER`` windows.
        delay: median number of windows until the alert, of those within ``AFTER``; ``None`` without any.
        hits: alerts within ``WITHIN``.
        of: number of changes.
        cut: mean cut of the feature.
        skew: skewness of the feature in the reference; ``None`` for a category.
        peers: share of the changed windows in which each of ``COLUMN_RULES`` calls the column drifted; empty where they were not asked.
    """

    replay: str
    kind: str
    size: float
    rows: int
    feature: str
    within: float
    later: float
    delay: float | None
    hits: int
    of: int
    cut: float
    skew: float | None
    peers: tuple[float, ...]


@dataclass(frozen=True)
class Promise:
    """Something that the rule promises, and what was measured."""

    sentence: str
    measured: str
    kept: bool


@dataclass(frozen=True)
class Found:
    """What was found in one cell: false alarms by rule, and power."""

    cell: Cell
    false: dict[str, FalseAlarms]
    power: list[Power]


@dataclass(frozen=True)
class Findings:
    """What the benchmark found.

    Attributes:
        false: false alarms by replay, rows and rule.
        power: power by change and feature.
    """

    false: dict[tuple[str, int, str], FalseAlarms]
    power: list[Power]

    def cell(self, replay: str, kind: str, size: float, rows: int) -> list[Power]:
        """The features' power for one change, the greatest first."""
        found = [one for one in self.power if (one.replay, one.kind, one.size, one.rows) == (replay, kind, size, rows)]
        return sorted(found, key=lambda one: (-one.within, one.feature))


def measured(
    size: Size,
    seed: int,
    *,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
    each: Callable[[Callable[[Cell], Found], Sequence[Cell]], Iterable[Found]] = map,
) -> Findings:
    """Run the benchmark.

    Args:
        size: how much is replayed.
        seed: seed of company, groups and changes.
        folder: folder in which the company's snapshots are kept.
        say: told what is done.
        each: calls a function with each cell; ``map``, or that of a pool of processes.
    """
    say(f"{size.customers:,} customers of a synthetic company, {len(weeks())} weekly snapshots, seed {seed}")
    company(size.customers, seed, weeks(), folder=folder)
    cells = [(replay, rows) for rows in size.rows for replay in (CATALOGUE, INDEPENDENT, SHORT)]
    false, power = dict[tuple[str, int, str], FalseAlarms](), list[Power]()
    for found in each(partial(_cell, size, seed, folder), cells):
        say(f"{found.cell[0]}, {found.cell[1]:,} rows")
        false |= {(*found.cell, rule): counted for rule, counted in found.false.items()}
        power += found.power
    return Findings(false, power)


def _cell(size: Size, seed: int, folder: Path, cell: Cell) -> Found:
    """What is found in one cell."""
    (replay, rows), rule = cell, Monitoring()

    def replayed() -> Iterator[Year]:
        if replay == INDEPENDENT:
            return _independent(rows, seed, size)
        large = company(size.customers, seed, weeks(), folder=folder)
        return years(large, rows, seed, usual=replay == CATALOGUE)

    generator = np.random.default_rng([seed, rows, len(replay)])
    few = max(2, size.years // 3)
    false = _replayed(
        islice(replayed(), size.years if replay == CATALOGUE else few),
        rule,
        asked=0 if replay == SHORT else size.peer_years,
    )
    power = [] if replay == SHORT else _power(replay, rows, islice(replayed(), size.changed_years), rule, size, generator)
    return Found(cell, false, power)


def promises(found: Findings, size: Size) -> list[Promise]:
    """What is promised, and whether it was kept. Where few years were replayed, a promise is broken only beyond chance."""
    kept = []
    for rows in size.rows:
        own = found.false[CATALOGUE, rows, OWN]
        kept.append(
            Promise(
                f"at most 1 false episode a year in weekly windows of {rows:,} rows",
                f"{own.episodes:.2f} ({own.low:.2f} to {own.high:.2f}) in {own.years} years",
                (own.low if size is not FULL else own.episodes) <= 1,
            )
        )
    for rows, shift in ((1_000, 0.25), (500, 0.5)):
        for replay, named in PROMISED.items():
            cell = [one for one in found.cell(replay, "mean", shift, rows) if one.feature.startswith(named)]
            hits, of = sum(one.hits for one in cell), sum(one.of for one in cell)
            low, high = share_interval(hits, of)
            kept.append(
                Promise(
                    f"{POWER:.0%} power within {WITHIN} windows for {shift:g} sd in {named} ({replay}) at {rows:,} rows",
                    f"{hits / of:.1%} ({low:.1%} to {high:.1%}) of {of}",
                    (hits / of if size is FULL else high) >= POWER,
                )
            )
    return kept


def _independent(rows: int, seed: int, size: Size) -> Iterator[Year]:
    generator = np.random.default_rng([seed, rows])
    for _ in range(size.years):
        yield independent_year(rows, generator)


def _replayed(replay: Iterator[Year], rule: Monitoring, *, asked: int) -> dict[str, FalseAlarms]:
    windows, alert = defaultdict[str, list[Flags]](list), defaultdict[str, list[Flags]](list)
    for number, year in enumerate(replay):
        drifted = moves_of(year, rule).drifted(rule)
        windows[OWN].append(np.asarray(drifted.any(axis=1)))
        alert[OWN].append(np.asarray(alerts(drifted, rule).any(axis=1)))
        if number < asked:
            peers = Peers(year)
            said = np.array([peers.of_window(window) for window in year.windows])
            for place, peer in enumerate(WINDOW_RULES):
                windows[peer].append(said[:, place])
                alert[peer].append(said[:, place])
    return {name: false_alarms(windows[name], alert[name]) for name in windows}


def _power(
    replay: str, rows: int, of: Iterator[Year], rule: Monitoring, size: Size, generator: np.random.Generator
) -> list[Power]:
    found = defaultdict[tuple[str, float, str], list[tuple[int | None, float, list[bool]]]](list)
    skews: dict[str, float | None] = {}
    for number, year in enumerate(of):
        usual, peers = moves_of(year, rule), Peers(year)
        for place, column in enumerate(year.columns):
            present = year.baseline.samples[column.name].present
            skews.setdefault(column.name, float(scipy.stats.skew(present)) if present.size else None)
            for kind in size.kinds:
                change, sizes = CHANGES[kind]
                if kind in {"mean", "variance"} and not present.size:
                    continue
                for much in sizes:
                    for start in STARTS:
                        asked = peers if number == 0 and kind == "mean" else None
                        found[kind, much, column.name].append(
                            _changed(year, usual, place, start, change, much, rule, generator, asked)
                        )
    return [
        Power(
            replay,
            kind,
            much,
            rows,
            feature,
            within=sum(first is not None and first <= WITHIN for first, _, _ in one) / len(one),
            later=sum(first is not None for first, _, _ in one) / len(one),
            delay=float(np.median(firsts)) if (firsts := [first for first, _, _ in one if first is not None]) else None,
            hits=sum(first is not None and first <= WITHIN for first, _, _ in one),
            of=len(one),
            cut=float(np.mean([cut for _, cut, _ in one])),
            skew=skews[feature],
            peers=tuple(np.mean(said, axis=0).tolist()) if (said := [said for _, _, said in one if said]) else (),
        )
        for (kind, much, feature), one in found.items()
    ]


def _changed(
    year: Year,
    usual: Moves,
    place: int,
    start: int,
    change: Change,
    much: float,
    rule: Monitoring,
    generator: np.random.Generator,
    peers: Peers | None,
) -> tuple[int | None, float, list[bool]]:
    """When a change of a feature from a window on is first an alert for it, the feature's cut then, and what others' rules say of its first window."""
    name, lead = year.columns[place].name, rule.windows - 1
    part, before = usual.part(slice(start - lead, start + AFTER)), year.baseline.samples[name]
    said: list[bool] = []
    for step in range(AFTER):
        now = change(before, year.windows[start + step][name], much, generator)
        row = lead + step
        part.p[row, place], part.psi[row, place], part.cut[row, place] = figures(year.baseline, name, now, rule)
        if peers is not None and step == 0:
            said = peers.of_column(name, now)
    found = first_alert(alerts(part.drifted(rule), rule)[lead:, place])
    return found, float(part.cut[lead, place]), said
