"""The schema of the serving database: releases, verdicts, API keys and the prediction log.

It is SQLite (write-ahead log) when embedded, PostgreSQL in production. Only the migrations next to this module, applied by
``churn migrate``, create tables.
"""

import sqlite3
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event

REVISION = "0002"
"""The newest migration: the schema that this code expects."""

metadata = sa.MetaData()

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("champion", sa.String(64), nullable=False),
    sa.Column("challenger", sa.String(64)),
    sa.Column("challenger_share", sa.Float, nullable=False, server_default="0"),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("published_s", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False, server_default="released"),
    sa.Column("gain", sa.Float),
)
"""Releases, append-only: the row with the greatest epoch says which release serves. The primary key fences a second writer."""

blessings = sa.Table(
    "blessings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.String(64), nullable=False, index=True),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("decided_s", sa.BigInteger, nullable=False),
    sa.Column("rules", sa.JSON),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("gain", sa.Float),
    sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
)
"""Verdicts on candidates by digest, append-only; ``reasons`` are the rules in words, for people."""

prediction_log = sa.Table(
    "prediction_log",
    metadata,
    sa.Column("request_id", sa.String(64), primary_key=True),
    sa.Column("item", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("answered_s", sa.Float, nullable=False, index=True),
    sa.Column("customer_id", sa.String(256), index=True),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("churn", sa.Boolean, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("snapshot_s", sa.BigInteger),
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("latency_us", sa.Integer, nullable=False),
    sa.Column("key_id", sa.String(32)),
)
"""One row per answered prediction; ``item`` counts within a batch. The primary key lets a second shipment of a spool add nothing."""

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("secret_sha256", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_s", sa.BigInteger, nullable=False),
    sa.Column("expires_s", sa.BigInteger),
    sa.Column("revoked_s", sa.BigInteger),
)
"""API keys. They are random and long, so a plain sha256 of the secret is enough; the secret itself is never stored."""


_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}


def connect(url: str) -> sa.Engine:
    """An engine for the serving database.

    ``postgresql://`` uses psycopg 3, and notices within about 15 s that the server vanished. SQLite gets a write-ahead log and
    waits up to 10 s for a lock. Its file must exist (``churn migrate`` makes it), so that a database that is away is not taken for
    an empty one. Errors do not list a statement's parameters, which are customer data. PostgreSQL's own messages may still quote a
    row, so log an error's type and not its text.
    """
    address = sa.make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=_PATIENCE)
    engine = sa.create_engine(address, hide_parameters=True, creator=lambda: _open_sqlite(address))

    @event.listens_for(engine, "connect")
    def _tune(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _open_sqlite(address: sa.URL) -> sqlite3.Connection:
    file = f"file:{quote(address.database)}?mode=rw" if address.database else ":memory:"
    return sqlite3.connect(file, uri=True, timeout=10, check_same_thread=False)
