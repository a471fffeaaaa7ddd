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

# What is looked up for each contact ends with `limit 1` or `offset 0`: so PostgreSQL takes the index by the contact.
# As a join it would be free to read the whole table for each where it has no statistics yet, as in a first sync.
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
            and ours.subscriber_hash = member.subscriber_hash
        limit 1
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
            and known.subscriber_hash = wanted.subscriber_hash
        limit 1
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
)

_LIVE_MEMBER = """
    select from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    where member.organisation_id = known.organisation_id and member.mailchimp_list_id = known.mailchimp_list_id
        and member.subscriber_hash = known.subscriber_hash and segment.soft_deleted_at is null
"""

DIFFERENCES = _STANDINGS + sql.SQL(f"""
select subscriber_hash, email, first_name, last_name, entity_type, entity_id, digest, known_status,
    case when known_status = 'unsubscribed' and exists (
        select from email_preferences as said
        where said.organisation_id = %(organisation_id)s and said.opted_in
            and said.consent_given_at > standings.changed_at and (
                (said.entity_type, said.entity_id) = (standings.entity_type, standings.entity_id)
                or said.subscriber_hash = standings.subscriber_hash
            )
    ) then 'yes' end as returns,
    case when not is_known then (
        select known.subscriber_hash from (
            select * from audience_members as every
            where every.organisation_id = %(organisation_id)s
                and (every.entity_type, every.entity_id) = (standings.entity_type, standings.entity_id)
            offset 0
        ) as known
        where known.mailchimp_list_id = %(list_id)s
            and known.state in ('seen', 'pushed') and known.status in ('subscribed', 'pending')
            and not exists ({_LIVE_MEMBER})
        order by known.pushed_at desc limit 1
    ) end as moved_from
from standings where not refused_before and not as_wanted order by subscriber_hash
""")  # noqa: S608 - put together of constants

_HAS_OPTED_OUT = """exists (
    select from email_preferences as said
    where said.organisation_id = known.organisation_id and not said.opted_in and (
        (said.entity_type, said.entity_id) = (known.entity_type, known.entity_id)
        or said.subscriber_hash = known.subscriber_hash
    )
)"""

WITHDRAWN = sql.SQL(f"""
select known.subscriber_hash from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.status in ('subscribed', 'pending') and {_HAS_OPTED_OUT}
order by known.subscriber_hash
""")  # noqa: S608 - put together of constants

LEAVERS = sql.SQL(f"""
select known.subscriber_hash from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.leaving and known.state = 'pushed' and known.status in ('subscribed', 'pending')
    and not exists ({_LIVE_MEMBER})
order by known.subscriber_hash
""")  # noqa: S608 - put together of constants

NOTE = sql.SQL("""
update audience_members set
    status = %(status)s, changed_at = %(at)s, leaving = false,
    state = case when %(by_us)s and %(status)s = 'archived' then 'archived' else state end,
    digest = case when %(status)s::text is null then null else digest end
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = %(subscriber_hash)s
""")

MAKE_ROOM = sql.SQL("""
delete from audience_members
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(new)s
""")

RENAME = sql.SQL("""
update audience_members set subscriber_hash = %(new)s, email = %(email)s, digest = null, leaving = false
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(former)s
""")

COUNTS = _STANDINGS + sql.SQL("""
select count(*) filter (where as_wanted and not refused_before), count(*) filter (where refused_before) from standings
""")

_CLOCKS_DIFFER = "interval '5 minutes'"

_SEEN = """
    select subscriber_hash, status, coalesce(changed_at, %(at)s) as changed_at, contact_id
    from unnest(%(hashes)s::text[], %(statuses)s::text[], %(changed)s::timestamptz[], %(contact_ids)s::text[])
        as seen (subscriber_hash, status, changed_at, contact_id)
"""

MOVE_THERE = sql.SQL(f"""
with unknown as (
    select seen.subscriber_hash, seen.contact_id from ({_SEEN}) as seen
    where seen.contact_id is not null and not exists (
        select from audience_members as known
        where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
            and known.subscriber_hash = seen.subscriber_hash
    )
),
moved as (
    select distinct on (contact_id) known.subscriber_hash as former, unknown.subscriber_hash
    from unknown join audience_members as known using (contact_id)
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    order by contact_id, known.pushed_at desc nulls last
)
update audience_members as known set subscriber_hash = moved.subscriber_hash, email = null, digest = null
from moved
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash = moved.former
""")  # noqa: S608 - put together of constants
"""Members that are now under another address, by their lasting id: ours whose answer was lost, or the contact's."""

