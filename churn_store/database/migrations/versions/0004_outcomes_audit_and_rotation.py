"""Outcomes, the audit, and a second secret and the last use of API keys.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OF_KEYS = (
    sa.Column("former_sha256", sa.String(64)),
    sa.Column("former_until_s", sa.BigInteger),
    sa.Column("rotated_s", sa.BigInteger),
    sa.Column("last_used_s", sa.BigInteger),
)

INDEXED = (("outcomes", "received_s"), ("audit_log", "at_s"), ("audit_log", "key_id"))


def upgrade() -> None:
    """Add the columns, the tables and their indexes."""
    there = sa.inspect(op.get_bind())
    names = {column["name"] for column in there.get_columns("api_keys")}
    for column in OF_KEYS:
        if column.name not in names:
            op.add_column("api_keys", column.copy())
    for table, parts in _tables().items():
        if not there.has_table(table):
            op.create_table(table, *parts)
    for table, name in INDEXED:
        indexes = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
        if f"ix_{table}_{name}" not in indexes:
            op.create_index(f"ix_{table}_{name}", table, [name])


def downgrade() -> None:
    """Drop them."""
    for table in _tables():
        op.drop_table(table)
    for column in OF_KEYS:
        op.drop_column("api_keys", column.name)


def _tables() -> dict[str, tuple[SchemaItem, ...]]:
    return {
        "outcomes": (
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("customer_id", sa.String(256), nullable=False),
            sa.Column("snapshot_s", sa.BigInteger, nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("churned", sa.Boolean, nullable=False),
            sa.Column("occurred_s", sa.BigInteger),
            sa.Column("received_s", sa.Float, nullable=False),
            sa.Column("key_id", sa.String(32), nullable=False),
            sa.Column("request_id", sa.String(64), nullable=False),
            sa.UniqueConstraint("customer_id", "snapshot_s", "version", name="uq_outcomes_version"),
        ),
        "outcome_keys": (
            sa.Column("key_id", sa.String(32), primary_key=True),
            sa.Column("idempotency_key", sa.String(210), primary_key=True),
            sa.Column("digest", sa.String(64), nullable=False),
            sa.Column("answer", sa.JSON, nullable=False),
            sa.Column("received_s", sa.Float, nullable=False),
        ),
        "audit_log": (
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("at_s", sa.Float, nullable=False),
            sa.Column("what", sa.String(20), nullable=False),
            sa.Column("key_id", sa.String(32)),
            sa.Column("name", sa.String(200)),
            sa.Column("address", sa.String(64), nullable=False),
            sa.Column("method", sa.String(10)),
            sa.Column("route", sa.String(200)),
            sa.Column("status", sa.Integer),
            sa.Column("reason", sa.String(20)),
            sa.Column("requests", sa.Integer, nullable=False, server_default="1"),
            sa.Column("request_id", sa.String(64)),
        ),
    }
