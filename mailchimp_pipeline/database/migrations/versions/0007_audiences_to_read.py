"""An audience that must be read again from the start: it keeps its row, without a time.

Before, its row was deleted. Then nothing said that the organisation knew members of the audience.
"""

from alembic import op

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow audiences without a time of the last read."""
    with op.get_context().autocommit_block():
        nullable = "alter table audience_reads alter column read_through drop not null"
        run_briefly(op.get_bind(), nullable, what="the table audience_reads")


def downgrade() -> None:
    """Delete the audiences without a time, and forbid them."""
    op.execute("delete from audience_reads where read_through is null")
    op.execute("alter table audience_reads alter column read_through set not null")
