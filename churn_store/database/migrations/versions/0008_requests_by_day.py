"""How many requests for predictions were answered on each day, and how many of them failed.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    if not sa.inspect(op.get_bind()).has_table("request_days"):
        op.create_table(
            "request_days",
            sa.Column("day_s", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("requests", sa.BigInteger, nullable=False),
            sa.Column("refused", sa.BigInteger, nullable=False),
            sa.Column("failed", sa.BigInteger, nullable=False),
        )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("request_days")
