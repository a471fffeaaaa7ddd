"""What is wanted in an audience and what it has: read in pieces to be compared, and looked at closely where it differs.

A contact is wanted in an audience once, however many segments have its address: the first of them counts,
employees before vendors, then the lowest id, whole numbers by their value and before other ids.
"""

from typing import LiteralString

from psycopg import sql

COUNT = """
select count(*) from segment_members where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
"""

SHARING = """
select count(*) from contact_segments
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and soft_deleted_at is null
    and id <> %(segment_id)s
"""
"""How many other live segments the audience has: only they can have somebody else at the same address."""

MEMBERS = """
select count(*) from audience_members where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
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
    -- A limit keeps it a lookup for each: by the primary key, however little PostgreSQL expects to find.
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
KNOWN_COLUMNS = ("subscriber_hash", "digest", "attempted_digest", "state", "status")


def wanted(*, shared: bool) -> sql.SQL:
    """Return the query of a piece of the segment, `shared` with other segments or not: hash and digest, by hash."""
    piece = _FIRST_OF_ALL if shared else _OURS
    return sql.SQL(f"select subscriber_hash, digest from ({piece}) as wanted order by subscriber_hash")  # noqa: S608 - put together of constants


def contacts(*, shared: bool) -> sql.SQL:
    """Return the query of the contacts of a piece, by hash."""
    piece = _FIRST_OF_ALL if shared else _OURS
    columns: LiteralString = ", ".join(CONTACT_COLUMNS)
    return sql.SQL(f"select {columns} from ({piece}) as wanted order by subscriber_hash")  # noqa: S608 - put together of constants


def these_contacts(*, shared: bool) -> sql.SQL:
    """Return the query of those contacts of a piece that have these hashes, by hash."""
    piece = _FIRST_OF_ALL if shared else _OURS
    columns: LiteralString = ", ".join(CONTACT_COLUMNS)
    # Hashes are hex: as one text they travel faster than as an array.
    these = "subscriber_hash = any (string_to_array(%(hashes)s, ','))"
    return sql.SQL(f"select {columns} from ({piece}) as wanted where {these} order by subscriber_hash")  # noqa: S608 - put together of constants


_KNOWN = """
select known.subscriber_hash, known.digest, known.attempted_digest, known.state, known.status
"""

KNOWN = sql.SQL(f"""
{_KNOWN} from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    and known.subscriber_hash > %(after)s and known.subscriber_hash <= %(through)s
""")
"""What the audience has in a piece, whoever it is."""

KNOWN_OF_SEGMENT = sql.SQL(f"""
{_KNOWN} from segment_members as member
cross join lateral (
    select * from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = member.subscriber_hash limit 1
) as known
where member.organisation_id = %(organisation_id)s and member.segment_id = %(segment_id)s
    and member.subscriber_hash > %(after)s and member.subscriber_hash <= %(through)s
""")  # noqa: S608 - put together of constants
"""The same of the segment's members alone: a lookup for each."""

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

STANDING_COLUMNS = ("known_status", "returns", "moved_from", "own_address")

STANDINGS = sql.SQL(f"""
with given as (
    select * from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
        as given (subscriber_hash, entity_type, entity_id)
)
select
    -- Whom we archived because it had left is to us as one who was never there; whom others archived at an address
    -- that the source does not have any more, they archived.
    coalesce(
        case when known.state <> 'archived' then known.status end,
        case when known.subscriber_hash is null and theirs.was_archived then 'archived' end
    ) as known_status,
    case when known.status = 'unsubscribed' and exists (
        select from email_preferences as said
        where said.organisation_id = %(organisation_id)s and said.opted_in
            and said.consent_given_at > known.changed_at and (
                (said.entity_type, said.entity_id) = (given.entity_type, given.entity_id)
                or said.subscriber_hash = given.subscriber_hash
            )
    ) then 'yes' end as returns,
    case when not theirs.is_own then theirs.former end as moved_from,
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
        bool_or(is_own) filter (where counts) as is_own,
        bool_or(was_archived) as was_archived
    from (
        select every.subscriber_hash as former, every.pushed_at,
            every.replaced_hash is not distinct from given.subscriber_hash as is_own,
            every.status = 'archived' and every.state <> 'archived' as was_archived,
            -- Whatever became of it there, and whoever is there at this one: the contact gave it in place of this one.
            every.replaced_hash is not distinct from given.subscriber_hash
                    and every.state <> 'archived' and every.status is not null
                or known.subscriber_hash is null and every.is_mailed and not every.is_wanted as counts
        from (
            select known.*, exists ({LIVE_MEMBER}) as is_wanted,
                known.state in ('seen', 'pushed') and known.status in ('subscribed', 'pending') as is_mailed
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
""")  # noqa: S608 - put together of constants
"""How the given contacts stand in the audience, by hash; a row for each."""
