"""Treatments, alerts, and the baselines that were pinned.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = {
    "treatments": {"ix_treatments_received_s": ["received_s"], "ix_treatments_assigned_s": ["assigned_s"]},
    "alerts": {"ix_alerts_closed_s": ["closed_s"]},
    "baselines": {"ix_baselines_release": ["release"]},
}


def upgrade() -> None:
    """Add the tables and their indexes."""
    there = sa.inspect(op.get_bind())
    if not there.has_table("treatments"):
        op.create_table(
            "treatments",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("customer_id", sa.String(256), nullable=False),
            sa.Column("assigned_s", sa.BigInteger, nullable=False),
            sa.Column("channel", sa.String(60), nullable=False),
            sa.Column("offer", sa.String(100), nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("treated", sa.Boolean, nullable=False),
            sa.Column("propensity", sa.Float),
            sa.Column("received_s", sa.Float, nullable=False),
            sa.Column("key_id", sa.String(32), nullable=False),
            sa.Column("request_id", sa.String(64), nullable=False),
            sa.UniqueConstraint("customer_id", "assigned_s", "channel", "offer", "version", name="uq_treatments_version"),
        )
    if not there.has_table("treatment_keys"):
        op.create_table(
            "treatment_keys",
            sa.Column("key_id", sa.String(32), primary_key=True),
            sa.Column("idempotency_key", sa.String(210), primary_key=True),
            sa.Column("digest", sa.String(64), nullable=False),
            sa.Column("answer", sa.JSON, nullable=False),
            sa.Column("received_s", sa.Float, nullable=False),
        )
    if not there.has_table("alerts"):
        op.create_table(
            "alerts",
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
            sa.Column("closed_s", sa.BigInteger),
            sa.Column("closed_because", sa.Text, nullable=False, server_default=sa.text("''")),
            sa.UniqueConstraint("cause", "occurrence", name="uq_alerts_occurrence"),
        )
    if not there.has_table("baselines"):
        op.create_table(
            "baselines",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("release", sa.String(64), nullable=False),
            sa.Column("baseline", sa.String(64), nullable=False),
            sa.Column("actor", sa.String(200), nullable=False),
            sa.Column("reason", sa.Text, nullable=False),
            sa.Column("pinned_s", sa.BigInteger, nullable=False),
        )
    for table, indexes in INDEXES.items():
        known = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
        for name, columns in indexes.items():
            if name not in known:
                op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop them."""
    for table in ("baselines", "alerts", "treatment_keys", "treatments"):
        op.drop_table(table)
