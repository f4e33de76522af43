"""What happened at each release and what it gained; verdicts that can be read back whole.

A step that is there already is left out, as SQLite keeps what a migration did before it was killed.
"""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDED = {
    "releases": (
        sa.Column("kind", sa.String(20), nullable=False, server_default="released"),
        sa.Column("gain", sa.Float),
    ),
    "blessings": (
        sa.Column("rules", sa.JSON),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("gain", sa.Float),
        sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")),
    ),
}

REASON = re.compile(r"(?P<name>[^:]+): (?P<passed>passed|FAILED): found (?P<found>.*), allowed (?P<allowed>.*)", re.DOTALL)
"""How revision 0001 kept a rule in words."""


def upgrade() -> None:
    """Add the columns; the rules of older verdicts are read from their words."""
    there = sa.inspect(op.get_bind())
    for table, columns in ADDED.items():
        names = {column["name"] for column in there.get_columns(table)}
        for column in columns:
            if column.name not in names:
                op.add_column(table, column.copy())
    _read_rules()


def downgrade() -> None:
    """Drop them."""
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)


def _read_rules() -> None:
    blessings = sa.table(
        "blessings", sa.column("id", sa.Integer), sa.column("reasons", sa.JSON), sa.column("rules", sa.JSON)
    )
    connection = op.get_bind()
    older = connection.execute(sa.select(blessings.c.id, blessings.c.reasons).where(sa.text("rules IS NULL"))).all()
    for id_, reasons in older:
        connection.execute(blessings.update().where(blessings.c.id == id_).values(rules=_rules(reasons)))


def _rules(reasons: object) -> list[dict[str, object]]:
    """The rules, or none where they can't all be read: no release is ever made of a verdict by no rule."""
    said = json.loads(reasons) if isinstance(reasons, str) else reasons
    matched = [REASON.fullmatch(str(reason)) for reason in said] if isinstance(said, list) else []
    found = [match.groupdict() for match in matched if match is not None]
    if len(found) != len(matched):
        return []
    return [{**rule, "passed": rule["passed"] == "passed"} for rule in found]
