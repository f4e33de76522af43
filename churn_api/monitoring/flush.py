"""``POST /monitoring/flush-logs``: what waits in the spool is moved into the database now, for keys with the scope ``admin``.

Belongs here: the route. Does not belong here: shipping (``telemetry.shipper``), which every worker also does by itself.
"""

import asyncio

import msgspec
from litestar import Controller, post
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.asking import RETRY_S
from churn_api.http.body import OK
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from churn_api.workers.worker import Worker


class Flushed(msgspec.Struct, kw_only=True):
    """What was moved, and what is left.

    Attributes:
        worker: number of the worker that did it. Others ship what they are writing themselves, every ``service.ship_s``.
        shipped: predictions that the database took.
        waiting_bytes: bytes in the spool of this machine that wait on.
        notes: files of the spool that somebody has to look at.
    """

    worker: int
    shipped: int
    waiting_bytes: int
    notes: list[str]


class FlushController(Controller):
    """The prediction log on demand."""

    @post(
        "/monitoring/flush-logs",
        opt=needs("admin"),
        status_code=OK,
        summary="Move what waits in the spool into the database now",
        responses={503: problem_spec("The database takes nothing now; nothing is lost.")},
    )
    async def flush(self, shipper: Shipper, spool: Spool, worker: Worker) -> Flushed:
        """Answered once it is committed."""
        try:
            shipped = await asyncio.to_thread(shipper.flush)
        except SQLAlchemyError as error:
            raise Problem(
                503,
                "database-away",
                f"The serving database takes nothing now; {spool.waiting_bytes:,} bytes stay in the spool and are shipped by "
                "themselves once it does.",
                headers={"retry-after": str(RETRY_S)},
            ) from error
        return Flushed(worker=worker.number, shipped=shipped, waiting_bytes=spool.waiting_bytes, notes=shipper.words())
