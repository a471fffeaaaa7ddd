"""The history of segments: a row for each sync that ended, at first those in the audit log.

Syncs that a process of the version before ends afterwards are in the audit log alone.
"""

from alembic import op
from sqlalchemy import inspect

from mailchimp_pipeline.database.migrations.patience import run_briefly

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLE = """
create table segment_syncs (
    id bigint generated always as identity,
    organisation_id text not null,
    segment_id uuid not null,
    started_at timestamptz,
    ended_at timestamptz not null,
    trigger text,
    run_id text,
    error text,
    stopped_by text,
    figures jsonb,
    constraint pk_segment_syncs primary key (id),
    constraint ck_segment_syncs_trigger_known check (trigger in ('schedule', 'request', 'dagster')),
    constraint ck_segment_syncs_stopped_by_known check (stopped_by in ('consent', 'departures', 'rejections'))
);
create index ix_segment_syncs_newest on segment_syncs (organisation_id, segment_id, ended_at desc, id desc);
create policy own_organisation on segment_syncs to mailchimp_pipeline_app
    using (organisation_id = nullif(current_setting('mailchimp_pipeline.organisation_id', true), ''));
create policy every_organisation on segment_syncs for select to mailchimp_pipeline_overview using (true);
alter table segment_syncs enable row level security;
grant select, insert, delete on segment_syncs to mailchimp_pipeline_app;
grant select on segment_syncs to mailchimp_pipeline_overview;
"""

_HISTORY = """
insert into segment_syncs (organisation_id, segment_id, started_at, ended_at, error, stopped_by, figures)
select entry.organisation_id, segment.id,
    entry.at - make_interval(secs => (entry.details ->> 'seconds')::double precision), entry.at,
    entry.details ->> 'error', entry.details ->> 'stopped_by',
    nullif(entry.details - array['error', 'stopped_by', 'member_count'], '{}')
from audit_log as entry
join contact_segments as segment
    on segment.organisation_id = entry.organisation_id and segment.id::text = entry.entity_id
where entry.entity_type = 'segment' and entry.action in ('segment.synced', 'segment.failed')
    and segment.soft_deleted_at is null
    and not exists (
        select from segment_syncs as there
        where there.organisation_id = segment.organisation_id and there.segment_id = segment.id
            and there.ended_at = entry.at
    )
order by entry.at, entry.id
"""

# Last: with this constraint, the copy would lock every segment.
_SEGMENTS = """
alter table segment_syncs drop constraint if exists fk_segment_syncs_contact_segments;
alter table segment_syncs add constraint fk_segment_syncs_contact_segments
    foreign key (organisation_id, segment_id) references contact_segments (organisation_id, id)
"""


def upgrade() -> None:
    """Make the table, and fill it. The second and the third step may be done again."""
    with op.get_context().autocommit_block():
        is_made = inspect(op.get_bind()).has_table("segment_syncs")
        for step in (_HISTORY, _SEGMENTS) if is_made else (_TABLE, _HISTORY, _SEGMENTS):
            run_briefly(op.get_bind(), step, what="the table contact_segments")


def downgrade() -> None:
    """Drop the table. The audit log has the same syncs, without their runs."""
    op.execute("drop table segment_syncs")
