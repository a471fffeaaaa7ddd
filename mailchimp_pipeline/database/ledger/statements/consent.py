"""What an unsubscribed member says of consent."""

from psycopg import sql

from mailchimp_pipeline.database.ledger.statements.standings import CLOCKS_DIFFER, SEEN

HAS_OPTED_OUT = """exists (
    select from email_preferences as said
    where said.organisation_id = known.organisation_id and not said.opted_in and (
        (said.entity_type, said.entity_id) = (known.entity_type, known.entity_id)
        or said.subscriber_hash = known.subscriber_hash
    )
)"""

WITHDRAW_CONSENT = sql.SQL(f"""
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
