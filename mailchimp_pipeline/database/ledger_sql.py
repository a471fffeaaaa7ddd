"""The SQL of `DatabaseLedger`, which records what each audience has and compares it with the segments.

Every query is about one audience, given by the psycopg placeholders `organisation_id` and `list_id`. Queries over a
range of subscriber hashes also have the placeholders `after` (exclusive) and `through` (inclusive).

An address is sent to an audience once, even if several segments contain it. The first contact with the address is sent:
employees before vendors, then the lowest id. Whole numbers are compared by value and come before other ids.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from mailchimp_pipeline.consent.decision import (
    ERASED_ADDRESSES,
    EXCLUSION,
    RECENTLY_CHANGED,
    SUPPRESSED_ADDRESSES,
    SUPPRESSED_CONTACTS,
    WITHDRAWALS_AT_ADDRESS,
    WITHDRAWALS_OF_CONTACT,
)
from mailchimp_pipeline.database.consent_statements import HOLDERS
from mailchimp_pipeline.sync.member_states import STATUS_AFTER_REPORT_SQL

PUSH_UNFINISHED: LiteralString = """exists (
    select from audience_reads as reading where reading.organisation_id = %(organisation_id)s
        and reading.mailchimp_list_id = %(list_id)s and reading.push_unfinished
)"""
"""Whether Mailchimp's answers to the last push may be lost. Then a reported change may be the pipeline's own change."""

REPORTED: LiteralString = """
    select * from unnest(
        %(hashes)s::text[], %(statuses)s::text[], %(changed)s::timestamptz[], %(contact_ids)s::text[],
        %(member_ids)s::text[], %(channels)s::text[]
    ) as reported (subscriber_hash, status, changed_at, contact_id, member_id, channel)
"""
"""The members of one page of a Mailchimp listing, given as arrays."""

_REPORTED_AND_KNOWN: LiteralString = f"""
    ({REPORTED}) as reported
    -- The order makes PostgreSQL use the index that has it.
    left join lateral (
        select every.subscriber_hash, every.status, every.changed_at, every.contact_id, every.entity_id,
            every.replaced_hash
        from audience_members as every
        where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
            and every.subscriber_hash between reported.subscriber_hash and reported.subscriber_hash
        order by every.subscriber_hash limit 1
    ) as known on true
"""
"""The members of `REPORTED`, each with its row in `audience_members` as `known`, or nulls if it has none."""

SIZES = """
select
    (select count(*) from segment_members
        where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s) as members,
    (select count(*) from contact_segments
        where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and soft_deleted_at is null
            and id <> %(segment_id)s) as sharing,
    (select count(*) from audience_members
        where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s) as audience
"""
"""Three numbers: the segment's members, the other segments that feed the audience, and the audience's members.

If there are no other segments, no other contact can have the same address, and a simpler query is enough.
"""

_OURS = """
    select subscriber_hash, email, first_name, last_name, entity_type, entity_id, digest from segment_members
    where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
        and mailchimp_list_id = %(list_id)s and subscriber_hash > %(after)s and subscriber_hash <= %(through)s
        and exists (
            select from contact_segments where organisation_id = %(organisation_id)s and id = %(segment_id)s
                and soft_deleted_at is null
        )
"""

_FIRST_OF_ALL = """
    select distinct on (member.subscriber_hash)
        member.subscriber_hash, member.email, member.first_name, member.last_name,
        member.entity_type, member.entity_id, member.digest
    from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    -- The limit makes PostgreSQL look up each member by the primary key.
    cross join lateral (
        select from segment_members as ours
        where ours.segment_id = %(segment_id)s and ours.subscriber_hash = member.subscriber_hash
            and ours.organisation_id = member.organisation_id limit 1
    ) as ours
    cross join lateral (select member.entity_id ~ '^[0-9]+$' as is_whole, ltrim(member.entity_id, '0') as digits) as id
    where member.organisation_id = %(organisation_id)s and member.mailchimp_list_id = %(list_id)s
        and segment.soft_deleted_at is null
        and member.subscriber_hash > %(after)s and member.subscriber_hash <= %(through)s
    order by member.subscriber_hash, member.entity_type = 'vendor',
        not is_whole, case when is_whole then length(digits) end, case when is_whole then digits end,
        member.entity_id, member.digest
