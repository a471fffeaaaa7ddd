"""No statistics of owners and people: PostgreSQL plans alike for every organisation, and quotes nobody.

Made while the pipeline works, so not in one transaction: each step may be done again.
"""

from collections.abc import Iterator

from alembic import op

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWNERS = {
    "segment_members": ("organisation_id", "segment_id", "mailchimp_list_id"),
    "audience_members": ("organisation_id", "mailchimp_list_id"),
    "email_preferences": ("organisation_id",),
}

_PEOPLE = {
    "segment_members": ("subscriber_hash", "entity_id", "email", "first_name", "last_name", "digest"),
    "audience_members": (
        "subscriber_hash",
        "replaced_hash",
        "entity_id",
        "email",
        "contact_id",
        "digest",
        "attempted_digest",
    ),
    "email_preferences": ("entity_id", "subscriber_hash"),
}

# Since PostgreSQL 18 what was sampled can be cleared; a server before that keeps its samples of the owners, which
# quote nobody.
_CLEAR = """
do $$
begin
    if to_regproc('pg_clear_attribute_stats') is not null then
        perform pg_clear_attribute_stats(current_schema(), '{table}', '{column}', false);
    end if;
end
$$;
"""


def upgrade() -> None:
    """Take no more samples, and forget those there are."""
    with op.get_context().autocommit_block():
        for table in _OWNERS:
            run_briefly(op.get_bind(), " ".join(_without_samples(table)), what=f"the table {table}")
        op.execute("drop function if exists forget_samples_of_people()")


def downgrade() -> None:
    """Have PostgreSQL take samples again."""
    for table, owners in _OWNERS.items():
        for column in (*owners, *_PEOPLE[table]):
            op.execute(f"alter table {table} alter column {column} set statistics -1")


def _without_samples(table: str) -> Iterator[str]:
    for column in (*_OWNERS[table], *_PEOPLE[table]):
        yield f"alter table {table} alter column {column} set statistics 0;"
    for column in _OWNERS[table]:
        yield _CLEAR.format(table=table, column=column)
    # To its own type: nothing is rewritten, the samples go.
    for column in _PEOPLE[table]:
        collation = ' collate "C"' if column in {"subscriber_hash", "replaced_hash", "entity_id"} else ""
        yield f"alter table {table} alter column {column} type text{collation};"
