"""Frozen versions of hypotheses."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "freezes",
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("author_id", sa.Text, sa.ForeignKey("persons.id"), nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_id", "number"], ["revisions.record_id", "revisions.number"]),
        sa.UniqueConstraint("record_id", "previous"),
    )