"""

WANTED_COLUMNS = ("subscriber_hash", "digest")
CONTACT_COLUMNS = ("subscriber_hash", "email", "first_name", "last_name", "entity_type", "entity_id", "digest")
KNOWN_COLUMNS = ("subscriber_hash", "digest", "status")
WAITING_COLUMNS = ("subscriber_hash", "digest", "reason")
STATE_COLUMNS = ("known_status", "member_id", "returns", "moved_from", "moved_from_id", "own_address")


def contacts_in_range(columns: Sequence[LiteralString], *, shared: bool, some: bool = False) -> sql.SQL:
    """Return the query for the segment's contacts in a range of subscriber hashes, ordered by hash.

    With `some`, only contacts whose hashes are in the comma-separated placeholder `hashes`. `shared` says whether other
    segments feed the audience too.
    """
    # Hashes have only hex digits. One text is faster than an array.
    these: LiteralString = "where subscriber_hash = any (string_to_array(%(hashes)s, ','))" if some else ""
    listed: LiteralString = ", ".join(columns)
    contacts = _FIRST_OF_ALL if shared else _OURS
    return sql.SQL(f"select {listed} from ({contacts}) as wanted {these} order by subscriber_hash")


KNOWN = sql.SQL("""
select subscriber_hash, digest, status from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash > %(after)s and known.subscriber_hash <= %(through)s
""")
"""All members of the audience in a range of subscriber hashes."""

KNOWN_OF_SEGMENT = sql.SQL("""
select known.subscriber_hash, known.digest, known.status from segment_members as member
cross join lateral (
    select * from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = member.subscriber_hash limit 1
) as known
where member.organisation_id = %(organisation_id)s and member.segment_id = %(segment_id)s
    and member.subscriber_hash > %(after)s and member.subscriber_hash <= %(through)s
""")
"""The members of the audience in a range of subscriber hashes who are in the segment, found by one lookup each."""

WAITING = sql.SQL("""
select subscriber_hash, case when not is_final then digest end as digest, reason from rejected_contacts
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and (is_final or merge_fields = %(merge_fields)s and (next_attempt_at is null or next_attempt_at > %(at)s))
""")
"""The rejected contacts that are not yet due to be sent again.

A contact waits only while its data has the digest of the row. A null digest stands for any data.
"""

LIVE_MEMBER: LiteralString = """
    select from segment_members as member
    join contact_segments as segment
        on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
    where member.organisation_id = known.organisation_id and member.mailchimp_list_id = known.mailchimp_list_id
        and member.subscriber_hash in (known.subscriber_hash, known.replaced_hash)
        and (member.subscriber_hash = known.subscriber_hash
            or (member.entity_type, member.entity_id) = (known.entity_type, known.entity_id))
        and segment.soft_deleted_at is null
"""
"""The segment members to which the audience member `known` belongs. If there are none, no segment wants the member.

They have its address, or are the same contact at the address that was replaced at Mailchimp. Deleted segments do not
count.
"""

STATES = sql.SQL(f"""
with given as (
    select * from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
        as given (subscriber_hash, entity_type, entity_id)
)
select
    -- A member that the pipeline archived counts as absent. A contact that an administrator archived under its former
    -- address counts as archived.
    coalesce(
        nullif(known.status, 'removed'),
        case when known.subscriber_hash is null and theirs.was_archived then 'archived' end
    ) as known_status,
    known.member_id,
    -- Members of a segment have no withdrawal in force, so any opt-in is enough.
    case when known.status = 'unsubscribed' and (
        exists (
            select from email_preferences as preference
            where preference.organisation_id = %(organisation_id)s and preference.opted_in
                and preference.entity_type = given.entity_type and preference.entity_id = given.entity_id
        ) or exists (
            select from consent_statements as statement
            where statement.organisation_id = %(organisation_id)s and statement.opted_in
                and statement.subscriber_hash = given.subscriber_hash
        )
    ) then 'yes' end as returns,
    case when not theirs.is_own then theirs.former end as moved_from,
    case when not theirs.is_own then theirs.former_id end as moved_from_id,
    case when theirs.is_own then 'yes' end as own_address
