"""What members say of consent by leaving an audience, and by coming back to one that they left."""

from typing import LiteralString

from psycopg import sql

from mailchimp_pipeline.database.ledger.statements.standings import CLOCKS_DIFFER, PUSH_UNFINISHED, SEEN

# Two conditions and not one: each has an index.
HAS_OPTED_OUT = """(
    exists (
        select from email_preferences as said
        where said.organisation_id = known.organisation_id and not said.opted_in
            and said.entity_type = known.entity_type and said.entity_id = known.entity_id
    ) or exists (
        select from email_preferences as said
        where said.organisation_id = known.organisation_id and not said.opted_in
            and said.subscriber_hash = known.subscriber_hash
    )
)"""

# From the few who opted out to the members, by a lookup for each: an offset keeps PostgreSQL from turning it round.
MAILED_THOUGH_OPTED_OUT = """
select known.organisation_id, known.mailchimp_list_id, known.subscriber_hash, known.contact_id
from email_preferences as said cross join lateral (
    select * from audience_members as theirs
    where theirs.organisation_id = said.organisation_id
        and theirs.entity_type = said.entity_type and theirs.entity_id = said.entity_id offset 0
) as known
where not said.opted_in and known.status in ('subscribed', 'pending')
union
select known.organisation_id, known.mailchimp_list_id, known.subscriber_hash, known.contact_id
from email_preferences as said join (
    select organisation_id, mailchimp_list_id from audience_reads
    union select organisation_id, mailchimp_list_id from audience_webhooks
) as audience using (organisation_id) cross join lateral (
    select * from audience_members as there
    where there.organisation_id = said.organisation_id and there.mailchimp_list_id = audience.mailchimp_list_id
        and there.subscriber_hash = said.subscriber_hash offset 0
) as known
where not said.opted_in and known.status in ('subscribed', 'pending')
"""


def withdrawing(contacts: LiteralString) -> sql.SQL:
    """Return the statement by which contacts withdrew their consent at Mailchimp, unless they gave it later.

    `contacts` is a query of entity_type, entity_id, subscriber_hash and changed_at, when they did.
    """
    return sql.SQL(f"""
with contacts as ({contacts}),
told as (
    insert into email_preferences as said (
        organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_withdrawn_at, consent_source,
        updated_at
    )
    select distinct on (entity_type, entity_id)
        %(organisation_id)s, entity_type, entity_id, subscriber_hash, false, changed_at, 'mailchimp', %(at)s
    from contacts
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


WITHDRAW_CONSENT = withdrawing(f"""
    with gone as (
        select subscriber_hash, changed_at from ({SEEN}) as seen
        where status = 'unsubscribed' and not exists (
            -- What is known already is no new word; where we carried a withdrawal there, it was none of others' at all.
            select from audience_members as known
            where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
                and known.subscriber_hash = seen.subscriber_hash and (
                    known.status = 'unsubscribed' and seen.changed_at <= known.changed_at + {CLOCKS_DIFFER}
                    -- So it is where we were about to, and the answer was lost.
                    or known.status in ('subscribed', 'pending') and {HAS_OPTED_OUT}
                )
        )
    ),
    theirs as (
        select entity_type, entity_id, subscriber_hash from segment_members
        where organisation_id = %(organisation_id)s and subscriber_hash in (select subscriber_hash from gone)
        union
        select entity_type, entity_id, subscriber_hash from audience_members
        where organisation_id = %(organisation_id)s and subscriber_hash in (select subscriber_hash from gone)
            and entity_id is not null
        union
        select entity_type, entity_id, subscriber_hash from email_preferences
        where organisation_id = %(organisation_id)s and subscriber_hash in (select subscriber_hash from gone)
    )
    select entity_type, entity_id, subscriber_hash, changed_at from theirs join gone using (subscriber_hash)
""")  # noqa: S608 - put together of constants

CAME_BACK = f"""
    select seen.subscriber_hash, seen.status, seen.changed_at, known.entity_type, known.entity_id,
        known.changed_at as left_at
    from ({SEEN}) as seen
    join audience_members as known on known.organisation_id = %(organisation_id)s
        and known.mailchimp_list_id = %(list_id)s and known.subscriber_hash = seen.subscriber_hash
    where seen.status in ('subscribed', 'pending') and known.status = 'unsubscribed'
        and (seen.contact_id is null or known.contact_id is null or seen.contact_id = known.contact_id)
        and seen.changed_at > known.changed_at
        -- We may have subscribed them ourselves, and the answer was lost.
        and not {PUSH_UNFINISHED}
"""  # noqa: S608 - put together of constants
"""Members that left the audience and are there again, by nobody's doing that we know of."""

TOLD_AT_MAILCHIMP = """(
    said.organisation_id = %(organisation_id)s and not said.opted_in and said.consent_source = 'mailchimp'
    and date_trunc('second', said.consent_withdrawn_at) < back.changed_at
    -- Where we carried the withdrawal, any program may undo it; whom Mailchimp heard of leaving, it lets nobody else
    -- bring back.
    and coalesce(date_trunc('second', back.left_at) = date_trunc('second', said.consent_withdrawn_at), true)
    and (
        said.subscriber_hash = back.subscriber_hash
        or (said.entity_type, said.entity_id) = (back.entity_type, back.entity_id)
    )
)"""
"""A withdrawal `said` to which coming `back` is the later word. One that we were told ourselves stays."""


def giving(back: LiteralString) -> sql.SQL:
    """Return the statement that takes it for consent to be `back`; a query like `CAME_BACK`, without the pending."""
    return sql.SQL(f"""
with back as ({back}),
told as (
    update email_preferences as said set opted_in = true, consent_given_at = latest.changed_at, updated_at = %(at)s
    from (
        select said.entity_type, said.entity_id, max(back.changed_at) as changed_at
        from back join email_preferences as said on {TOLD_AT_MAILCHIMP}
        group by said.entity_type, said.entity_id
    ) as latest
    where said.organisation_id = %(organisation_id)s
        and (said.entity_type, said.entity_id) = (latest.entity_type, latest.entity_id)
    returning said.entity_type, said.entity_id, said.consent_given_at
)
insert into audit_log (organisation_id, actor, action, entity_type, entity_id, at, details)
select %(organisation_id)s, 'mailchimp', 'preference.opted_in', entity_type, entity_id, %(at)s,
    jsonb_build_object('consent_source', 'mailchimp', 'consent_given_at', consent_given_at)
from told
""")  # noqa: S608 - put together of constants


GIVE_CONSENT = giving(f"select * from ({CAME_BACK}) as came_back where status = 'subscribed'")  # noqa: S608 - of constants

AWAITED = sql.SQL(f"""
select back.subscriber_hash from ({CAME_BACK}) as back
where back.status = 'pending' and exists (select from email_preferences as said where {TOLD_AT_MAILCHIMP})
""")  # noqa: S608 - put together of constants
"""Members who are coming back, and whom Mailchimp asked to confirm: until they do, they have left."""
