"""The schema of the serving database: releases, verdicts, predictions, outcomes, surveys, experiments, API keys and their audit, reports.

It is SQLite (write-ahead log) when embedded, PostgreSQL in production. Only the migrations next to this module, applied by
``churn migrate``, create tables.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from churn_store.database.guarded_file import open_file
from churn_store.errors import InputError

REVISION = "0008"
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
    sa.Column("experiment", sa.String(60)),
    sa.Column("arm", sa.String(20)),
    sa.Column("unit", sa.String(64)),
)
"""One row per answered prediction; ``item`` counts within a batch. The primary key lets a second shipment of a spool add nothing.

``experiment`` and ``arm`` are null outside of an experiment. ``unit`` is a digest of what was assigned, null where that is the customer.
"""

sa.Index(
    "ix_prediction_log_experiment",
    prediction_log.c.experiment,
    sqlite_where=prediction_log.c.experiment.is_not(None),
    postgresql_where=prediction_log.c.experiment.is_not(None),
)

request_days = sa.Table(
    "request_days",
    metadata,
    sa.Column("day_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
)
"""Requests for predictions that were answered on a day (UTC, by the platform's clock), added to by every worker.

Of them ``refused`` were answered with 4xx, ``failed`` with 5xx. The prediction log has only those that brought a prediction.
"""

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
    sa.Column("former_sha256", sa.String(64)),
    sa.Column("former_until_s", sa.BigInteger),
    sa.Column("rotated_s", sa.BigInteger),
    sa.Column("last_used_s", sa.BigInteger),
)
"""API keys. They are random and long, so a plain sha256 of the secret is enough; the secret itself is never stored.

A rotated key has a second secret until ``former_until_s``. ``last_used_s`` is exact to the minute. Times are the wall clock's.
"""

NO_SNAPSHOT = -1
"""Snapshot of an outcome that names none: null would not take part in the unique constraint."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.String(256), nullable=False),
    sa.Column("snapshot_s", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("churned", sa.Boolean, nullable=False),
    sa.Column("occurred_s", sa.BigInteger),
    sa.Column("received_s", sa.Float, nullable=False, index=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("customer_id", "snapshot_s", "version", name="uq_outcomes_version"),
)
"""What became of customers, append-only: of a customer and snapshot the greatest version counts. Times are the platform's."""

outcome_keys = sa.Table(
    "outcome_keys",
    metadata,
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("idempotency_key", sa.String(210), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("answer", sa.JSON, nullable=False),
    sa.Column("received_s", sa.Float, nullable=False),
)
"""Idempotency keys of requests and of single outcomes, by API key, with a digest of what they named and what became of it."""

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("subject", sa.String(20), nullable=False),
    sa.Column("control", sa.String(64)),
    sa.Column("challenger", sa.String(64)),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("unit", sa.String(80), nullable=False),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("metric", sa.String(20), nullable=False),
    sa.Column("horizon_days", sa.Integer, nullable=False),
    sa.Column("guard_rails", sa.JSON, nullable=False),
    sa.Column("effect", sa.Float, nullable=False),
    sa.Column("deviation", sa.Float, nullable=False),
    sa.Column("power", sa.Float, nullable=False),
    sa.Column("alpha", sa.Float, nullable=False),
    sa.Column("planned_size", sa.BigInteger, nullable=False),
    sa.Column("minimum_size", sa.BigInteger, nullable=False),
    sa.Column("profit", sa.JSON),
)
"""Experiments as they were planned; a row is never changed."""

experiment_events = sa.Table(
    "experiment_events",
    metadata,
    sa.Column("experiment", sa.String(60), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at_s", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger),
    sa.Column("found", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("turn", sa.BigInteger),
    sa.UniqueConstraint("turn", name="uq_experiment_events_turn"),
)
"""What was decided about experiments, append-only: created, started, stopped, promoted, result kept; by whom and why.

``number`` counts within an experiment and fences a second writer. ``turn`` counts all starts and fences a second start: one experiment runs at
a time. ``epoch`` is the row of ``releases`` that the event made. ``found`` is what the results said at that moment: words, and the
whole result as JSON where it is kept.
"""

survey_answers = sa.Table(
    "survey_answers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.String(256), nullable=False),
    sa.Column("survey", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("answers", sa.JSON, nullable=False),
    sa.Column("answered_s", sa.BigInteger, nullable=False),
    sa.Column("received_s", sa.Float, nullable=False, index=True),
    sa.Column("idempotency_key", sa.String(200), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("customer_id", "survey", "version", name="uq_survey_answers_version"),
    sa.UniqueConstraint("key_id", "idempotency_key", name="uq_survey_answers_key"),
)
"""What customers answered to surveys, append-only: evidence for features, dated by when it was answered and when it became known.

Of a customer and survey the greatest version counts. Nothing here is a label: what became of a customer is in ``outcomes``.
"""

treatments = sa.Table(
    "treatments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.String(256), nullable=False),
    sa.Column("assigned_s", sa.BigInteger, nullable=False, index=True),
    sa.Column("channel", sa.String(60), nullable=False),
    sa.Column("offer", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("treated", sa.Boolean, nullable=False),
    sa.Column("propensity", sa.Float),
    sa.Column("received_s", sa.Float, nullable=False, index=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("customer_id", "assigned_s", "channel", "offer", "version", name="uq_treatments_version"),
)
"""Who was treated and who was held out, append-only: of a customer, time, channel and offer the greatest version counts.

``treated`` is false for who was on the list and was left alone on purpose. ``propensity`` is the probability with which the customer
would be treated; null where it is not known. Channel and offer of who was held out are those that the others got; empty where not known.
"""

treatment_keys = sa.Table(
    "treatment_keys",
    metadata,
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("idempotency_key", sa.String(210), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("answer", sa.JSON, nullable=False),
    sa.Column("received_s", sa.Float, nullable=False),
)
"""Idempotency keys of treatments, as ``outcome_keys`` has those of outcomes."""

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cause", sa.String(200), nullable=False),
    sa.Column("occurrence", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("snapshot", sa.String(20)),
    sa.Column("release", sa.String(64)),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("first_s", sa.BigInteger, nullable=False),
    sa.Column("last_s", sa.BigInteger, nullable=False),
    sa.Column("closed_s", sa.BigInteger, index=True),
    sa.Column("closed_because", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.UniqueConstraint("cause", "occurrence", name="uq_alerts_occurrence"),
)
"""What people must hear of: one row for each time that a cause began, open until ``closed_s``. Times are the platform's."""

baselines = sa.Table(
    "baselines",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("release", sa.String(64), nullable=False, index=True),
    sa.Column("baseline", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("pinned_s", sa.BigInteger, nullable=False),
)
"""Baselines of drift that people pinned, append-only: of a serving release the row with the greatest id counts.

``baseline`` is the digest of the release whose reference counts in place of its own.
"""

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_s", sa.Float, nullable=False, index=True),
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("key_id", sa.String(32), index=True),
    sa.Column("name", sa.String(200)),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("method", sa.String(10)),
    sa.Column("route", sa.String(200)),
    sa.Column("status", sa.Integer),
    sa.Column("reason", sa.String(20)),
    sa.Column("requests", sa.Integer, nullable=False, server_default="1"),
    sa.Column("request_id", sa.String(64)),
)
"""Calls that change something, and refusals. ``what``: change, refused, limited or stranger; the last two are counts. By the wall clock."""

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20), nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("snapshot", sa.String(20)),
    sa.Column("release", sa.String(64)),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("drawing", sa.String(64), index=True),
    sa.Column("drawing_size", sa.BigInteger, nullable=False),
    sa.Column("created_s", sa.BigInteger, nullable=False),
)
"""Pages for people by digest, append-only: of each name the row with the greatest id is the newest."""


_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}


def connect(url: str) -> sa.Engine:
    """An engine for the serving database.

    ``postgresql://`` uses psycopg 3, and notices within about 15 s that the server vanished. SQLite gets a write-ahead log, waits up to
    10 s for a lock, and is opened anew for each piece of work (``guarded_file``). Its file must exist (``churn migrate`` makes it), so
    that a database that is away is not taken for an empty one. Errors do not list a statement's parameters, which are customer data. PostgreSQL's own messages may still quote a
    row, so log an error's type and not its text.
    """
    address = sa.make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        engine = sa.create_engine(address, pool_pre_ping=True, hide_parameters=True, connect_args=_PATIENCE)
    elif not address.database:
        engine = sa.create_engine(address, hide_parameters=True)
    else:
        file = address.database
        engine = sa.create_engine(address, hide_parameters=True, poolclass=NullPool, creator=lambda: open_file(file))
    event.listen(engine, "before_cursor_execute", _refuse_nul)
    return engine


def _refuse_nul(_connection: Any, _cursor: Any, _statement: str, parameters: Any, *_: Any) -> None:
    """Refuse a text with U+0000, which PostgreSQL can't keep and SQLite would cut off in some of its functions.

    Raises:
        InputError: if a parameter is such a text; it is not quoted, as it may be a customer's.
    """
    for row in parameters if isinstance(parameters, list) else [parameters]:
        for value in row.values() if isinstance(row, dict) else row:
            if isinstance(value, str) and "\0" in value:
                raise InputError(
                    "a text for the database holds U+0000, which is no text; write it without, or look for what cut it off"
                )
