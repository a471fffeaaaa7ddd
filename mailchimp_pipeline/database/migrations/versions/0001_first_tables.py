"""The tables of the first version."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "campaign_stats",
    "campaign_tracking",
    "erased_contacts",
    "erasure_requests",
    "email_preferences",
    "pseudonym_keys",
    "sync_requests",
    "audience_webhooks",
    "audience_reads",
    "audience_members",
    "segment_members",
    "contact_segments",
    "mailchimp_connections",
    "audit_log",
)


def upgrade() -> None:
    """Make the tables."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # Without parameters the driver leaves percent signs alone, and takes many statements at once.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop the tables, with all that is in them."""
    for table in _TABLES:
        op.drop_table(table)
    op.execute("drop function refuse_change_of_audit_log")
