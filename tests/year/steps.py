"""The steps of a year: what passes, what goes wrong, and what people do.

A step carries everything that it needs, so that a history is replayed without some of its steps. One that does not apply does nothing and
says so. Belongs here: the steps and how often they are drawn. Does not belong here: what must hold after them (``invariants``).
"""

import datetime as dt
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from churn_assets.champion.gate.verdict import RULES
from churn_assets.periods import text
from tests.automation.company import CALENDAR, TABLES
from tests.year import people
from tests.year.dagster_storage import connected
from tests.year.machine import MACHINE
from tests.year.world import World

Does = Callable[..., str]
PARTS = ("Dagster's database", "the serving database", "the store's disk", "the lake's disk")
BACKFILLED = (
    ["customers", "events", "payments"],
    ["customer_features"],
    ["churn_labels"],
    ["churn_scores"],
)


@dataclass(frozen=True)
class Step:
    """One step of a history."""

    name: str
    args: tuple[Any, ...] = ()

    def take(self, world: World) -> str:
        """Take the step; what happened, in words."""
        return STEPS[self.name][0](world, *self.args)


def month_passes(world: World) -> str:
    """The files of a month arrive and the clock goes on."""
    return f"a month passes: it is {world.month}" if world.pass_month() else "the year has ended"


def minute_passes(world: World) -> str:
    """The daemon looks once, and every run comes to its end."""
    before = len(world.daemon.ended)
    world.daemon.minute()
    return f"the daemon looks, and {len(world.daemon.ended) - before} runs come to their end"


def daemon_looks(world: World) -> str:
    """The daemon looks once; runs are started and do nothing yet."""
    world.daemon.look()
    return f"the daemon looks; {len(world.daemon.workers)} runs are under way"


def daemon_asks(world: World) -> str:
    """Schedules and sensors ask; nothing is started."""
    world.daemon.ask()
    return "schedules and sensors ask, and what they ask for stays in the queue"


def runs_take_turns(world: World, events: int) -> str:
    """All runs under way come to their end, some events each in turn."""
    named = [worker.job for worker in world.daemon.workers]
    world.daemon.take_turns(events)
    return f"the runs of {', '.join(named) or 'nothing'} take turns, {events} events each, to their end"


def run_goes_on(world: World, nth: int, events: int) -> str:
    """A run goes on for some events."""
    workers = world.daemon.workers
    if not workers:
        return "no run is under way"
    worker = workers[nth % len(workers)]
    world.daemon.work(worker, events=events)
    return f"the run of {worker.job} goes on for {events} events"


def worker_dies(world: World, nth: int, after: int) -> str:
    """A run's process dies at one of the boundaries that it passes."""
    workers = world.daemon.workers
    if not workers:
        return "no run is under way"
    worker = workers[nth % len(workers)]
    died = world.daemon.work(worker, dies_after=after)
    if died is None:
        return f"the run of {worker.job} ends before its process could die"
    world.troubled_runs.add(worker.run_id)
    return f"the process of {worker.job} dies {died}"


def daemon_dies(world: World, after: int) -> str:
    """The daemon dies at one of the boundaries that it passes, and is started anew."""
    died = world.daemon.look(dies_after=after)
    return "the daemon looks, and lives" if died is None else f"the daemon dies {died}, and is started anew"


def cursors_are_lost(world: World) -> str:
    """The daemon is started anew without its cursors and ticks."""
    if MACHINE.away:
        return "the daemon is started anew"
    folder = world.folder / ".dagster" / "storage"
    with connected(f"sqlite:///{folder / 'schedules.db'}") as connection:
        for table in ("instigators", "jobs", "job_ticks"):
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608
    with connected(f"sqlite:///{folder / 'runs.db'}") as connection:
        connection.execute(sa.text("DELETE FROM kvs"))
    world.daemon.start()
    return "the daemon is started anew, and its cursors are lost"


