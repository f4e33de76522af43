"""Read-only connections to a company's PostgreSQL, and the messages for their errors.

Belongs here: addresses, transactions and errors of the server. Does not belong here: the queries (``query``).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from churn_assets.settings.postgres import PostgresSettings
from churn_store.errors import ChurnError, InputError, SourceAwayError

EXPECTED = (
    "expected one like postgresql://reader:password@db.example:5432/shop, with letters such as @ and / in the password written "
    "as %40 and %2F"
)

PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
"""Timeouts of libpq by which a vanished server is noticed within about 15 s."""

TELLING = ("0A", "25", "28", "3D", "3F", "42")
"""Prefixes of SQLSTATE whose message may be shown: it is about the statement or about rights. Other messages quote values or are
written by a function (``RAISE``), and may contain a customer's data."""

AWAY = ("08", "53", "57P", "40", "58")
"""Prefixes of SQLSTATE for transient errors: connection, resources, shutdown, conflict with recovery, system."""

TIMED_OUT = "57014"
NOT_READY = (
    "starting up",
    "shutting down",
    "recovery mode",
    "too many clients",
    "remaining connection slots",
    "too many connections",
)
"""Messages of a server that answers but is not ready: libpq reports no SQLSTATE for a failed connection, so the text is matched."""


def parts(settings: PostgresSettings) -> dict[str, str]:
    """The address as libpq's parameters.

    Raises:
        InputError: if no address is set, or it is malformed; it is not shown, as it may hold a password.
    """
    url = settings.url.get_secret_value()
    if not url:
        raise InputError(f"source.url is not set; {EXPECTED}. Write it in churn.yaml, or set CHURN_SOURCE__URL")
    try:
        address = {name: str(value) for name, value in conninfo_to_dict(re.sub(r"^(\w+)\+\w+://", r"\1://", url)).items()}
    except psycopg.Error:
        address = {"host": "@"}
    shown = address.get("host", "") + address.get("dbname", "")
    if "@" in shown or "//" in shown or not re.fullmatch(r"[\d,]*", address.get("port", "")):
        # Text in the wrong part may be a piece of the password.
        raise InputError(
            f"source.url is no address of a PostgreSQL; {EXPECTED}. Change it in churn.yaml or CHURN_SOURCE__URL"
        )
    return address


def server(settings: PostgresSettings) -> str:
    """Host, port and name of the database, without user and password."""
    address = parts(settings)
    return f"{address.get('host', 'localhost')}:{address.get('port', '5432')}/{address.get('dbname', '')}"


@contextmanager
def reading(settings: PostgresSettings, *, where: str) -> Iterator[psycopg.Connection]:
    """A read-only transaction that sees the database as it is at its start.

    Args:
        settings: connection settings of the server.
        where: name of the table or file, with which every error message begins.

    Raises:
        InputError: if the server refuses the user, the database or the query.
        SourceAwayError: if it does not answer, or went away.
    """
    address = parts(settings)
    try:
        connection = psycopg.connect(**{**PATIENCE, **address})  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        raise _refused(error, f"{where}: the PostgreSQL at {server(settings)}") from None
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection:
            for name, value in (
                ("statement_timeout", f"{settings.statement_timeout_s}s"),
                ("TimeZone", "UTC"),
                ("DateStyle", "ISO, YMD"),
            ):
                connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            # For the session, so that a query that ends this transaction still can't write. The rollback undoes it, so that it does
            # not stay in a connection that a pool lends to others.
            connection.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
            yield connection
            connection.rollback()
    except psycopg.Error as error:
        raise _failed(error, where, settings) from None
    finally:
        connection.close()


def _refused(error: psycopg.OperationalError, which: str) -> ChurnError:
    _, fatal, message = str(error).partition("FATAL:")
    reason = message.strip().splitlines()[0] if fatal and message.strip() else ""
    if reason and not any(words in reason for words in NOT_READY):
        return InputError(
            f"{which} refuses the connection ({reason}); expected a user who may read there. Change source.url or "
            "CHURN_SOURCE__URL, or let the user in"
        )
    return SourceAwayError(
        f"{which} does not answer{f' ({reason})' if reason else ''}; expected it to be up. Start it, or change source.url"
    )


def _failed(error: psycopg.Error, where: str, settings: PostgresSettings) -> ChurnError:
    state = error.sqlstate or ""
    if state == TIMED_OUT:
        return InputError(
            f"{where}: the query took longer than {settings.statement_timeout_s} s; expected it to be done by then. "
            "Index the columns of `occurred` and `known`, or raise source.statement_timeout_s"
        )
    if state.startswith(AWAY) or (not state and isinstance(error, psycopg.OperationalError)):
        return SourceAwayError(
            f"{where}: the PostgreSQL at {server(settings)} went away while it was read ({type(error).__name__}); "
            "nothing was kept of it. Try again when it is back"
        )
    message = f": {(error.diag.message_primary or '').strip()}" if state.startswith(TELLING) else ""
    return InputError(
        f"{where} can't be read ({type(error).__name__}{message}); expected a table or a query that the user may read. "
        "Change `table` or `query` in churn.yaml, or grant SELECT"
    )
