"""Who is to be told to Mailchimp apart from the push, and what became of one member."""

from psycopg import sql

from mailchimp_pipeline.database.ledger.statements.consent import MAILED_THOUGH_OPTED_OUT
from mailchimp_pipeline.database.ledger.statements.differences import LIVE_MEMBER

WITHDRAWN = sql.SQL(f"""
select subscriber_hash, contact_id from ({MAILED_THOUGH_OPTED_OUT}) as mailed
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s order by subscriber_hash
""")  # noqa: S608 - put together of constants

LEAVERS = sql.SQL(f"""
select known.subscriber_hash from audience_members as known
where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
    -- Mailchimp archives nobody who has yet to confirm: they leave once they have.
    and known.leaving and known.state = 'pushed' and known.status = 'subscribed'
    and not exists ({LIVE_MEMBER})
    -- Who only has another address keeps the former one until Mailchimp mails the other.
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
""")  # noqa: S608 - put together of constants

NOTE = sql.SQL("""
update audience_members set
    status = %(status)s, changed_at = %(at)s, leaving = leaving and %(status)s is not distinct from 'pending',
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
update audience_members set subscriber_hash = %(new)s, email = %(email)s, digest = null, leaving = false,
    replaced_hash = null
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(former)s
""")
