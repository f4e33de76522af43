"""How often a broken feed is told from a changed one: ``make bench-quality``, or ``python benchmarks/quality.py [--quick]``.

Clean companies first: the synthetic one without a scenario (it has seasons and growth), with a price increase and with a competitor, by size
and cadence, every period of which is judged by the product's own function as it would be when it arrives. A period that blocks is a false block.
Then each kind of fault is planted in ten places and in some sizes, and it is counted how often it is found.

The exit status is 1 if a clean period blocks, or if a company of ``ENOUGH`` customers or more misses a fault in more than ``MISSED`` of the places.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from quality_faults import Place, Planted, planted

from churn_assets.features.catalogue import CATALOGUE
from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.lake.lake import Lake
from churn_assets.periods import Cadence, Calendar, text
from churn_assets.quality.judge import Judgement, judge
from churn_assets.quality.profile import Profile, is_raw, profile_of
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.settings.quality import Quality
from churn_assets.simulator.scenarios import Kind, Scenario
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.mapping.tables import VALUE, Table

START, CHANGED, END = date(2024, 1, 1), date(2025, 3, 10), date(2026, 1, 1)
TABLES: tuple[Table, ...] = ("customers", "events", "payments")
FEATURES = "customer_features"
FIRST_SNAPSHOT = date(2024, 8, 1)
PLACES = 10
RULES = Quality()
ENOUGH, MISSED = 20_000, 0.0
SECONDS, ITEMS = (5.0, 0.9), (1.0, 0.6)
"""Mean and standard deviation of the logarithms of two types' values."""


@dataclass(frozen=True)
class Company:
    """A clean company.

    Attributes:
        customers: size.
        scenario: what changes in its world.
        cadence: length of its periods.
        seed: seed of what is drawn.
    """

    customers: int
    scenario: Kind = "none"
    cadence: Cadence = "monthly"
    seed: int = 42


@dataclass(frozen=True)
class Read:
    """The rows of a company by table and period, with their profiles."""

    calendar: Calendar
    rows: dict[str, dict[str, pl.DataFrame]]
    profiles: dict[str, list[Profile]]


def read(company: Company, *, until: date = END) -> Read:
    """Read every period of a company, and its features where its periods are months."""
    settings = SyntheticSettings(
        customers=company.customers,
        seed=company.seed,
        scenario=Scenario() if company.scenario == "none" else Scenario(kind=company.scenario, start=CHANGED),
    )
    source, calendar = SyntheticSource(settings), Calendar(company.cadence, START)
    generator = np.random.default_rng(company.seed)
    rows: dict[str, dict[str, pl.DataFrame]] = {}
    for table in TABLES:
        rows[table] = {}
        for key in map(text, calendar.complete(until)):
            found = source.read(table, *calendar.bounds_s(key)).rows
            rows[table][key] = valued(found, generator) if table == "events" else found
    if company.cadence == "monthly":
        rows[FEATURES] = features(rows, calendar, until)
    profiles = {table: [profile(table, key, frame, calendar) for key, frame in of.items()] for table, of in rows.items()}
    return Read(calendar, rows, profiles)


def valued(events: pl.DataFrame, generator: np.random.Generator) -> pl.DataFrame:
    """Events with values, which the synthetic company has none of: seconds of sessions, items of what was used."""
    drawn = generator.standard_normal(events.height)
    spread = {word: np.ceil(np.exp(mean + sd * drawn)) for word, (mean, sd) in {"s": SECONDS, "i": ITEMS}.items()}
    kind = pl.col("event_type")
    value = (
        pl.when(kind == "session").then(pl.Series(spread["s"])).when(kind == "feature_used").then(pl.Series(spread["i"]))
    )
    return events.with_columns(value.cast(pl.Int64).alias(VALUE))