def feed_goes_wrong(world: World, table: str, trouble: str) -> str:
    """The next file of a table comes late, twice or torn."""
    world.feed.next_time[table] = trouble  # type: ignore[assignment]
    return f"the next file of {table} will come {trouble}"


def feed_is_mended(world: World) -> str:
    """Every file is put right."""
    wrong = sorted(world.feed.wrong)
    world.feed.mend()
    return f"{', '.join(wrong) or 'no file'} put right"


def part_goes(world: World, part: str) -> str:
    """A database or a disk is away."""
    MACHINE.away.add(part)  # type: ignore[arg-type]
    world.was_away = True
    return f"{part} is away"


def parts_come_back(world: World) -> str:
    """Everything is there again."""
    came = ", ".join(sorted(MACHINE.away))
    MACHINE.away.clear()
    return f"{came or 'nothing'} comes back"


def ada_approves(world: World, override: bool, after: int | None) -> str:
    """A person approves the candidate that was judged last."""
    how = " against the gate" if override else ""
    return f"Ada approves the newest candidate{how}: {people.approve_newest(world, override=override, dies_after=after)}"


def bob_rolls_back(world: World, to: int | None, stale: bool, after: int | None) -> str:
    """A person rolls back."""
    where = "to the former champion" if to is None else f"to epoch {to}"
    seen = ", looking at yesterday's list" if stale else ""
    return f"Bob rolls back {where}{seen}: {people.put_back(world, to=to, stale=stale, dies_after=after)}"


def run_is_cancelled(world: World, nth: int) -> str:
    """A person cancels a run."""
    return "nothing can be cancelled" if MACHINE.away else f"a person cancels {people.cancel(world, nth)}"


def backfill_is_launched(world: World, which: int, first: int, periods: int) -> str:
    """A person launches a backfill; another one may be under way."""
    if MACHINE.away:
        return "no backfill can be launched"
    assets = BACKFILLED[which]
    ended = [text(key) for key in CALENDAR.complete(dt.date.fromisoformat(world.month))]
    if which:
        ended = sorted(world.daemon.instance.get_materialized_partitions(dg.AssetKey(assets[0])))
    chosen = ended[first % len(ended) :][:periods] if ended else []
    if which == len(BACKFILLED) - 1:
        chosen = chosen[-1:]
    if not chosen:
        return "there is nothing to backfill"
    world.backfilled = True
    return f"a person backfills {people.backfill(world, assets, chosen)}"


def service_looks(world: World) -> str:
    """The service looks at the releases, answers some customers and ships."""
    world.service.poll()
    customers = [f"C{n:06d}" for n in range(1)]
    snapshot = world.service.online.snapshot
    if snapshot is not None:
        customers = _customers(world)
    answered = world.service.predict(customers)
    return f"the service looks, and answers {answered} customers"


def service_ships(world: World, after: int | None) -> str:
    """The service ships its spool, and may die meanwhile."""
    died = world.service.ship(dies_after=after)
    return "the service ships its predictions" if died is None else f"the service dies {died}, and is started anew"


def service_dies(world: World) -> str:
    """The service is killed and started anew."""
    world.service.stop()
    world.service.start()
    return "the service is killed, and started anew"


def gate_breaks(world: World, nth: int) -> str:
    """A rule of the gate raises from now on."""
    name = sorted(RULES)[nth % len(RULES)]
    world.break_rule(name)
    return f"the gate's rule {name} raises"


def gate_is_mended(world: World) -> str:
    """The gate's rules are as they were."""
    world.mend_rules()
    return "the gate's rules are mended"


def lake_is_torn(world: World, table: str, nth: int, log: bool) -> str:
    """A part of a table is lost: Delta's log, or a period's files."""
    folder = Path(world.lake.uri(table))
    periods = sorted(folder.glob("period=*"))
    if not world.lake.has(table) or not periods or world.daemon.workers:
        return "the lake stays whole"
    torn = folder / "_delta_log" if log else periods[nth % len(periods)]
    shutil.rmtree(torn)
    world.torn = True
    return f"{table}/{torn.name} is lost"


