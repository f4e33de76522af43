"""The port: taken by one process, or held by a supervisor and shared by its workers.

Several sockets on one port (SO_REUSEPORT) are a group of one user's processes: the kernel gives each new connection to one of those that
listen. Alone, that option would let a second service on the same port pass for a part of the first.
"""

import socket
from typing import Final

from churn_api.settings import ServiceSettings
from churn_store.errors import InputError

BACKLOG: Final = 2048


def listen(limits: ServiceSettings) -> socket.socket:
    """A socket of the only worker, which listens.

    Raises:
        InputError: if the port can't be had.
    """
    listening = _bound(limits, limits.port)
    try:
        listening.listen(BACKLOG)
    except OSError as error:
        raise _refused(limits, listening, error) from error
    listening.set_inheritable(True)
    return listening


def hold(limits: ServiceSettings) -> socket.socket:
    """A socket that keeps the port for a group of workers, without taking a connection itself.

    The options are changed once it is bound: nobody else could bind to the port before, and after it only those who share it can.

    Raises:
        InputError: if the port can't be had.
    """
    holder = _bound(limits, limits.port)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return holder


def share(limits: ServiceSettings, port: int) -> socket.socket:
    """A worker's socket on a port that is held for it. It listens from the end of the worker's start on, when it can answer.

    Raises:
        InputError: if the port can't be had.
    """
    return _bound(limits, port, is_shared=True)


def address_of(bound: socket.socket) -> str:
    """Address of a service, for people."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _bound(limits: ServiceSettings, port: int, *, is_shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((limits.host, port))
    except OSError as error:
        raise _refused(limits, bound, error) from error
    return bound


def _refused(limits: ServiceSettings, bound: socket.socket, error: OSError) -> InputError:
    bound.close()
    return InputError(
        f"can't listen on {limits.host} port {limits.port}: {error.strerror}; stop what listens there, or set "
        "service.host and service.port in churn.yaml"
    )
