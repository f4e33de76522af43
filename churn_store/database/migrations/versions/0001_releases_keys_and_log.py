"""Releases, blessings, the prediction log and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "releases",
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("champion", sa.String(64), nullable=False),
        sa.Column("challenger", sa.String(64)),
        sa.Column("challenger_share", sa.Float, nullable=False, server_default="0"),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("published_s", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "blessings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("candidate", sa.String(64), nullable=False, index=True),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("decided_s", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "prediction_log",
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
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_s", sa.BigInteger, nullable=False),
        sa.Column("expires_s", sa.BigInteger),
        sa.Column("revoked_s", sa.BigInteger),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("api_keys", "prediction_log", "blessings", "releases"):
        op.drop_table(table)
