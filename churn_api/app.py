"""The service on one screen: every part, what it is given, and when it starts and stops.

Belongs here: wiring. Does not belong here: behaviour.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.types import ControllerRouterHandler

from churn_api.background import PeriodicTask
from churn_api.clock import FollowedClock
from churn_api.disk_cache import CachedValue
from churn_api.docs.openapi import OpenApiDocuments
from churn_api.docs.routes import DocsController
from churn_api.http.call import call_of
from churn_api.http.lanes import require_answerable
from churn_api.http.middleware import PipelineParts, RequestPipeline, note_unmatched
from churn_api.http.ordinary import CheckedRequest
from churn_api.http.problems import problem_response
from churn_api.monitoring.health import HealthController, Monitor
from churn_api.predictions.company_csv import CsvBodies
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.routes import prediction_routes
from churn_api.predictions.service import Predictor
from churn_api.releases.last_good import LastGood
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.rollback import Rollback, RollbackController
from churn_api.releases.routes import ModelController
from churn_api.releases.served import Preparation
from churn_api.security.key_ring import KeyRing
from churn_api.security.keys import HashedKey
from churn_api.settings import ServiceConfig
from churn_api.telemetry.access_log import AccessLog
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from churn_api.validation.routes import validation_controller
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import DatabaseAwayError, InputError
from churn_store.storage.online_store import open_reader

FIRST_LOOK_S = 6.0
"""Longest wait of the start for the first look at the releases, so that the service can answer at once where possible."""


def create_app(settings: ServiceConfig, *, more_routes: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The service.

    Args:
        settings: settings of ``churn.yaml`` and the environment.
        more_routes: ordinary controllers in addition to the service's own.

    Raises:
        TypeError: if the request pipeline could not answer a route correctly.
        InputError: if the database has another schema, there is no usable API key, or neither the database nor keys cached
            from it are available.
    """
    limits = settings.service
    clock = FollowedClock(settings.clock)
    metrics = Metrics()
    documents = OpenApiDocuments()
    engine = connect(settings.database_url)
    away = _away(engine)
    ring = KeyRing(
        engine,
        CachedValue(
            settings.cache_folder / "keys.json", list[HashedKey], max_age_s=limits.cache_max_age_s, now_s=clock.now_s
        ),
        clock.now_s,
    )
    ring.open(away)

    releases = ReleasePoller(
        engine,
        settings.releases_url,
        LastGood(settings.cache_folder, max_age_s=limits.cache_max_age_s, now_s=clock.now_s),
        Preparation(max_batch=limits.max_batch, metrics=metrics, document=documents.of_release, now_s=clock.now_s),
        metrics,
        clock.now_s,
    )
    online = OnlineFeatures(open_reader(settings.online_url), metrics)
    spool = Spool(settings.spool_folder, limit_bytes=limits.spool_limit_bytes)
    shipper = Shipper(spool, engine, metrics)
    threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="batch")
    predictor = Predictor(releases, spool, metrics, clock.now_s)
    bodies = CsvBodies(settings.customers, limits.max_batch)

    rollback = Rollback(engine, releases, ring.name_of, clock.now_s)

    tasks = {
        "releases": PeriodicTask("releases", releases.poll, every_s=limits.poll_s, on_failure=_already_noted),
        "keys": PeriodicTask("keys", ring.refresh, every_s=limits.poll_s, on_failure=_counted(metrics, "keys")),
        "prediction log": PeriodicTask("log", shipper.ship, every_s=limits.ship_s, on_failure=shipper.failed),
    }
    monitor = Monitor(releases, online, spool, tasks, metrics, clock.now_s)
    access_log = AccessLog(limits.access_log_share)
    pipeline = PipelineParts(ring=ring, metrics=metrics, access_log=access_log)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        for task in tasks.values():
            task.start()
        await online.refresh()
        await asyncio.to_thread(tasks["releases"].wait_for_first, FIRST_LOOK_S)
        followers = [
            asyncio.create_task(online.follow(limits.poll_s)),
            asyncio.create_task(_follow_clock(clock, limits.poll_s, metrics)),
        ]
        try:
            yield
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            for task in tasks.values():
                await asyncio.to_thread(task.stop)
            await online.close()
            threads.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(shipper.ship_the_rest, limits.shutdown_s)
            engine.dispose()
            access_log.flush()

    parts = {
        "documents": documents, "engine": engine, "monitor": monitor, "predictor": predictor, "releases": releases,
        "rollback": rollback, "threads": threads,
    }  # fmt: skip
    ordinary = [
        ModelController,
        RollbackController,
        HealthController,
        validation_controller(limits, bodies),
        DocsController,
        *more_routes,
    ]
    app = Litestar(
        route_handlers=[*prediction_routes(predictor, online, threads, limits, bodies), *ordinary],
        dependencies={
            "call": Provide(call_of, sync_to_thread=False),
            **{name: _always(part) for name, part in parts.items()},
        },
        middleware=[DefineMiddleware(RequestPipeline, parts=pipeline)],
        request_class=CheckedRequest,
        request_max_body_size=limits.max_body_bytes,
        exception_handlers={Exception: problem_response},
        after_exception=[note_unmatched(pipeline)],
        lifespan=[running],
        openapi_config=None,
        logging_config=None,
    )
    require_answerable(app)
    documents.take(app, ordinary)
    return app


def _always(part: object) -> Provide:
    """A dependency that is the same for every request."""
    return Provide(lambda: part, sync_to_thread=False)


def _away(engine: sa.Engine) -> DatabaseAwayError | None:
    """Refuse a database of another schema; if the database is away, return the error and let the service start."""
    try:
        require_migrated(engine)
    except DatabaseAwayError as error:
        return error
    return None


async def _follow_clock(clock: FollowedClock, every_s: float, metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            clock.follow()
        except (InputError, OSError) as error:
            _counted(metrics, "clock")(error)


def _counted(metrics: Metrics, what: str) -> Callable[[BaseException], None]:
    def count(_: BaseException) -> None:
        metrics.refresh_failures.labels(what).inc()

    return count


def _already_noted(_: BaseException) -> None:
    """The poller counts and shows its own failures."""
