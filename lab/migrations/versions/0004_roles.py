"""What each person may do, and which persons are one. Whoever was there before had this machine to themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("persons", sa.Column("role", sa.Text, nullable=False, server_default="admin"))
    # SQLite adds a reference only with the column itself
    op.execute("ALTER TABLE persons ADD COLUMN merged_into TEXT REFERENCES persons (id)")
