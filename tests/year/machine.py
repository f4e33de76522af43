"""The machine on which a simulated year runs: what of it is away, which process runs, and where that process dies.

A process of the simulation is a call in this process of the operating system. It dies by ``Died``, which nothing of the platform
catches, at one of the boundaries that it passes; whatever it then still tries to write is refused, as nothing of it would be left.

Belongs here: boundaries, deaths and outages. Does not belong here: who passes which boundary (``boundaries``, ``dagster_storage``).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.exc import OperationalError

Part = Literal["Dagster's database", "the serving database", "the store's disk", "the lake's disk"]


class Died(BaseException):
    """The process that runs has died at a boundary, as by kill -9."""


@dataclass
class Process:
    """A process that passes boundaries.

    Attributes:
        name: name of the process in words.
        dies_after: number of boundaries that it passes before it dies; `None` if it lives.
        passed: number of boundaries that it has passed.
        died_at: boundary at which it died; `None` while it lives.
    """

    name: str
    dies_after: int | None = None
    passed: int = 0
    died_at: str | None = None


@dataclass
class Machine:
    """What works.

    Attributes:
        away: parts that don't answer.
        process: process that runs now; `None` for the test itself, which nothing stops.
    """

    away: set[Part] = field(default_factory=set)
    process: Process | None = None

    @contextmanager
    def runs(self, process: Process) -> Iterator[Process]:
        """Let a process run; what it does after its death raises ``Died``."""
        former, self.process = self.process, process
        try:
            yield process
        finally:
            self.process = former

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Let the test look, whatever is away and whoever is dead."""
        process, away = self.process, self.away
        self.process, self.away = None, set()
        try:
            yield
        finally:
            self.process, self.away = process, away

    def boundary(self, name: str) -> None:
        """Pass a boundary, or die at it.

        Raises:
            Died: if the process dies here, or has died before.
        """
        process = self.process
        if process is None:
            return
        self.alive()
        if process.dies_after is not None and process.passed >= process.dies_after:
            process.died_at = name
            raise Died(f"{process.name} at: {name}")
        process.passed += 1

    def alive(self) -> None:
        """Refuse what a dead process still tries to do.

        Raises:
            Died: if the process that runs is dead.
        """
        if self.process is not None and self.process.died_at is not None:
            raise Died(f"{self.process.name} was dead already")

    def answers(self, part: Part) -> None:
        """Ask a database.

        Raises:
            Died: if the process that asks is dead.
            OperationalError: if the database is away.
        """
        self.alive()
        if part in self.away:
            raise OperationalError("unable to open database file", None, sqlite3.OperationalError(f"{part} is away"))


MACHINE = Machine()
"""The only one: Dagster makes storages and launchers from their names, so that nothing can be handed to them."""