TAKE_OVER = sql.SQL(f"""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, state, status, changed_at, contact_id, entity_type, entity_id
)
select %(organisation_id)s, %(list_id)s, seen.subscriber_hash, 'seen', status, changed_at, contact_id,
    ours.entity_type, ours.entity_id
from ({_SEEN}) as seen
-- Whose it is: that of a contact who was sent, and whose answer was lost, must be known when the contact opts out.
left join lateral (
    select entity_type, entity_id from segment_members as member
    where member.organisation_id = %(organisation_id)s and member.mailchimp_list_id = %(list_id)s
        and member.subscriber_hash = seen.subscriber_hash
    order by entity_type, entity_id limit 1
) as ours on true
order by seen.subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = excluded.status, changed_at = excluded.changed_at,
    contact_id = coalesce(excluded.contact_id, known.contact_id),
    -- What was refused is tried again once Mailchimp says something new of the member.
    -- A leaver who is found archived is one whom we archived, and the answer was lost.
    state = case when known.leaving and excluded.status = 'archived' then 'archived'
        when known.state in ('seen', 'pushed') then known.state
        when known.digest is null then 'seen' else 'pushed' end,
    leaving = known.leaving and excluded.status <> 'archived',
    refusal = null, attempted_digest = null
where known.status is distinct from excluded.status or (
    -- Archived by us, by somebody else the next time: that counts. Clocks differ, so not what is hardly later.
    known.status in ('archived', 'unsubscribed') and excluded.changed_at > known.changed_at + {_CLOCKS_DIFFER}
)
""")  # noqa: S608 - put together of constants

WITHDRAW_CONSENT = sql.SQL(f"""
with gone as (
    select subscriber_hash, changed_at from ({_SEEN}) as seen
    where status = 'unsubscribed' and not exists (
        -- What is known already is no new word; where we carried a withdrawal there, it was none of others' at all.
        select from audience_members as known
        where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
            and known.subscriber_hash = seen.subscriber_hash and (
                known.status = 'unsubscribed' and seen.changed_at <= known.changed_at + {_CLOCKS_DIFFER}
                -- So it is where we were about to, and the answer was lost.
                or known.status in ('subscribed', 'pending') and {_HAS_OPTED_OUT}
            )
    )
),
contacts as (
    select entity_type, entity_id, subscriber_hash from segment_members where organisation_id = %(organisation_id)s
        and subscriber_hash in (select subscriber_hash from gone)
    union
    select entity_type, entity_id, subscriber_hash from audience_members where organisation_id = %(organisation_id)s
        and subscriber_hash in (select subscriber_hash from gone) and entity_id is not null
    union
    select entity_type, entity_id, subscriber_hash from email_preferences where organisation_id = %(organisation_id)s
        and subscriber_hash in (select subscriber_hash from gone)
),
told as (
    insert into email_preferences as said (
        organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_withdrawn_at, consent_source,
        updated_at
    )
    select distinct on (entity_type, entity_id)
        %(organisation_id)s, entity_type, entity_id, subscriber_hash, false, changed_at, 'mailchimp', %(at)s
    from contacts join gone using (subscriber_hash)
    order by entity_type, entity_id, changed_at desc
    on conflict (organisation_id, entity_type, entity_id) do update set
        subscriber_hash = excluded.subscriber_hash, opted_in = false,
        consent_withdrawn_at = excluded.consent_withdrawn_at, consent_source = excluded.consent_source,
        updated_at = excluded.updated_at
    -- Mailchimp's times have no fractions of a second: within the same one the withdrawal counts.
    where said.opted_in
        and date_trunc('second', coalesce(said.consent_given_at, '-infinity')) <= excluded.consent_withdrawn_at
    returning entity_type, entity_id, consent_withdrawn_at
)
insert into audit_log (organisation_id, actor, action, entity_type, entity_id, at, details)
select %(organisation_id)s, 'mailchimp', 'preference.opted_out', entity_type, entity_id, %(at)s,
    jsonb_build_object('consent_source', 'mailchimp', 'consent_withdrawn_at', consent_withdrawn_at)
from told
""")  # noqa: S608 - put together of constants

_SENT = sql.SQL("""
from unnest(
    %(hashes)s::text[], %(emails)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[], %(digests)s::text[],
    %(statuses)s::text[], %(refusals)s::text[], %(contact_ids)s::text[]
) as sent (subscriber_hash, email, entity_type, entity_id, digest, status, refusal, contact_id)
order by subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = coalesce(excluded.status, known.status),
    changed_at = case when excluded.status <> known.status then excluded.changed_at else known.changed_at end,
""")

RECORD_PUSHED = (
    sql.SQL("""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, email, entity_type, entity_id,
    digest, state, status, first_pushed_at, pushed_at, changed_at, contact_id
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, email, entity_type, entity_id,
    digest, 'pushed', status, %(at)s, %(at)s, %(at)s, contact_id
""")
    + _SENT
    + sql.SQL("""
    email = excluded.email, entity_type = excluded.entity_type, entity_id = excluded.entity_id,
    digest = excluded.digest, attempted_digest = null, state = excluded.state, refusal = null,
    contact_id = coalesce(excluded.contact_id, known.contact_id), leaving = false,
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
