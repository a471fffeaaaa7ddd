"""Writing down what became of a batch."""

from psycopg import sql

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
    contact_id = coalesce(excluded.contact_id, known.contact_id), leaving = false, replaced_hash = null,
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
