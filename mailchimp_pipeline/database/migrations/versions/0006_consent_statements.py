"""Consent statements, rejected contacts, and erasures that share an address.

The statements are made from the preferences, the audit log and the unsubscribed members. What a process of the version
before records afterwards becomes a statement too, by a trigger. Its syncs fail: they would decide by the former rule.

Made while the pipeline works, so not in one transaction. Each step is one: those that make a table are not done again
where the table is there, all others may be.
"""

import re
from pathlib import Path

from alembic import op
from sqlalchemy import inspect

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("consent_statements", "rejected_contacts")


def upgrade() -> None:
    """Make the tables, fill them from what is known, and drop the columns that they replace."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    steps = [step for step in statements.split("-- next step") if step.strip()]
    with op.get_context().autocommit_block():
        for step in steps:
            makes = re.search(r"^create table (\w+)", step, re.MULTILINE)
            if makes is None or not inspect(op.get_bind()).has_table(makes[1]):
                run_briefly(op.get_bind(), step, what="the tables of consent and audiences")


def downgrade() -> None:
    """Take the tables away. Preferences keep what the statements amount to."""
    op.execute("drop trigger inserted_without_statement on email_preferences")
    op.execute("drop trigger updated_without_statement on email_preferences")
    op.execute("drop function record_statement_of_preference")
    op.execute("alter table email_preferences drop column statement_id")
    op.execute("drop index ix_audience_members_replaced")
    op.execute("alter table audience_reads drop column merge_fields, add column pushed_through timestamptz")
    op.execute("alter table mailchimp_connections drop column opt_outs_propagated_at")
    op.execute("alter table erased_contacts drop constraint pk_erased_contacts")
    op.execute(
        "delete from erased_contacts as kept using erased_contacts as other"
        " where (kept.organisation_id, kept.kind, kept.keyed_hash)"
        " = (other.organisation_id, other.kind, other.keyed_hash)"
        " and kept.erasure_request_id > other.erasure_request_id"
    )
    op.execute(
        "alter table erased_contacts add constraint pk_erased_contacts primary key (organisation_id, kind, keyed_hash)"
    )
    op.execute(
        "update audience_members set status = 'archived' where status = 'removed';"
        "alter table audience_members drop constraint ck_audience_members_status_known;"
        "alter table audience_members add constraint ck_audience_members_status_known check (status in"
        " ('subscribed', 'unsubscribed', 'cleaned', 'pending', 'transactional', 'archived'));"
        "alter table audience_members drop column member_id, add column attempted_digest text,"
        " add column state text not null default 'pushed', add column refusal text, add column refused_at timestamptz;"
        "alter table audience_members alter column state drop default,"
        " add constraint ck_audience_members_state_known check (state in ('seen', 'pushed', 'refused', 'archived')),"
        " add constraint ck_audience_members_refusal_known check (refusal in ('compliance_state',"
        " 'permanently_deleted', 'looks_fake', 'invalid_address', 'merge_field', 'too_many_signups',"
        " 'unsubscribed_at_mailchimp', 'cleaned_at_mailchimp', 'archived_at_mailchimp', 'transactional_at_mailchimp',"
        " 'awaiting_confirmation', 'address_changed_at_mailchimp', 'withdrawn_meanwhile', 'other')),"
        " add constraint ck_audience_members_refusal_says_why check ((state = 'refused') = (refusal is not null))"
    )
    for table in _TABLES:
        op.execute(f"drop table {table}")