from given
left join lateral (
    select * from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = given.subscriber_hash limit 1
) as known on true
left join lateral (
    select
        (array_agg(former order by is_own desc, pushed_at desc) filter (where counts))[1] as former,
        (array_agg(former_id order by is_own desc, pushed_at desc) filter (where counts))[1] as former_id,
        bool_or(is_own) filter (where counts) as is_own,
        bool_or(was_archived) as was_archived
    from (
        select every.subscriber_hash as former, every.member_id as former_id, every.pushed_at,
            every.replaced_hash is not distinct from given.subscriber_hash as is_own,
            every.status = 'archived' as was_archived,
            -- The contact replaced this address at Mailchimp, whatever its status under the other address is.
            every.replaced_hash is not distinct from given.subscriber_hash
                    and every.status is not null and every.status <> 'removed'
                or (known.subscriber_hash is null or known.status is null)
                    and every.is_mailed and not every.is_wanted as counts
        from (
            select known.*, exists ({LIVE_MEMBER}) as is_wanted,
                coalesce(known.status in ('subscribed', 'pending'), false) as is_mailed
            from (
                select * from audience_members as theirs
                where theirs.organisation_id = %(organisation_id)s
                    and theirs.entity_type = given.entity_type and theirs.entity_id = given.entity_id offset 0
            ) as known
            where known.mailchimp_list_id = %(list_id)s and known.subscriber_hash <> given.subscriber_hash
        ) as every
    ) as candidates
) as theirs on true
order by given.subscriber_hash collate "C"
""")
"""What is known of each given contact in the audience, one row each, ordered by subscriber hash.

`sync.Ledger.compare` describes the columns.
"""

NEWS = sql.SQL(f"""
select
    not exists (
        select from mailchimp_connections where organisation_id = %(organisation_id)s and soft_deleted_at is null
    ) or exists (
        select from mailchimp_connections
        where organisation_id = %(organisation_id)s and soft_deleted_at > reading.read_through
    ) as connection_ended,
    {RECENTLY_CHANGED.replace("%(since)s", "reading.since")} or exists (
        select from audience_members as known
        where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
            and known.status <> 'subscribed' and known.changed_at > reading.since
    ) as has_news
from (
    select read_through, read_through - interval '10 minutes' as since from audience_reads
    where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
) as reading
""")
"""Whether the organisation's connection ended, and whether anything changed, since the audience was last pulled.

Changes are consent statements, erasures, and reports of members that are not subscribed.
"""

RECHECK = sql.SQL(f"""
select about.subscriber_hash, known.status,
    {EXCLUSION} is null and exists (
        select from segment_members as member
        where member.segment_id = %(segment_id)s and member.subscriber_hash = about.subscriber_hash
            and member.organisation_id = %(organisation_id)s
    ) as may_be_sent
from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
    as about (subscriber_hash, entity_type, entity_id)
left join lateral (
    select status from audience_members as every
    where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
        and every.subscriber_hash = about.subscriber_hash limit 1
) as known on true
""")
"""The known status of each given contact in the audience, and whether the contact may be sent."""

# `offset 0` makes PostgreSQL look up the members of each suppressed contact, who are few.
MEMBERS_OF_SUPPRESSED_CONTACTS: LiteralString = f"""
select known.* from ({SUPPRESSED_CONTACTS}) as about cross join lateral (
    select * from audience_members as theirs
    where theirs.organisation_id = %(organisation_id)s
        and theirs.entity_type = about.entity_type and theirs.entity_id = about.entity_id offset 0
) as known
where known.status in ('subscribed', 'pending')
"""

_MAY_CONFIRM: LiteralString = f"""exists (
    select from (select known.subscriber_hash) as about cross join lateral ({WITHDRAWALS_AT_ADDRESS}) as withdrawn
    where withdrawn.mailchimp_list_id = known.mailchimp_list_id
) and not exists (
    select from (select known.subscriber_hash) as about cross join lateral (
        {WITHDRAWALS_AT_ADDRESS}
        union all
        select withdrawn.* from (
            {HOLDERS} union select known.entity_type, known.entity_id
        ) as about cross join lateral ({WITHDRAWALS_OF_CONTACT}) as withdrawn
    ) as withdrawn
    where withdrawn.mailchimp_list_id is distinct from known.mailchimp_list_id
)"""
"""Whether the pending member `known` withdrew consent in this audience only.

