"""Members who changed their address at Mailchimp by themselves: which one that replaced.

Made while the pipeline works, so not in one transaction: each step may be done again.
"""

from alembic import op

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_REASONS_BEFORE = (
    "'compliance_state', 'permanently_deleted', 'looks_fake', 'invalid_address', 'merge_field', 'too_many_signups', "
    "'unsubscribed_at_mailchimp', 'cleaned_at_mailchimp', 'archived_at_mailchimp', 'transactional_at_mailchimp', "
    "'awaiting_confirmation'"
)
_KNOWN = "ck_audience_members_refusal_known"

_REASONS = """
alter table audience_members drop constraint if exists {name};
alter table audience_members add constraint {name} check (refusal in ({reasons})) not valid;
"""


def upgrade() -> None:
    """Make the column, and let the reason be known."""
    steps = 'alter table audience_members add column if not exists replaced_hash text collate "C";'
    steps += _REASONS.format(name=_KNOWN, reasons=f"{_REASONS_BEFORE}, 'address_changed_at_mailchimp', 'other'")
    with op.get_context().autocommit_block():
        run_briefly(op.get_bind(), steps, what="the table audience_members")
        # Reads every row, and keeps nobody from writing others meanwhile.
        op.execute(f"alter table audience_members validate constraint {_KNOWN}")


def downgrade() -> None:
    """Forget them: where the source has another address, the next sync moves the member to that."""
    op.execute("update audience_members set refusal = 'other' where refusal = 'address_changed_at_mailchimp'")
    op.execute(_REASONS.format(name=_KNOWN, reasons=f"{_REASONS_BEFORE}, 'other'"))
    op.execute(f"alter table audience_members validate constraint {_KNOWN}")
    op.execute("alter table audience_members drop column replaced_hash")
