"""The service on one screen: every part, what it is given, and when it starts and stops.

Belongs here: wiring. Does not belong here: behaviour.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp, ControllerRouterHandler

from churn_api.admin.audit import AuditController
from churn_api.admin.limits import LimitsController
from churn_api.background import PeriodicTask, write_last
from churn_api.clock import FollowedClock
from churn_api.docs.openapi import OpenApiDocuments
from churn_api.docs.routes import DocsController
from churn_api.experiments.routes import ExperimentController, ExperimentReader
from churn_api.explanations.routes import ExplanationController
from churn_api.explanations.service import Explanations
from churn_api.http.asking import Turns
from churn_api.http.call import call_of
from churn_api.http.edge import ServiceApp, cors_of
from churn_api.http.fast_paths import FastPaths
from churn_api.http.lanes import require_answerable
from churn_api.http.middleware import PipelineParts, RequestPipeline, note_unmatched
from churn_api.http.ordinary import CheckedRequest
from churn_api.http.problems import problem_response
from churn_api.intake.bodies import Bodies
from churn_api.intake.saving import Saver
from churn_api.monitoring.baseline import BaselineController
from churn_api.monitoring.blocked_data import BlockedData
from churn_api.monitoring.exposition import Exposition, predicts
from churn_api.monitoring.facts_routes import MonitoringController, MonitoringReader
from churn_api.monitoring.flush import FlushController
from churn_api.monitoring.gauges import monitoring_metrics
from churn_api.monitoring.health import HealthController, Monitor, detailed_controller
from churn_api.monitoring.shadow import ShadowController
from churn_api.monitoring.status import StatusController
from churn_api.monitoring.timeline import TimelineController, TimelineReader
from churn_api.open_inference.routes import ModelMetadataController, ServerController, infer_routes
from churn_api.outcomes.parsing import OUTCOMES
from churn_api.outcomes.routes import OutcomeService, outcome_controller
from churn_api.predictions.batch_reasons import BatchReasons
from churn_api.predictions.batch_route import batch_route
from churn_api.predictions.batch_rows import BatchRows
from churn_api.predictions.customer_routes import CustomerController
from churn_api.predictions.feature_routes import FeaturesController
from churn_api.predictions.file_bodies import FileBodies
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.routes import prediction_routes
from churn_api.predictions.service import Predictor
from churn_api.releases.decision_routes import ArmsController, DecisionController
from churn_api.releases.decisions import Decisions
from churn_api.releases.follow_up import FollowUp
from churn_api.releases.last_good import LastGood
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.rollback import RollbackController
from churn_api.releases.routes import ModelController
from churn_api.releases.served import Preparation
from churn_api.reports.routes import ReportController
from churn_api.security.access import Access
from churn_api.settings import ServiceConfig, ServiceSettings
from churn_api.shadow.follower import Shadow
from churn_api.surveys.routes import SurveyController
from churn_api.surveys.service import SurveyService
from churn_api.telemetry.access_log import AccessLog
from churn_api.telemetry.json_log import say
from churn_api.telemetry.line_writer import LineWriter
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.refusals import Refusals
from churn_api.telemetry.request_days import RequestDays
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from churn_api.treatments.parsing import TREATMENTS
from churn_api.treatments.routes import TreatmentService, treatment_controller
from churn_api.validation.routes import validation_controller
from churn_api.workers.worker import Worker
from churn_store.clock import wall_s
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.database.watch import DatabaseWatch
from churn_store.errors import DatabaseAwayError, InputError
from churn_store.outcomes.log import record as record_outcomes
from churn_store.releases.risk_bands import bands_of
from churn_store.releases.trial import Trials
from churn_store.storage.online_store import open_reader
from churn_store.treatments.log import record as record_treatments

if TYPE_CHECKING:
    from churn_api.telemetry.spans import Tracing

FACTS_EVERY = 4
"""The graph publishes its facts once a snapshot, so that they are looked for this much more rarely than releases."""

FIRST_LOOK_S = 6.0
"""Longest wait of the start for the first look at the releases, so that the service can answer at once where possible."""


def create_app(
    settings: ServiceConfig, *, more_routes: Sequence[ControllerRouterHandler] = (), writer: LineWriter | None = None,
    worker: Worker = Worker(),  # noqa: B008 - frozen
) -> ServiceApp:  # fmt: skip
    """The service.

    Args:
        settings: settings of ``churn.yaml`` and the environment.
        more_routes: ordinary controllers in addition to the service's own.
        writer: writer of the log lines; default: one on standard output.
        worker: which of several workers this process is; default: the only one.

    Raises:
        TypeError: if the request pipeline could not answer a route correctly.
        InputError: if the database has another schema, there is no usable API key, or neither the database nor keys cached
            from it are available.
    """
    limits = settings.service
    clock = FollowedClock(settings.clock)
    writer = writer or LineWriter()
    metrics, documents, turns = Metrics(), OpenApiDocuments(), Turns()
    engine = connect(settings.database_url)
    watch = DatabaseWatch(engine)
    access = Access.open(settings, engine, _away(engine), metrics)
    last_good = LastGood(settings.cache_folder, max_age_s=limits.cache_max_age_s, now_s=wall_s)
    trials = Trials(settings.cache_folder / "trials")
    releases = ReleasePoller(
        engine,
        settings.releases_url,
        last_good,
        trials,
        Preparation(
            max_batch=limits.max_batch,
            metrics=metrics,
            now_s=clock.now_s,
            bands=partial(bands_of, bounds=limits.risk_bands),
        ),
        metrics,
        clock.now_s,
    )
    follow_up = FollowUp(releases, last_good)
    online = OnlineFeatures(open_reader(settings.online_url, copies=settings.cache_folder / "online"), metrics)
    spool, shadow = Spool(settings.spool_folder, limit_bytes=limits.spool_limit_bytes), Shadow(releases, metrics)
    shipper = Shipper(spool, engine, metrics)
    threads, blocked, monitoring, request_days = (
        ThreadPoolExecutor(max_workers=2, thread_name_prefix="batch"),
        BlockedData(engine, on_failure=_counted(metrics, "blocked data")),
        MonitoringReader.of(releases, online),
        RequestDays(engine, metrics.requests, predicts, clock.now_s),
    )
    predictor = Predictor(releases, spool, metrics, clock.now_s, shadow.queue)
    bodies, explanations = FileBodies(settings.customers, limits.max_batch), Explanations(metrics, threads)

    tasks = {
        "database": PeriodicTask(
            "database", partial(_look, watch, metrics), every_s=limits.poll_s, on_failure=_counted(metrics, "database")
        ),
        "releases": PeriodicTask("releases", releases.poll, every_s=limits.poll_s, on_failure=_already_noted),
        "copy of the release": PeriodicTask(
            "copy", follow_up.copy, every_s=limits.poll_s, on_failure=_counted(metrics, "copy")
        ),
        "reference sample": PeriodicTask(
            "reference", follow_up.read_reference, every_s=limits.poll_s, on_failure=_counted(metrics, "reference")
        ),
        "monitoring facts": PeriodicTask(
            "facts", monitoring.follower.follow, every_s=FACTS_EVERY * limits.poll_s, on_failure=_counted(metrics, "facts")
        ),
        "requests by day": PeriodicTask(
            "days", request_days.write, every_s=limits.ship_s, on_failure=_counted(metrics, "requests by day")
        ),
        "keys": PeriodicTask("keys", access.ring.refresh, every_s=limits.poll_s, on_failure=_counted(metrics, "keys")),
        "prediction log": PeriodicTask("log", shipper.ship, every_s=limits.ship_s, on_failure=shipper.failed),
        **{
            name: PeriodicTask(name, write, every_s=limits.ship_s, on_failure=_counted(metrics, name))
            for name, write in access.writers.items()
        },
    }
    monitor = Monitor(
        releases,
        online,
        access.ring,
        spool,
        writer,
        tasks,
        metrics,
        clock,
        blocked,
        parts=[
            watch.words,
            shipper.words,
            access.words,
            worker.words,
            shadow.words,
            blocked.words,
            monitoring.follower.words,
        ],
    )
    exposition, traced = (
        Exposition(metrics.registry, worker, os.getpid(), monitor.refresh_metrics, partial(monitoring_metrics, monitoring)),
        _traced(limits, metrics, worker),
    )
    access_log, refusals = AccessLog(writer, limits.access_log_share), Refusals(writer, access.audit.note_strangers)
    pipeline = PipelineParts(
        ring=access.ring,
        limits=access.limits,
        audit=access.audit,
        metrics=metrics,
        access_log=access_log,
        refusals=refusals,
        tracing=traced.tracing,
    )

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        for start in (*(task.start for task in tasks.values()), blocked.task.start, shadow.start, *traced.starts):
            start()
        await online.refresh()
        await asyncio.to_thread(tasks["releases"].wait_for_first, FIRST_LOOK_S)
        followers = [
            asyncio.create_task(online.follow(limits.poll_s)),
            asyncio.create_task(exposition.follow()),
            asyncio.create_task(_follow_clock(clock, limits.poll_s, metrics)),
        ]
        try:
            yield
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            for stop in (shadow.stop, blocked.task.stop, *(task.stop for task in tasks.values()), *traced.stops):
                await asyncio.to_thread(stop)
            await asyncio.gather(online.close(), access.limits.store.close())
            threads.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(shipper.ship_the_rest, limits.shutdown_s)
            refusals.flush()
            await asyncio.to_thread(write_last, [*access.last_writers, request_days.write], limits.shutdown_s)
            engine.dispose()
            watch.close()
            access_log.flush()
            await asyncio.to_thread(writer.close)

    parts = {
        "experiments": ExperimentReader(engine, releases.store, clock.now_s),
        "outcomes": OutcomeService(Saver(engine, Bodies(OUTCOMES, limits.max_batch, clock.now_s), record_outcomes, clock.now_s, turns), releases),
        "treatments": TreatmentService(Saver(engine, Bodies(TREATMENTS, limits.max_batch, clock.now_s), record_treatments, clock.now_s, turns)),
        "surveys": SurveyService(engine, predictor, online, clock.now_s, turns),
        "monitoring": monitoring, "timeline": TimelineReader(engine, clock.now_s), "shipper": shipper, "spool": spool,
        "shadow": shadow, "access": access, "documents": documents, "engine": engine, "explanations": explanations, "monitor": monitor, "predictor": predictor, "releases": releases,
        "decisions": Decisions(engine, releases, trials, access.ring.name_of, clock.now_s, shadow.has_given_up), "threads": threads, "online": online, "clock": clock, "worker": worker, "exposition": exposition,
    }  # fmt: skip
    ordinary = [
        ServerController,
        ModelMetadataController,
        ModelController,
        ExplanationController,
        RollbackController,
        DecisionController,
        ArmsController,
        ExperimentController,
        FeaturesController,
        CustomerController,
        StatusController,
        ShadowController,
        MonitoringController,
        BaselineController,
        FlushController,
        TimelineController,
        HealthController,
        detailed_controller(is_open=limits.open_metrics),
        ReportController,
        validation_controller(limits, bodies),
        LimitsController,
        AuditController,
        outcome_controller(limits.max_batch_body_bytes),
        treatment_controller(limits.max_batch_body_bytes),
        SurveyController,
        DocsController,
        *more_routes,
    ]
    app = ServiceApp(
        route_handlers=[
            *infer_routes(predictor, threads, limits),
            *prediction_routes(predictor, online, limits, explanations.of),
            batch_route(
                predictor,
                BatchRows(online, threads, limits, bodies),
                BatchReasons(predictor, explanations.now, explanations.require, limits.max_explained_rows),
            ),
            *ordinary,
        ],
        dependencies={
            "call": Provide(call_of, sync_to_thread=False),
            **{name: _always(part) for name, part in parts.items()},
        },
        middleware=[DefineMiddleware(RequestPipeline, parts=pipeline), *traced.middleware],
        request_class=CheckedRequest,
        request_max_body_size=limits.max_body_bytes,
        exception_handlers={Exception: problem_response},
        after_exception=[note_unmatched(pipeline)],
        lifespan=[running],
        openapi_config=None,
        cors_config=cors_of(limits.cors_origins),
        logging_config=None,
    )
    _take_lanes(app, limits, pipeline)
    documents.take(app, ordinary)
    return app


def _take_lanes(app: ServiceApp, limits: ServiceSettings, pipeline: PipelineParts) -> None:
    """Check the lanes of all routes, and find those of the fast one without Litestar.

    Raises:
        TypeError: if the request pipeline could not answer a route correctly.
    """
    require_answerable(app)
    app.state.pipeline = pipeline
    if not limits.cors_origins:  # what other origins may ask, Litestar adds to each answer
        app.fast_paths = FastPaths(app, pipeline)


@dataclass(frozen=True)
class _Traced:
    """The traces, Litestar's middleware for the ordinary lane, and what is called at the start and at the end."""

    tracing: "Tracing | None" = None
    middleware: tuple[Callable[[ASGIApp], ASGIApp], ...] = ()
    starts: tuple[Callable[[], None], ...] = ()
    stops: tuple[Callable[[], None], ...] = ()


def _traced(limits: ServiceSettings, metrics: Metrics, worker: Worker) -> _Traced:
    """The traces; without a collector none, and nothing of OpenTelemetry is imported."""
    if not limits.otel_endpoint:
        return _Traced()
    from churn_api.http.traced import traced  # noqa: PLC0415
    from churn_api.telemetry.spans import Tracing  # noqa: PLC0415

    tracing = Tracing(limits.otel_endpoint, limits.otel_share, worker.number, metrics)
    return _Traced(tracing, (traced(tracing),), (tracing.start,), (tracing.stop,))


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


def _look(watch: DatabaseWatch, metrics: Metrics) -> None:
    if watch.look():
        metrics.database_replaced.inc()
        say("database_replaced", logging.ERROR)


async def _follow_clock(clock: FollowedClock, every_s: float, metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await asyncio.to_thread(clock.follow)
        except (InputError, OSError) as error:
            _counted(metrics, "clock")(error)


def _counted(metrics: Metrics, what: str) -> Callable[[BaseException], None]:
    def count(_: BaseException) -> None:
        metrics.refresh_failures.labels(what).inc()

    return count


def _already_noted(_: BaseException) -> None:
    """The poller counts and shows its own failures."""
