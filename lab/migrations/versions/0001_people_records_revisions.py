"""People, records and their revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "persons",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.UniqueConstraint("issuer", "subject"),
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, sa.ForeignKey("persons.id"), nullable=False),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("graph", sa.Text),
        sa.Column("node", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("basis", sa.Text),
        sa.Column("layer", sa.Integer),
        sa.Column("feature", sa.Integer),
        sa.Column("created", TIME, nullable=False),
        sa.Column("deleted", TIME),
        sa.Column("deleted_by", sa.Text, sa.ForeignKey("persons.id")),
    )
    op.create_index("records_of_graph", "records", ["graph"])
    op.create_index("records_of_feature", "records", ["model", "basis", "layer", "feature"])
    op.create_table(
        "revisions",
        sa.Column("record_id", sa.Text, sa.ForeignKey("records.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("author_id", sa.Text, sa.ForeignKey("persons.id"), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("body", sa.Text),
    )
    op.create_table(
        "purges",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("purged", TIME, nullable=False),
    )
