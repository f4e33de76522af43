"""`churn serve`: the service as a process of its own, under uvicorn.

Belongs here: the socket, the server's options, and the log line at the start. Does not belong here: the service
(``churn_api.app``).
"""

import gc
import logging
import resource
from typing import Final

import uvicorn
from litestar import Litestar

from churn_api.app import create_app
from churn_api.http.crowd import Crowd
from churn_api.http.edge import ServiceApp
from churn_api.http.middleware import PipelineParts
from churn_api.http.protocol import PatientProtocol
from churn_api.settings import ServiceConfig, ServiceSettings
from churn_api.telemetry.json_log import log_to, say
from churn_api.telemetry.line_writer import LineWriter
from churn_api.workers.sockets import address_of, listen, share
from churn_api.workers.supervisor import longest_end_s
from churn_api.workers.worker import Worker
from churn_store.private_files import keep_private

OTHER_FILES: Final = 256
"""File descriptors that are kept free for databases, the spool and release files."""


def run(settings: ServiceConfig, worker: Worker = Worker()) -> None:  # noqa: B008 - frozen
    """Serve until the process is asked to end; before it ends, open requests are answered and logged predictions shipped.

    Args:
        settings: settings of the service.
        worker: which of several workers this process is; default: the only one.

    Raises:
        InputError: if the address is taken, the database has another schema, or there is no usable key.
    """
    writer = LineWriter(is_shared=worker.is_one_of_several)
    log_to(writer, worker=worker.number if worker.is_one_of_several else None)
    worker.end_with_the_supervisor(longest_end_s(settings.service))
    try:
        keep_private(settings.home)
        app = create_app(settings, writer=writer, worker=worker)
        app.on_startup.append(_settle_memory)
        if worker.port is None:
            socket = listen(settings.service)
            say("listening", address=address_of(socket))
        else:
            socket = share(settings.service, worker.port)
            app.on_startup.append(worker.ready)
        uvicorn.Server(uvicorn_config(app, settings.service)).run(sockets=[socket])
    finally:
        writer.close()


def application() -> ServiceApp:
    """The service for another ASGI server than uvicorn, which then has to bound what a connection may hold.

    Raises:
        InputError: as ``run`` does.
    """
    writer = LineWriter()
    log_to(writer)
    settings = ServiceConfig.load()
    keep_private(settings.home)
    app = create_app(settings, writer=writer)
    app.on_startup.append(_settle_memory)
    return app


def uvicorn_config(app: Litestar, limits: ServiceSettings) -> uvicorn.Config:
    """Options of uvicorn: this process alone, no log lines or headers of uvicorn's own."""
    return uvicorn.Config(
        app,
        http=_protocol(app, limits),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=limits.shutdown_s,
    )


def _settle_memory() -> None:
    """Collect garbage less often, and exclude the objects of the start, which live as long as the process.

    Without this, a full collection every few seconds of load delays every request by about 100 ms, and the small collections
    cost 3 % of the CPU (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _protocol(app: Litestar, limits: ServiceSettings) -> type[PatientProtocol]:
    pipeline: PipelineParts | None = app.state.get("pipeline")

    class Protocol(PatientProtocol):
        request_s = limits.request_s
        write_s = limits.write_s
        crowd = Crowd(_connections(limits.connections))

    if pipeline is None:
        return Protocol
    note_unmatched, connections_cut = pipeline.note_unmatched, pipeline.metrics.connections_cut

    class CountedProtocol(Protocol):
        def note_refusal(self, address: str, status: int) -> None:
            note_unmatched(address, status)

        def note_cut(self, reason: str) -> None:
            connections_cut.labels(reason).inc()

    return CountedProtocol


def _connections(wanted: int) -> int:
    """The most connections at once for which this process may have file descriptors; raises its own limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    fewer = max(soft - OTHER_FILES, soft // 2)
    say("fewer_connections", logging.WARNING, connections=fewer, wanted=wanted, open_files=soft)
    return fewer
