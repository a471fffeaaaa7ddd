"""What is wanted in an audience against what it has, compared in the database.

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

# What is looked up for each contact is asked for in an order that only the index by the contact has, so PostgreSQL
# takes that. Where its statistics know little of an organisation, as in a first sync, all indexes seem equally good,
# and one that reads the whole organisation for each contact costs minutes.
_STANDINGS = sql.SQL("""
with wanted as (
    select distinct on (member.subscriber_hash)
        member.subscriber_hash, member.email, member.first_name, member.last_name,
        member.entity_type, member.entity_id, member.digest
    from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    cross join lateral (
        select from segment_members as ours
        where ours.organisation_id = %(organisation_id)s and ours.segment_id = %(segment_id)s
            and ours.subscriber_hash between member.subscriber_hash and member.subscriber_hash
        order by ours.subscriber_hash limit 1
    ) as ours
    cross join lateral (select member.entity_id ~ '^[0-9]+$' as is_whole, ltrim(member.entity_id, '0') as digits) as id
    where member.organisation_id = %(organisation_id)s and member.mailchimp_list_id = %(list_id)s
        and segment.soft_deleted_at is null
        and member.subscriber_hash > %(after)s and member.subscriber_hash <= %(through)s
    order by member.subscriber_hash, member.entity_type = 'vendor',
        not is_whole, case when is_whole then length(digits) end, case when is_whole then digits end,
        member.entity_id, member.digest
),
standings as (
    select wanted.*,
        -- Whom we archived because it had left is to us as one who was never there.
        case when known.state <> 'archived' then known.status end as known_status,
        known.changed_at, known.subscriber_hash is not null as is_known,
        coalesce(known.state = 'refused' and known.attempted_digest = wanted.digest, false) as refused_before,
        coalesce(known.status = 'subscribed' and known.digest = wanted.digest, false) as as_wanted
    from wanted
    left join lateral (
        select * from audience_members as known
        where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
            and known.subscriber_hash between wanted.subscriber_hash and wanted.subscriber_hash
        order by known.subscriber_hash limit 1
    ) as known on true
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
    "returns",
    "moved_from",
    "own_address",
)

LIVE_MEMBER = """
    select from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    where member.organisation_id = known.organisation_id and member.mailchimp_list_id = known.mailchimp_list_id
        and member.subscriber_hash in (known.subscriber_hash, known.replaced_hash)
        and (member.subscriber_hash = known.subscriber_hash
            or (member.entity_type, member.entity_id) = (known.entity_type, known.entity_id))
        and segment.soft_deleted_at is null
"""

DIFFERENCES = _STANDINGS + sql.SQL(f"""
select standings.subscriber_hash, email, first_name, last_name, entity_type, entity_id, digest, known_status,
    case when known_status = 'unsubscribed' and exists (
        select from email_preferences as said
        where said.organisation_id = %(organisation_id)s and said.opted_in
            and said.consent_given_at > standings.changed_at and (
                (said.entity_type, said.entity_id) = (standings.entity_type, standings.entity_id)
                or said.subscriber_hash = standings.subscriber_hash
            )
    ) then 'yes' end as returns,
    case when not former.is_own then former.subscriber_hash end as moved_from,
    case when former.is_own then 'yes' end as own_address
from standings
left join lateral (
    select known.subscriber_hash, known.replaced_hash is not distinct from standings.subscriber_hash as is_own
    from (
        select * from audience_members as every
        where every.organisation_id = %(organisation_id)s
            and every.entity_type = standings.entity_type
            and every.entity_id between standings.entity_id and standings.entity_id
        order by every.entity_id offset 0
    ) as known
    where known.mailchimp_list_id = %(list_id)s and (
        -- Whatever became of it there, and whoever is there at this one: the contact gave it in place of this one.
        known.replaced_hash = standings.subscriber_hash and known.state <> 'archived' and known.status is not null
        or not standings.is_known and known.state in ('seen', 'pushed') and known.status in ('subscribed', 'pending')
            and not exists ({LIVE_MEMBER})
    )
    order by is_own desc, known.pushed_at desc limit 1
) as former on true
where not refused_before and not as_wanted order by standings.subscriber_hash
""")  # noqa: S608 - put together of constants

COUNTS = _STANDINGS + sql.SQL("""
select count(*) filter (where as_wanted and not refused_before), count(*) filter (where refused_before) from standings
""")
