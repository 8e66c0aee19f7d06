"""Runs of hypotheses: which version each belongs to, and the figures of its prompts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("hypothesis", sa.Text))
    op.create_index("records_of_hypothesis", "records", ["hypothesis"])
    op.create_table(
        "figures",
        sa.Column("run_id", sa.Text, sa.ForeignKey("records.id"), primary_key=True),
        sa.Column("part", sa.Text, primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text),
    )
