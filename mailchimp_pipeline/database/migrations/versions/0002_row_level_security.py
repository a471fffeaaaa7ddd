"""Row-level security: a role that works for one organisation at a time, and one that only looks across them.

Made while the pipeline works, so not in one transaction: each step may be done again, and no table is kept for long.
The policies on the audit log come last: by them sessions know that they are to take on the roles.
"""

from pathlib import Path

from alembic import op

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    "mailchimp_connections",
    "contact_segments",
    "segment_members",
    "audience_members",
    "audience_reads",
    "audience_webhooks",
    "sync_requests",
    "email_preferences",
    "erasure_requests",
    "erased_contacts",
    "pseudonym_keys",
    "campaign_tracking",
    "campaign_stats",
    "audit_log",
)

_INDEX = "ix_audience_members_contact"

_POLICIES = """
drop policy if exists own_organisation on {table};
create policy own_organisation on {table} to mailchimp_pipeline_app
    using (organisation_id = nullif(current_setting('mailchimp_pipeline.organisation_id', true), ''));
drop policy if exists every_organisation on {table};
create policy every_organisation on {table} for select to mailchimp_pipeline_overview using (true);
alter table {table} enable row level security;
"""

_NO_POLICIES = """
drop policy own_organisation on {table};
drop policy every_organisation on {table};
alter table {table} disable row level security;
revoke all on {table} from mailchimp_pipeline_app, mailchimp_pipeline_overview;
"""


def upgrade() -> None:
    """Make the roles, the index and the policies."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)
    with op.get_context().autocommit_block():
        # What an interrupted one left behind is not used by queries, but kept up to date.
        op.execute(f"drop index concurrently if exists {_INDEX}")
        op.execute(f"create index concurrently {_INDEX} on audience_members (organisation_id, contact_id)")
        for table in _TABLES:
            run_briefly(op.get_bind(), _POLICIES.format(table=table), what=f"the table {table}")


def downgrade() -> None:
    """Take the policies and the index away. The roles stay: they belong to the server, other databases have them."""
    for table in reversed(_TABLES):
        op.execute(_NO_POLICIES.format(table=table))
    op.execute(f"drop index {_INDEX}")
    op.execute("drop function if exists forget_samples_of_people()")
    op.execute(
        "revoke all on mailchimp_pipeline_revision from mailchimp_pipeline_app, mailchimp_pipeline_overview;"
        "do $$ begin execute format('revoke all on schema %I from mailchimp_pipeline_app, mailchimp_pipeline_overview',"
        " current_schema()); end $$"
    )
