"""A reason why a contact is not sent: it withdrew while a sync was about to.

And by index who left an audience when, and how far a push has come by Mailchimp's clock.
Made while the pipeline works, so not in one transaction: each step may be done again.
"""

from alembic import op

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REASONS_BEFORE = (
    "'compliance_state', 'permanently_deleted', 'looks_fake', 'invalid_address', 'merge_field', 'too_many_signups', "
    "'unsubscribed_at_mailchimp', 'cleaned_at_mailchimp', 'archived_at_mailchimp', 'transactional_at_mailchimp', "
    "'awaiting_confirmation', 'address_changed_at_mailchimp'"
)
_KNOWN = "ck_audience_members_refusal_known"

_REASONS = """
alter table audience_members drop constraint if exists {name};
alter table audience_members add constraint {name} check (refusal in ({reasons})) not valid;
"""

_FORMER, _INDEX = "ix_audience_members_unsubscribed", "ix_audience_members_left"
_COLUMNS = "audience_members (organisation_id, mailchimp_list_id{more}) where status <> 'subscribed'"


def upgrade() -> None:
    """Let the reason be known, make the column, and put the time into the index."""
    steps = _REASONS.format(name=_KNOWN, reasons=f"{_REASONS_BEFORE}, 'withdrawn_meanwhile', 'other'")
    with op.get_context().autocommit_block():
        run_briefly(op.get_bind(), steps, what="the table audience_members")
        column = "alter table audience_reads add column if not exists pushed_through timestamptz"
        run_briefly(op.get_bind(), column, what="the table audience_reads")
        op.execute(f"alter table audience_members validate constraint {_KNOWN}")
        # What an interrupted one left behind is not used by queries, but kept up to date.
        op.execute(f"drop index concurrently if exists {_INDEX}")
        op.execute(f"create index concurrently {_INDEX} on {_COLUMNS.format(more=', changed_at')}")
        op.execute(f"drop index concurrently if exists {_FORMER}")


def downgrade() -> None:
    """Take all of it back."""
    op.execute("alter table audience_reads drop column pushed_through")
    op.execute(f"create index {_FORMER} on {_COLUMNS.format(more='')}")
    op.execute(f"drop index {_INDEX}")
    op.execute("update audience_members set refusal = 'other' where refusal = 'withdrawn_meanwhile'")
    op.execute(_REASONS.format(name=_KNOWN, reasons=f"{_REASONS_BEFORE}, 'other'"))
    op.execute(f"alter table audience_members validate constraint {_KNOWN}")
