"""The service beside the graph, its parts called by hand: poller, predictions, spool and shipper.

Belongs here: what one worker of the service does, without HTTP. Does not belong here: HTTP (``tests/api``).
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from churn_api.http.call import Call
from churn_api.http.problems import Problem
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.service import Predictor
from churn_api.releases.last_good import LastGood
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import Preparation
from churn_api.shadow.queue import ShadowQueue
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from churn_assets.settings.company import Settings
from churn_store.database.schema import connect
from churn_store.releases.trial import Trials
from churn_store.storage.online_store import open_reader
from tests.year.machine import MACHINE, Died, Process

KEPT_S = 400 * 86_400


@dataclass(frozen=True)
class Answer:
    """What a caller was told."""

    prediction_id: str
    release: str
    epoch: int
    role: str
    customer_id: str
    probability: float


@dataclass
class Service:
    """One worker of the service.

    Attributes:
        answers: every answer that a caller has ever got, over all restarts.
    """

    settings: Settings
    folder: Path
    answers: list[Answer] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin anew, as after a restart; the spool and the cache lie on disk."""
        self.process = Process("the service")
        settings, metrics = self.settings, Metrics()
        now_s = settings.clock.now_s
        self.engine: sa.Engine = connect(settings.database_url)
        self.poller = ReleasePoller(
            self.engine,
            settings.releases_url,
            LastGood(self.folder / "cache", max_age_s=KEPT_S, now_s=now_s),
            Trials(self.folder.parents[2] / "trials"),  # of this machine, which all worlds of a process share
            Preparation(max_batch=100, metrics=metrics, now_s=now_s),
            metrics,
            now_s,
        )
        self.online = OnlineFeatures(open_reader(settings.online_url), metrics)
        self.spool = Spool(self.folder / "spool", limit_bytes=10_000_000)
        self.shipper = Shipper(self.spool, self.engine, metrics)
        self.predictor = Predictor(self.poller, self.spool, metrics, now_s, ShadowQueue(metrics))

    def stop(self) -> None:
        """End it as kill -9 does: the lock on its segment is dropped, and nothing else happens."""
        self.spool._let_go()
        asyncio.run(self.online.close())
        self.engine.dispose()

    def poll(self) -> None:
        """Look once at the releases and at the online features."""
        with MACHINE.runs(self.process):
            try:
                self.poller.poll()
            except Exception as error:
                self.refused.append(f"{type(error).__name__}: {error}")
            asyncio.run(self.online.refresh())

    def predict(self, customers: list[str]) -> int:
        """Answer some customers one by one; the number of answers."""
        with MACHINE.runs(self.process):
            return sum(self._predict(customer) for customer in customers)

    def _predict(self, customer: str) -> bool:
        call = Call(_nothing)
        try:
            served = self.predictor.serving(call)
            found = asyncio.run(self.online.look_up([customer], served))
            [row] = found.rows
            if row is None:
                return False
            role, _ = self.predictor.answering(call, served, customer)
            said: dict[str, Any] = msgspec.json.decode(self.predictor.one(call, role, customer, row, found.snapshot, None))
        except Problem as problem:
            self.refused.append(str(problem.details))
            return False
        model = said["model"]
        self.answers.append(
            Answer(
                said["prediction_id"], model["release"], model["epoch"], model["role"], customer, float(said["probability"])
            )
        )
        return True

    def ship(self, *, dies_after: int | None = None) -> str | None:
        """Ship the spool once; the boundary at which the service died meanwhile, if it did. It is started anew then."""
        if dies_after is not None:
            self.process.dies_after = self.process.passed + dies_after
        with MACHINE.runs(self.process):
            try:
                self.shipper.ship()
            except Died:
                pass
            except Exception as error:
                self.shipper.failed(error)
        self.process.dies_after, died = None, self.process.died_at
        if died is not None:
            self.stop()
            self.start()
        return died


async def _nothing() -> Any:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}