Such a member signed up again there. Its confirmation will supersede the withdrawal, so it is not unsubscribed.
"""

TO_UNSUBSCRIBE: LiteralString = f"""
select known.* from (
    {MEMBERS_OF_SUPPRESSED_CONTACTS}
    union
    select known.* from ({SUPPRESSED_ADDRESSES} union {ERASED_ADDRESSES}) as about cross join lateral (
        select there.* from (
            select mailchimp_list_id from audience_reads where organisation_id = %(organisation_id)s
        ) as audience cross join lateral (
            select * from audience_members as every
            where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = audience.mailchimp_list_id
                and every.subscriber_hash = about.subscriber_hash offset 0
        ) as there
        union all
        -- Members who replaced the address of the source at Mailchimp.
        select * from audience_members as theirs
        where theirs.organisation_id = %(organisation_id)s and theirs.replaced_hash = about.subscriber_hash
    ) as known
    where known.status in ('subscribed', 'pending')
) as known
where known.status = 'subscribed' or known.subscriber_hash = any (%(erased_addresses)s::text[])
    or not ({_MAY_CONFIRM})
"""
"""The members of all the organisation's audiences who are subscribed or pending, but may not be e-mailed.

The placeholder `erased_addresses` has the addresses of erased contacts.
"""

TO_UNSUBSCRIBE_IN_AUDIENCE = sql.SQL(f"""
select subscriber_hash, contact_id, member_id from ({TO_UNSUBSCRIBE}) as member
where mailchimp_list_id = %(list_id)s order by subscriber_hash
""")

LEAVERS = sql.SQL(f"""
select known.subscriber_hash, known.contact_id, known.member_id from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    -- Mailchimp does not archive pending members. They are archived once they have confirmed.
    and known.leaving and known.first_pushed_at is not null and known.status = 'subscribed'
    and not exists ({LIVE_MEMBER})
    -- A former address stays until the contact is subscribed under its new one.
    and not exists (
        select from segment_members as member
        join contact_segments as segment
            on segment.organisation_id = member.organisation_id and segment.id = member.segment_id
        where member.organisation_id = known.organisation_id and member.mailchimp_list_id = known.mailchimp_list_id
            and (member.entity_type, member.entity_id) = (known.entity_type, known.entity_id)
            and segment.soft_deleted_at is null and not exists (
                select from audience_members as there
                where there.organisation_id = known.organisation_id
                    and there.mailchimp_list_id = known.mailchimp_list_id
                    and there.subscriber_hash = member.subscriber_hash and there.status = 'subscribed'
            )
    )
order by known.subscriber_hash
""")


def _replaced_hash(known: LiteralString, new: LiteralString) -> LiteralString:
    """Return the SQL expression for `replaced_hash`: the address that the member `known` replaced by `new`.

    It is null if the contact has the new address in the source too. Otherwise both addresses stay known, so that a
    withdrawal for one of them applies to both.
    """
    return f"""case when not exists (
        select from segment_members as wanted where wanted.organisation_id = {known}.organisation_id
            and wanted.mailchimp_list_id = {known}.mailchimp_list_id and wanted.subscriber_hash = {new}
            and (wanted.entity_type, wanted.entity_id) = ({known}.entity_type, {known}.entity_id)
    ) then nullif(coalesce({known}.replaced_hash, {known}.subscriber_hash), {new}) end"""


MOVE_ADDRESSES = sql.SQL(f"""
with unknown as (
    select reported.subscriber_hash, reported.contact_id, reported.member_id from {_REPORTED_AND_KNOWN}
    where reported.contact_id is not null and known.subscriber_hash is null
),
moved as (
    select distinct on (contact_id) known.subscriber_hash as former, unknown.subscriber_hash, unknown.member_id
    from unknown cross join lateral (
        select subscriber_hash, pushed_at from audience_members as every
        where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
            and every.contact_id between unknown.contact_id and unknown.contact_id
        order by every.contact_id offset 0
    ) as known
    order by contact_id, known.pushed_at desc nulls last
)
update audience_members as known set subscriber_hash = moved.subscriber_hash, member_id = moved.member_id, email = null,
    digest = null,
    replaced_hash = case when not {PUSH_UNFINISHED} then {_replaced_hash("known", "moved.subscriber_hash")} end
from moved
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash = moved.former
""")
"""Update the addresses of members that Mailchimp reports at a new address with a known contact id.

Either the contact changed the address, or the pipeline did and Mailchimp's answer was lost.
"""

_CONTACTS_OF = f"""
    cross join lateral (
        select entity_type, entity_id from ({HOLDERS}) as holder
        union all select null, null where not exists ({HOLDERS})
    ) as contact
"""
"""The known contacts with the address of `about`, or one row of nulls if there is no such contact."""

_CONTACTS_AND_ADDRESS = f"""
    cross join lateral (select entity_type, entity_id from ({HOLDERS}) as holder union all select null, null) as contact
