"""How Alembic reaches the database: over the connection that ``churn_store.database.migrate`` holds."""

from alembic import context

from churn_store.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