def _customers(world: World) -> list[str]:
    periods = world.lake.periods("customer_features") if world.lake.has("customer_features") else []
    if not periods:
        return []
    with MACHINE.observed():
        try:
            return world.lake.read("customer_features", periods[-1], columns=["customer_id"])["customer_id"].to_list()[:3]
        except Exception:
            return []


def _after(rng: random.Random, most: int) -> int:
    return rng.randrange(most)


def _maybe(rng: random.Random, most: int) -> int | None:
    return rng.randrange(most) if rng.random() < 0.5 else None


STEPS: dict[str, tuple[Does, int, Callable[[random.Random], tuple[Any, ...]]]] = {
    "month passes": (month_passes, 0, lambda _: ()),
    "minute passes": (minute_passes, 14, lambda _: ()),
    "daemon looks": (daemon_looks, 8, lambda _: ()),
    "daemon asks": (daemon_asks, 3, lambda _: ()),
    "runs take turns": (runs_take_turns, 5, lambda rng: (rng.choice((1, 3, 7)),)),
    "run goes on": (run_goes_on, 5, lambda rng: (rng.randrange(3), rng.choice((2, 9, 25)))),
    "worker dies": (worker_dies, 9, lambda rng: (rng.randrange(3), _after(rng, 90))),
    "daemon dies": (daemon_dies, 4, lambda rng: (_after(rng, 12),)),
    "cursors are lost": (cursors_are_lost, 2, lambda _: ()),
    "feed goes wrong": (
        feed_goes_wrong, 6, lambda rng: (rng.choice(TABLES), rng.choice(("late", "twice", "torn"))),
    ),
    "feed is mended": (feed_is_mended, 5, lambda _: ()),
    "part goes": (part_goes, 5, lambda rng: (rng.choice(PARTS),)),
    "parts come back": (parts_come_back, 6, lambda _: ()),
    "Ada approves": (ada_approves, 4, lambda rng: (rng.random() < 0.6, _maybe(rng, 14))),
    "Bob rolls back": (bob_rolls_back, 3, lambda rng: (rng.choice((None, 1, 2)), rng.random() < 0.3, _maybe(rng, 6))),
    "run is cancelled": (run_is_cancelled, 4, lambda rng: (rng.randrange(3),)),
    "backfill is launched": (
        backfill_is_launched, 4, lambda rng: (rng.randrange(len(BACKFILLED)), rng.randrange(14), rng.choice((1, 2, 3))),
    ),
    "service looks": (service_looks, 7, lambda _: ()),
    "service ships": (service_ships, 5, lambda rng: (_maybe(rng, 6),)),
    "service dies": (service_dies, 2, lambda _: ()),
    "gate breaks": (gate_breaks, 1, lambda rng: (rng.randrange(20),)),
    "gate is mended": (gate_is_mended, 2, lambda _: ()),
    "lake is torn": (
        lake_is_torn, 2,
        lambda rng: (rng.choice((*TABLES, "customer_features", "churn_labels")), rng.randrange(14), rng.random() < 0.3),
    ),
}  # fmt: skip
"""Each step by its name: what it does, how often it is drawn, and how its values are."""

MONTHS_OF_A_HISTORY = 4
STEPS_A_MONTH = (4, 9)


def drawn(seed: int, begins: tuple[str, ...]) -> tuple[str, list[Step]]:
    """The history of a seed: the month at which it begins, and its steps."""
    rng = random.Random(seed)  # noqa: S311
    begin = rng.choice(begins)
    names = list(STEPS)
    weights = [STEPS[name][1] for name in names]
    steps: list[Step] = []
    for _ in range(MONTHS_OF_A_HISTORY):
        steps.append(Step("month passes"))
        for name in rng.choices(names, weights, k=rng.randint(*STEPS_A_MONTH)):
            steps.append(Step(name, STEPS[name][2](rng)))
        if rng.random() < 0.5:
            steps.append(Step("minute passes"))
    return begin, steps
