"""`churn serve`: the service as a process of its own, under uvicorn.

Belongs here: the socket, the server's options, and the log line at the start. Does not belong here: the service
(``churn_api.app``).
"""

import gc
import socket

import uvicorn
from litestar import Litestar

from churn_api.app import create_app
from churn_api.http.protocol import PatientProtocol
from churn_api.settings import ServiceConfig, ServiceSettings
from churn_api.telemetry.json_log import log_to_stdout, say
from churn_store.errors import InputError

BACKLOG = 2048


def run(settings: ServiceConfig) -> None:
    """Serve until the process is asked to end; before it ends, open requests are answered and logged predictions shipped.

    Raises:
        InputError: if the address is taken, the database has another schema, or there is no usable key.
    """
    log_to_stdout()
    app = create_app(settings)
    app.on_startup.append(_settle_memory)
    listening = _listen(settings.service)
    host, port = listening.getsockname()[:2]
    say("listening", address=f"http://{f'[{host}]' if ':' in host else host}:{port}")
    uvicorn.Server(uvicorn_config(app, settings.service)).run(sockets=[listening])


def uvicorn_config(app: Litestar, limits: ServiceSettings) -> uvicorn.Config:
    """Options of uvicorn: one worker, no log lines or headers of uvicorn's own."""
    return uvicorn.Config(
        app,
        http=_protocol(limits.request_s),
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


def _protocol(patience_s: float) -> type[PatientProtocol]:
    class Protocol(PatientProtocol):
        request_s = patience_s

    return Protocol


def _listen(limits: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((limits.host, limits.port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"can't listen on {limits.host} port {limits.port}: {error.strerror}; stop what listens there, or set "
            "service.host and service.port in churn.yaml"
        ) from error
    listening.listen(BACKLOG)
    listening.set_inheritable(True)
    return listening
