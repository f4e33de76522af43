"""Experiments, what was decided about them, and the arm of each prediction.

What is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OF_PREDICTIONS = (
    sa.Column("experiment", sa.String(60)),
    sa.Column("arm", sa.String(20)),
    sa.Column("unit", sa.String(64)),
)

INDEX = "ix_prediction_log_experiment"


def upgrade() -> None:
    """Add the columns, the tables and the index."""
    there = sa.inspect(op.get_bind())
    names = {column["name"] for column in there.get_columns("prediction_log")}
    for column in OF_PREDICTIONS:
        if column.name not in names:
            op.add_column("prediction_log", column.copy())
    for table, parts in _tables().items():
        if not there.has_table(table):
            op.create_table(table, *parts)
    if INDEX not in {index["name"] for index in there.get_indexes("prediction_log")}:
        only = sa.text("experiment IS NOT NULL")
        op.create_index(INDEX, "prediction_log", ["experiment"], sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    """Drop them."""
    op.drop_index(INDEX, "prediction_log")
    for table in _tables():
        op.drop_table(table)
    for column in OF_PREDICTIONS:
        op.drop_column("prediction_log", column.name)


def _tables() -> dict[str, tuple[SchemaItem, ...]]:
    return {
        "experiments": (
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
        ),
        "experiment_events": (
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
        ),
    }
