"""Questions to the database and the store, asked in a thread; what is away is said as a problem.

Belongs here: the thread, how many ask at once, and the errors. Does not belong here: the questions.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.problems import Problem
from churn_store.errors import StoreAwayError

T = TypeVar("T")

RETRY_S: Final = 5
"""Seconds after which a caller is asked to try again."""

AT_ONCE: Final = 2
"""Requests that ask the database at the same time; it writes for one at a time anyway."""

WAITING: Final = 8
"""Most requests that wait for the database or are with it; each may hold a body of a batch."""


async def asked(question: Callable[[], T]) -> T:
    """The answer to a question, asked in a thread.

    Raises:
        Problem: as ``away_is_said`` does.
    """
    with away_is_said():
        return await asyncio.to_thread(question)


@contextmanager
def away_is_said() -> Iterator[None]:
    """A block whose errors of the database and the store are problems.

    Raises:
        Problem: if the database does not answer, or release files can't be read (503).
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise Problem(503, "database-away", "The serving database does not answer; try again.") from error
    except (OSError, ObjectStoreError, StoreAwayError) as error:
        raise Problem(503, "store-away", "The release files can't be read at the moment; try again.") from error


class Turns:
    """A few questions to the database at a time, so that one that hangs takes few threads and few bodies.

    Args:
        at_once: most questions that are with the database.
        waiting: most questions that wait for it or are with it.
    """

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._most = waiting
        self._waiting = 0

    async def asked(self, question: Callable[[], T]) -> T:
        """The answer to a question, asked in a thread.

        Raises:
            Problem: if too many wait, or the database does not answer (503, with ``Retry-After``).
        """
        if self._waiting >= self._most:
            raise _later("busy", "Too many requests wait for the serving database; nothing was saved. Try again.")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(question)
        except SQLAlchemyError as error:
            raise _later(
                "database-away",
                "The serving database does not answer; nothing is known to be saved. Send the same again, under the same "
                "idempotency key.",
            ) from error
        finally:
            self._waiting -= 1


def _later(name: str, detail: str) -> Problem:
    return Problem(503, name, detail, headers={"retry-after": str(RETRY_S)})