def features(rows: dict[str, dict[str, pl.DataFrame]], calendar: Calendar, until: date) -> dict[str, pl.DataFrame]:
    """The features of every snapshot, by the product's own engine."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        for table in TABLES:
            lake.replace(table, rows[table], run_id="benchmark")
        known = tuple(CATALOGUE)
        versions = lake.versions(TABLES)
        history = History(lake, {table: versions[table] for table in TABLES}, calendar, known, AtRisk(), EventRoles())
        snapshots = calendar.keys(until, first=FIRST_SNAPSHOT)
        names = [feature.name for feature in known]
        return {text(key): frame.select(names) for key, frame in PolarsEngine().snapshots(history, snapshots)}


def profile(table: str, key: str, frame: pl.DataFrame, calendar: Calendar) -> Profile:
    """The profile of a period."""
    return profile_of(frame, table, key, bounds_s=calendar.bounds_s(key) if is_raw(table) else None)


def judged(now: Profile, before: Sequence[Profile], table: str, calendar: Calendar) -> Judgement:
    """The judgement of a period as it arrives; the first period of a raw table is never compared with."""
    return judge(now, before[1:] if is_raw(table) else before, table=table, rules=RULES, cadence=calendar.cadence)


def false_blocks(company: Company, found: Read) -> Iterator[str]:
    """The sentences of clean periods that block."""
    for table, profiles in found.profiles.items():
        for number, now in enumerate(profiles):
            judgement = judged(now, profiles[:number], table, found.calendar)
            if judgement.blocks:
                yield f"{company}: {judgement.sentence}"


def caught(fault: Planted, found: Read) -> tuple[int, int]:
    """In how many places a fault is found, and in how many it was planted."""
    table, profiles = fault.table, found.profiles[fault.table]
    keys = list(found.rows[table])
    first = len(keys) - PLACES
    hits = 0
    for number in range(first, len(keys)):
        start_s, end_s = found.calendar.bounds_s(keys[number])
        rows = found.rows[table]
        former_start_s, _ = found.calendar.bounds_s(keys[number - 1])
        place = Place(rows[keys[number]], rows[keys[number - 1]], former_start_s, start_s, end_s)
        now = profile(table, keys[number], fault.plant(place), found.calendar)
        judgement = judged(now, profiles[:number], table, found.calendar)
        hits += any(one.kind == fault.kind and one.blocking == fault.blocks for one in judgement.findings)
    return hits, PLACES


def main() -> None:
    """Judge clean companies, plant faults, print both, and fail as the module says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one clean company of each scenario, and faults in one size")
    quick = parser.parse_args().quick
    scenarios: tuple[Kind, ...] = ("none", "price_increase", "competitor")
    clean = [Company(2_000, scenario) for scenario in scenarios]
    if not quick:
        clean += [
            Company(size, scenario, seed=seed)
            for scenario in scenarios
            for size, seed in ((300, 1), (300, 2), (20_000, 42))
        ]
        clean += [Company(60, seed=seed) for seed in range(1, 6)]
        clean += [Company(size, cadence="weekly", seed=7) for size in (300, 2_000)]
        clean += [Company(size, cadence="daily", seed=7) for size in (300, 2_000)]
    began, periods, blocks, seconds = time.monotonic(), Counter[str](), [], 0.0
    for company in clean:
        found = read(company)
        started = time.monotonic()
        blocks += list(false_blocks(company, found))
        seconds += time.monotonic() - started
        name = f"{company.cadence}, {company.customers:,} customers, {company.scenario}"
        periods[name] += sum(map(len, found.profiles.values()))
    print("clean periods judged:")
    for name, number in periods.items():
        print(f"  {name:<45}{number:>6}")
    print(f"false blocks: {len(blocks)} of {periods.total():,} periods ({seconds * 1e3 / periods.total():.2f} ms each)")
    for sentence in blocks:
        print(f"  {sentence}")
    missed = []
    sizes = (20_000,) if quick else (300, 2_000, 20_000)
    companies = {size: read(Company(size)) for size in sizes}
    print(f"\n{'found of ' + str(PLACES) + ' planted, by customers':<60}" + "".join(f"{size:>9,}" for size in sizes))
    for fault in planted():
        shares = {size: caught(fault, found) for size, found in companies.items()}
        name = f"{fault.kind}: {fault.size}{'' if fault.blocks else ' (reported alone)'}"
        print(f"{name:<60}" + "".join(f"{hits:>9}" for hits, _ in shares.values()))
        missed += [name for size, (hits, of) in shares.items() if size >= ENOUGH and hits < (1 - MISSED) * of]
    print(f"\n{len(missed)} faults are missed with {ENOUGH:,} customers{': ' + '; '.join(missed) if missed else ''}")
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(bool(blocks or missed))


if __name__ == "__main__":
    main()
