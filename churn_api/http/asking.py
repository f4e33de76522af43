"""Questions to the database and the store, asked in a thread; what is away is said as a problem.

Belongs here: the thread and the errors. Does not belong here: the questions.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.problems import Problem
from churn_store.errors import StoreAwayError

T = TypeVar("T")


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
