"""Alembic's entry: the connection is handed over by lab/database.py."""

from alembic import context

from lab.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