"""
"""The known contacts with the address of `about`, and always one row of nulls.

The row of nulls becomes a statement about the address alone. The next sync attributes it to further contacts who have
the address in the source.
"""

_LAST_WITHOUT_ENTITY: LiteralString = "contact.entity_type nulls last, contact.entity_id"

_NOT_RECORDED: LiteralString = """about.subscriber_hash is not null and not exists (
    select from consent_statements as recorded
    where recorded.organisation_id = %(organisation_id)s and recorded.subscriber_hash = about.subscriber_hash
        and recorded.mailchimp_list_id = %(list_id)s and recorded.stated_at = about.changed_at
        and recorded.entity_id is null and not recorded.opted_in
)"""
"""Whether the withdrawal `about` is not recorded yet.

Mailchimp may report a withdrawal again. This must not withdraw the consent of a contact who opted in since.
"""

_ADDRESSES: LiteralString = """
    unnest(array[reported.subscriber_hash, case when known.entity_id is null then known.replaced_hash end])
"""
"""The addresses to which a reported withdrawal applies.

They are the member's address and, if its contact is unknown, the address that it replaced at Mailchimp.
"""

DEPARTURES = sql.SQL(f"""
select contact.entity_type, contact.entity_id, about.subscriber_hash, false, about.changed_at, about.channel
from (
    select {_ADDRESSES} as subscriber_hash, coalesce(reported.changed_at, %(at)s) as changed_at, reported.channel
    from {_REPORTED_AND_KNOWN}
    where reported.status = 'unsubscribed' and (
        known.status is distinct from 'unsubscribed' and coalesce(reported.changed_at >= known.changed_at, true)
        or reported.changed_at > known.changed_at
    )
) as about {_CONTACTS_AND_ADDRESS}
where {_NOT_RECORDED}
order by about.changed_at, about.subscriber_hash, {_LAST_WITHOUT_ENTITY}
""")
"""The consent statements to record for members whom Mailchimp newly reports as unsubscribed."""

RETURNS = sql.SQL(f"""
select contact.entity_type, contact.entity_id, about.subscriber_hash, true, about.changed_at, 'form'
from (
    select reported.subscriber_hash, reported.changed_at from {_REPORTED_AND_KNOWN}
    where reported.status = 'subscribed' and known.status in ('unsubscribed', 'pending')
        and reported.changed_at > known.changed_at
        and (reported.contact_id is null or known.contact_id is null or reported.contact_id = known.contact_id)
        -- The pipeline may have subscribed them, and the answer was lost.
        and not {PUSH_UNFINISHED}
) as about {_CONTACTS_OF}
where exists (select from ({WITHDRAWALS_AT_ADDRESS}) as withdrawn where withdrawn.mailchimp_list_id = %(list_id)s)
order by about.changed_at, about.subscriber_hash
""")
"""The opt-ins to record for members who subscribed again in the audience in which they had withdrawn consent."""

WITHDRAWALS = sql.SQL(f"""
select contact.entity_type, contact.entity_id, about.subscriber_hash, false, about.changed_at, about.channel
from (
    select {_ADDRESSES} as subscriber_hash, reported.changed_at, reported.channel from {_REPORTED_AND_KNOWN}
) as about {_CONTACTS_AND_ADDRESS}
where {_NOT_RECORDED}
order by about.changed_at, about.subscriber_hash, {_LAST_WITHOUT_ENTITY}
""")
"""The consent statements to record for withdrawals that the members' status does not show, such as complaints."""

RECORD_STATES = sql.SQL(f"""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, member_id, status, changed_at, contact_id, entity_type,
    entity_id
)
select %(organisation_id)s, %(list_id)s, reported.subscriber_hash, reported.member_id, reported.status,
    reported.changed_at, reported.contact_id, ours.entity_type, ours.entity_id
from ({REPORTED}) as reported
-- If the answer of a push was lost, the contact of the member must still be known, for an opt-out.
left join lateral (
    select entity_type, entity_id from (
        select * from segment_members as every
        where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = %(list_id)s
            and every.subscriber_hash between reported.subscriber_hash and reported.subscriber_hash
        order by every.subscriber_hash offset 0
    ) as member
    order by entity_type, entity_id limit 1
) as ours on true
order by reported.subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    -- The pipeline archived this leaver, and the answer was lost.
    status = case
        when known.leaving and known.status = 'subscribed' and excluded.status = 'archived' and {PUSH_UNFINISHED}
            then 'removed'
        else {STATUS_AFTER_REPORT_SQL} end,
    changed_at = greatest(known.changed_at, excluded.changed_at),
    contact_id = coalesce(excluded.contact_id, known.contact_id), member_id = excluded.member_id,
    leaving = known.leaving and excluded.status <> 'archived'
where known.status is distinct from excluded.status or excluded.changed_at > known.changed_at
    or known.member_id is distinct from excluded.member_id
    or excluded.contact_id is not null and known.contact_id is distinct from excluded.contact_id
""")

