"""A history: its steps one after the other, what must hold after each and at the end, and the shortest one that breaks it.

Belongs here: replaying and shortening. Does not belong here: the steps, and what must hold.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from tests.year.ending import assert_ended_well
from tests.year.invariants import assert_invariants
from tests.year.machine import MACHINE
from tests.year.steps import Step
from tests.year.world import Templates


@dataclass(frozen=True)
class Failure:
    """How a history ended badly.

    Attributes:
        steps: its steps, up to the one that broke something.
        words: what happened at each step.
        found: what did not hold, in words.
        kind: what is compared to tell whether another history fails in the same way.
        where: the traceback.
    """

    steps: list[Step]
    words: list[str]
    found: str
    kind: tuple[str, str]
    where: str


def live(templates: Templates, begin: str, steps: Sequence[Step]) -> Failure | None:
    """Live through a history; how it failed, or `None`."""
    words: list[str] = []
    done = 0
    with templates.begin(begin) as world:
        try:
            for step in steps:
                done += 1
                words.append("...")
                words[-1] = step.take(world)
                assert_invariants(world)
                world.step_is_over()
            words.append("everything is mended, and comes to rest")
            MACHINE.away.clear()
            assert_ended_well(world)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)
            ours = [frame.name for frame in at if "/tests/year/" in frame.filename and frame.name != "require"]
            return Failure(
                list(steps[:done]),
                words,
                f"{type(error).__name__}: {error}",
                (type(error).__name__, ours[-1]),
                traceback.format_exc(),
            )
    return None


def shortest(templates: Templates, begin: str, failure: Failure, *, within_s: float) -> tuple[Failure, int]:
    """A shorter history that fails in the same way, and the number of histories that were lived through for it.

    Parts are left out, large ones first, as long as there is time.
    """
    until, tried, size = time.monotonic() + within_s, 0, max(len(failure.steps) // 2, 1)
    while True:
        start, shorter = 0, False
        while start < len(failure.steps):
            if time.monotonic() > until:
                return failure, tried
            rest = failure.steps[:start] + failure.steps[start + size :]
            found = live(templates, begin, rest)
            tried += 1
            if found is not None and found.kind == failure.kind:
                failure, shorter = found, True
            else:
                start += size
        if size == 1 and not shorter:
            return failure, tried
        size = max(size // 2, 1)


def told(seed: int, begin: str, failure: Failure, *, drawn: int, tried: int) -> str:
    """A failure as a person reads it."""
    lines = [
        f"seed {seed}: {failure.found}",
        f"The shortest history found that ends so ({len(failure.steps)} of {drawn} steps, {tried} histories tried). It is {begin}.",
        *(f"{number:3}. {said}" for number, said in enumerate(failure.words, 1)),
        f'Again: make year YEAR="--seed {seed}"',
        failure.where,
    ]
    return "\n".join(lines)
