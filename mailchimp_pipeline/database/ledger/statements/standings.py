"""Taking over how members stand at Mailchimp."""

from typing import LiteralString

from psycopg import sql

CLOCKS_DIFFER = "interval '5 minutes'"

PUSH_UNFINISHED = """exists (
    select from audience_reads as reading where reading.organisation_id = %(organisation_id)s
        and reading.mailchimp_list_id = %(list_id)s and reading.push_unfinished
)"""
"""Answers of ours may be lost: what members say may be our own doing."""

SEEN = """
    select subscriber_hash, status, coalesce(changed_at, %(at)s) as changed_at, contact_id
    from unnest(%(hashes)s::text[], %(statuses)s::text[], %(changed)s::timestamptz[], %(contact_ids)s::text[])
        as seen (subscriber_hash, status, changed_at, contact_id)
"""


def replaced_hash(known: LiteralString, new: LiteralString) -> LiteralString:
    """Return which address the contact replaced with a new one at Mailchimp: the one that the source has.

    None where nobody of ours is known there, or the source has the new address as well.
    """
    return f"""case when {known}.entity_id is not null and not exists (
        select from segment_members as wanted where wanted.organisation_id = {known}.organisation_id
            and wanted.mailchimp_list_id = {known}.mailchimp_list_id and wanted.subscriber_hash = {new}
            and (wanted.entity_type, wanted.entity_id) = ({known}.entity_type, {known}.entity_id)
    ) then nullif(coalesce({known}.replaced_hash, {known}.subscriber_hash), {new}) end"""


MOVE_THERE = sql.SQL(f"""
with unknown as (
    select seen.subscriber_hash, seen.contact_id from ({SEEN}) as seen
    -- In an order that one index alone has, as in `differences`: so PostgreSQL takes that one.
    left join lateral (
        select known.subscriber_hash from audience_members as known
        where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
            and known.subscriber_hash between seen.subscriber_hash and seen.subscriber_hash
        order by known.subscriber_hash limit 1
    ) as known on true
    where seen.contact_id is not null and known.subscriber_hash is null
),
moved as (
    select distinct on (contact_id) known.subscriber_hash as former, unknown.subscriber_hash
    from unknown cross join lateral (
        select subscriber_hash, pushed_at from audience_members as every
        where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
            and every.contact_id between unknown.contact_id and unknown.contact_id
        order by every.contact_id offset 0
    ) as known
    order by contact_id, known.pushed_at desc nulls last
)
update audience_members as known set subscriber_hash = moved.subscriber_hash, email = null, digest = null,
    replaced_hash = case when not {PUSH_UNFINISHED} then {replaced_hash("known", "moved.subscriber_hash")} end
from moved
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash = moved.former
""")  # noqa: S608 - put together of constants
"""Members that are now under another address, by their lasting id: the contact changed it, or we, where the answer to
that was lost."""

TAKE_OVER = sql.SQL(f"""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, state, status, changed_at, contact_id, entity_type, entity_id
)
select %(organisation_id)s, %(list_id)s, seen.subscriber_hash, 'seen', status, changed_at, contact_id,
    ours.entity_type, ours.entity_id
from ({SEEN}) as seen
-- Whose it is: that of a contact who was sent, and whose answer was lost, must be known when the contact opts out.
left join lateral (
    select entity_type, entity_id from (
        select * from segment_members as every
        where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
            and every.subscriber_hash between seen.subscriber_hash and seen.subscriber_hash
        order by every.subscriber_hash offset 0
    ) as member
    order by entity_type, entity_id limit 1
) as ours on true
order by seen.subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = excluded.status, changed_at = excluded.changed_at,
    contact_id = coalesce(excluded.contact_id, known.contact_id),
    -- What was refused is tried again once Mailchimp says something new of the member.
    -- A leaver who was mailed and is found archived is one whom we archived, and the answer was lost.
    state = case
        when known.leaving and known.status = 'subscribed' and excluded.status = 'archived' and {PUSH_UNFINISHED}
            then 'archived'
        when known.state in ('seen', 'pushed') then known.state
        when known.digest is null then 'seen' else 'pushed' end,
    leaving = known.leaving and excluded.status <> 'archived',
    refusal = null, attempted_digest = null
where known.status is distinct from excluded.status or (
    -- Archived by us, by somebody else the next time: that counts. Clocks differ, so not what is hardly later.
    known.status in ('archived', 'unsubscribed') and excluded.changed_at > known.changed_at + {CLOCKS_DIFFER}
)
""")  # noqa: S608 - put together of constants
