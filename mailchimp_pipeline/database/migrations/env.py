"""The script that alembic runs for each command: run the migrations on the given connection."""

from alembic import context

from mailchimp_pipeline.database.migrations import VERSION_TABLE
from mailchimp_pipeline.database.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
