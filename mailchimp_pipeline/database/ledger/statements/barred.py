"""Who must not be sent any more, though a sync is about to. Asked before each batch: first whether there is news."""

from psycopg import sql

from mailchimp_pipeline.database.ledger.statements.standings import CLOCKS_DIFFER

NEWS = sql.SQL(f"""
with reading as (
    select coalesce(max(read_through), '-infinity') as at,
        coalesce(max(read_through), '-infinity') - {CLOCKS_DIFFER} as since
    from audience_reads where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
)
select
    not exists (
        select from mailchimp_connections where organisation_id = %(organisation_id)s and soft_deleted_at is null
    ) or exists (
        select from mailchimp_connections where organisation_id = %(organisation_id)s and soft_deleted_at > reading.at
    ) as connection_ended,
    exists (
        select from email_preferences where organisation_id = %(organisation_id)s and updated_at > reading.since
    ) or exists (
        select from erasure_requests where organisation_id = %(organisation_id)s
            and (completed_at is null or completed_at > reading.since)
    ) or exists (
        select from audience_members where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
            and status <> 'subscribed' and changed_at > reading.since
    ) as has_news
from reading
""")  # noqa: S608 - put together of constants
"""Whether anything was said, here or at Mailchimp, since the audience was read."""

BARRED = sql.SQL("""
select given.subscriber_hash, case
    when not exists (
        select from segment_members as member
        where member.segment_id = %(segment_id)s and member.subscriber_hash = given.subscriber_hash
            and member.organisation_id = %(organisation_id)s
    ) or exists (
        select from email_preferences as said
        where said.organisation_id = %(organisation_id)s and not said.opted_in
            and said.entity_type = given.entity_type and said.entity_id = given.entity_id
    ) or exists (
        select from email_preferences as said
        where said.organisation_id = %(organisation_id)s and not said.opted_in
            and said.subscriber_hash = given.subscriber_hash
    ) then 'withdrawn'
    when known.state <> 'archived' then known.status
end as standing
from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
    as given (subscriber_hash, entity_type, entity_id)
left join lateral (
    select * from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = given.subscriber_hash limit 1
) as known on true
""")
"""How each of the given contacts stands now: withdrawn, who opted out or is no member any more; else its status."""
