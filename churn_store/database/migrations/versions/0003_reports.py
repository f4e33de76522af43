"""Pages for people that the graph publishes, by digest.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXED = ("name", "digest", "drawing")


def upgrade() -> None:
    """Make the table and its indexes."""
    there = sa.inspect(op.get_bind())
    if not there.has_table("reports"):
        op.create_table(
            "reports",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(20), nullable=False),
            sa.Column("title", sa.Text, nullable=False),
            sa.Column("verdict", sa.Text, nullable=False),
            sa.Column("snapshot", sa.String(20)),
            sa.Column("release", sa.String(64)),
            sa.Column("digest", sa.String(64), nullable=False),
            sa.Column("size", sa.BigInteger, nullable=False),
            sa.Column("drawing", sa.String(64)),
            sa.Column("drawing_size", sa.BigInteger, nullable=False),
            sa.Column("created_s", sa.BigInteger, nullable=False),
        )
    indexes = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("reports")}
    for column in INDEXED:
        if f"ix_reports_{column}" not in indexes:
            op.create_index(f"ix_reports_{column}", "reports", [column])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("reports")
