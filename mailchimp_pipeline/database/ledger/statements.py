"""The ledger's statements, with psycopg's placeholders.

A contact is wanted in an audience once, however many segments have its address: the first of them counts,
employees before vendors, then the lowest id, whole numbers by their value and before other ids.
"""

from psycopg import sql

FIRST, LAST = "", "~"
"""Before and after every hash, which are hex."""

BOUNDS = sql.SQL("""
select subscriber_hash from (
    select subscriber_hash, row_number() over (order by subscriber_hash) as place
    from segment_members where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
) as numbered where place %% %(piece)s = 0 order by subscriber_hash
""")

_STANDINGS = sql.SQL("""
with wanted as (
    select distinct on (member.subscriber_hash)
        member.subscriber_hash, member.email, member.first_name, member.last_name,
        member.entity_type, member.entity_id, member.digest
    from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    cross join lateral (select member.entity_id ~ '^[0-9]+$' as is_whole, ltrim(member.entity_id, '0') as digits) as id
    where member.organisation_id = %(organisation_id)s and member.mailchimp_list_id = %(list_id)s
        and segment.soft_deleted_at is null
        and member.subscriber_hash > %(after)s and member.subscriber_hash <= %(through)s
        and exists (
            select from segment_members as ours
            where ours.organisation_id = %(organisation_id)s and ours.segment_id = %(segment_id)s
                and ours.subscriber_hash = member.subscriber_hash
        )
    order by member.subscriber_hash, member.entity_type = 'vendor',
        not is_whole, case when is_whole then length(digits) end, case when is_whole then digits end,
        member.entity_id, member.digest
),
standings as (
    select wanted.*, known.status as known_status,
        coalesce(known.state = 'refused' and known.attempted_digest = wanted.digest, false) as refused_before,
        coalesce(known.status = 'subscribed' and known.digest = wanted.digest, false) as as_wanted
    from wanted
    left join audience_members as known
        on known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = wanted.subscriber_hash
)
""")

DIFFERENCE_COLUMNS = (
    "subscriber_hash",
    "email",
    "first_name",
    "last_name",
    "entity_type",
    "entity_id",
    "digest",
    "known_status",
)

DIFFERENCES = _STANDINGS + sql.SQL("""
select {} from standings where not refused_before and not as_wanted order by subscriber_hash
""").format(sql.SQL(", ").join(map(sql.Identifier, DIFFERENCE_COLUMNS)))

COUNTS = _STANDINGS + sql.SQL("""
select count(*) filter (where as_wanted and not refused_before), count(*) filter (where refused_before) from standings
""")

TAKE_OVER = sql.SQL("""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, state, status, changed_at
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, 'seen', status, %(at)s
from unnest(%(hashes)s::text[], %(statuses)s::text[]) as seen (subscriber_hash, status)
order by subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = excluded.status, changed_at = excluded.changed_at,
    -- What was refused is tried again once Mailchimp says something new of the member.
    state = case when known.state <> 'refused' then known.state when known.digest is null then 'seen' else 'pushed' end,
    refusal = null, attempted_digest = null
where known.status is distinct from excluded.status
""")

_SENT = sql.SQL("""
from unnest(
    %(hashes)s::text[], %(emails)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[], %(digests)s::text[],
    %(statuses)s::text[], %(refusals)s::text[]
) as sent (subscriber_hash, email, entity_type, entity_id, digest, status, refusal)
order by subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = coalesce(excluded.status, known.status),
    changed_at = case when excluded.status <> known.status then excluded.changed_at else known.changed_at end,
""")

RECORD_PUSHED = (
    sql.SQL("""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, email, entity_type, entity_id,
    digest, state, status, first_pushed_at, pushed_at, changed_at
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, email, entity_type, entity_id,
    digest, 'pushed', status, %(at)s, %(at)s, %(at)s
""")
    + _SENT
    + sql.SQL("""
    email = excluded.email, entity_type = excluded.entity_type, entity_id = excluded.entity_id,
    digest = excluded.digest, attempted_digest = null, state = excluded.state, refusal = null,
    first_pushed_at = coalesce(known.first_pushed_at, excluded.first_pushed_at), pushed_at = excluded.pushed_at
""")
)

RECORD_REFUSED = (
    sql.SQL("""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, email, entity_type, entity_id,
    attempted_digest, state, status, refusal, refused_at, changed_at
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, email, entity_type, entity_id,
    digest, 'refused', status, refusal, %(at)s, %(at)s
""")
    + _SENT
    + sql.SQL("""
    -- Contact and digest stay those that Mailchimp has, where it has any.
    email = coalesce(known.email, excluded.email),
    entity_type = coalesce(known.entity_type, excluded.entity_type),
    entity_id = coalesce(known.entity_id, excluded.entity_id),
    attempted_digest = excluded.attempted_digest, state = excluded.state, refusal = excluded.refusal,
    refused_at = excluded.refused_at
""")
)
