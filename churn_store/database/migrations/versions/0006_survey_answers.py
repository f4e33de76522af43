"""Answers of customers to surveys.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and its index."""
    if not sa.inspect(op.get_bind()).has_table("survey_answers"):
        op.create_table(
            "survey_answers",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("customer_id", sa.String(256), nullable=False),
            sa.Column("survey", sa.String(100), nullable=False),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("answers", sa.JSON, nullable=False),
            sa.Column("answered_s", sa.BigInteger, nullable=False),
            sa.Column("received_s", sa.Float, nullable=False),
            sa.Column("idempotency_key", sa.String(200), nullable=False),
            sa.Column("digest", sa.String(64), nullable=False),
            sa.Column("key_id", sa.String(32), nullable=False),
            sa.Column("request_id", sa.String(64), nullable=False),
            sa.UniqueConstraint("customer_id", "survey", "version", name="uq_survey_answers_version"),
            sa.UniqueConstraint("key_id", "idempotency_key", name="uq_survey_answers_key"),
        )
    indexes = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("survey_answers")}
    if "ix_survey_answers_received_s" not in indexes:
        op.create_index("ix_survey_answers_received_s", "survey_answers", ["received_s"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("survey_answers")