# A rejected contact is sent again once Mailchimp reports another status.
FORGET_REJECTIONS = sql.SQL(f"""
delete from rejected_contacts as rejected using {_REPORTED_AND_KNOWN}
where rejected.organisation_id = %(organisation_id)s and rejected.mailchimp_list_id = %(list_id)s
    and rejected.subscriber_hash = reported.subscriber_hash and known.status is distinct from reported.status
""")

RECORD_RESULT = sql.SQL("""
update audience_members as known set
    status = %(status)s, changed_at = greatest(known.changed_at, %(changed_at)s),
    contact_id = coalesce(%(contact_id)s, known.contact_id),
    leaving = leaving and %(status)s is not distinct from 'pending',
    digest = case when %(status)s::text is null then null else digest end
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = %(subscriber_hash)s
""")

MAKE_ROOM = sql.SQL("""
delete from audience_members
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(new)s
""")

RECORD_ADDRESS = sql.SQL("""
update audience_members set subscriber_hash = %(new)s, member_id = %(member_id)s, email = %(email)s, digest = null,
    contact_id = coalesce(%(contact_id)s, contact_id), leaving = false, replaced_hash = null
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(former)s
""")

_SENT: LiteralString = """
unnest(
    %(hashes)s::text[], %(emails)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[], %(digests)s::text[],
    %(contact_ids)s::text[], %(member_ids)s::text[]
) as sent (subscriber_hash, email, entity_type, entity_id, digest, contact_id, member_id)
"""

RECORD_ACCEPTED = sql.SQL(f"""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, member_id, email, entity_type, entity_id, digest, status,
    first_pushed_at, pushed_at, changed_at, contact_id
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, member_id, email, entity_type, entity_id, digest, %(status)s,
    %(at)s, %(at)s, %(changed_at)s, contact_id
from {_SENT}
order by subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = {STATUS_AFTER_REPORT_SQL}, changed_at = greatest(known.changed_at, excluded.changed_at),
    member_id = excluded.member_id, email = excluded.email, entity_type = excluded.entity_type,
    entity_id = excluded.entity_id, digest = excluded.digest,
    contact_id = coalesce(excluded.contact_id, known.contact_id), leaving = false, replaced_hash = null,
    first_pushed_at = coalesce(known.first_pushed_at, excluded.first_pushed_at), pushed_at = excluded.pushed_at
""")

ACCEPTED_AFTER_ALL = sql.SQL("""
delete from rejected_contacts
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = any (%(hashes)s::text[])
""")

RECORD_REJECTED = sql.SQL("""
insert into rejected_contacts as known (
    organisation_id, mailchimp_list_id, subscriber_hash, entity_type, entity_id, reason, is_final, digest,
    merge_fields, attempts, rejected_at, last_attempt_at, next_attempt_at
)
select %(organisation_id)s, %(list_id)s, subscriber_hash, entity_type, entity_id, reason, is_final, digest,
    %(merge_fields)s, attempts, %(at)s, %(at)s, next_attempt_at
from unnest(
    %(hashes)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[], %(digests)s::text[], %(reasons)s::text[],
    %(finals)s::boolean[], %(attempts)s::integer[], %(next_attempts)s::timestamptz[]
) as rejected (subscriber_hash, entity_type, entity_id, digest, reason, is_final, attempts, next_attempt_at)
order by subscriber_hash
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    entity_type = excluded.entity_type, entity_id = excluded.entity_id, reason = excluded.reason,
    is_final = excluded.is_final, digest = excluded.digest, merge_fields = excluded.merge_fields,
    attempts = excluded.attempts, last_attempt_at = excluded.last_attempt_at,
    next_attempt_at = excluded.next_attempt_at
""")

ATTEMPTS = sql.SQL("""
select subscriber_hash, attempts from rejected_contacts
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = any (%(hashes)s::text[])
""")
