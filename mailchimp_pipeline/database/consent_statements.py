"""Record consent statements: opt-ins and withdrawals of consent.

A statement may be about an address without a known contact. It is attributed to the contacts with the address once the
source shows them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, LiteralString, cast

import pandas as pd
from psycopg import sql

from mailchimp_pipeline.consent import Channel, ConsentStatement
from mailchimp_pipeline.consent.decision import WITHDRAWALS_OF_CONTACT
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.bulk import contact_arrays, text_array
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.locks import consent_lock, lock_for_transaction
from mailchimp_pipeline.database.session import OrganisationSession, driver_connection

_GIVEN: LiteralString = """
unnest(
    %(entity_types)s::text[], %(entity_ids)s::text[], %(hashes)s::text[], %(opted_in)s::boolean[], %(sources)s::text[],
    %(list_ids)s::text[], %(channels)s::text[], %(stated)s::timestamptz[]
) with ordinality as given (
    entity_type, entity_id, subscriber_hash, opted_in, source, mailchimp_list_id, channel, stated_at, place
)
"""

# Mailchimp reports a statement more than once: by webhook and by listing, or after a crash.
_INSERT = sql.SQL(f"""
insert into consent_statements (
    organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, mailchimp_list_id, channel, stated_at,
    recorded_at
)
select %(organisation_id)s, entity_type, entity_id, subscriber_hash, opted_in, source, mailchimp_list_id, channel,
    stated_at, %(at)s
from {_GIVEN}
where mailchimp_list_id is null or not exists (
    select from consent_statements as known
    where known.organisation_id = %(organisation_id)s and known.subscriber_hash = given.subscriber_hash
        and known.mailchimp_list_id = given.mailchimp_list_id and known.opted_in = given.opted_in
        and known.stated_at = given.stated_at
        and (known.entity_type, known.entity_id) is not distinct from (given.entity_type, given.entity_id)
)
order by place
returning entity_type, entity_id, opted_in, source, mailchimp_list_id, channel
""")

_DERIVE = sql.SQL(f"""
insert into email_preferences as preference (
    organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_given_at, consent_withdrawn_at,
    consent_source, updated_at, statement_id
)
select %(organisation_id)s, about.entity_type, about.entity_id, every.subscriber_hash, withdrawal.id is null,
    every.given_at, every.withdrawn_at, coalesce(withdrawal.source, every.given_source), %(at)s, every.latest
from (
    select distinct entity_type, entity_id
    from unnest(%(entity_types)s::text[], %(entity_ids)s::text[]) as given (entity_type, entity_id)
    where entity_id is not null
) as about
cross join lateral (
    select max(id) as latest, max(stated_at) filter (where opted_in) as given_at,
        max(stated_at) filter (where not opted_in) as withdrawn_at,
        (array_agg(source order by id desc) filter (where opted_in))[1] as given_source,
        (array_agg(subscriber_hash order by id desc) filter (where subscriber_hash is not null))[1] as subscriber_hash
    from consent_statements as statement
    where statement.organisation_id = %(organisation_id)s
        and statement.entity_type = about.entity_type and statement.entity_id = about.entity_id
) as every
left join lateral (
    select id, source from ({WITHDRAWALS_OF_CONTACT}) as in_force order by id desc limit 1
) as withdrawal on true
where every.latest is not null
on conflict (organisation_id, entity_type, entity_id) do update set
    subscriber_hash = coalesce(excluded.subscriber_hash, preference.subscriber_hash), opted_in = excluded.opted_in,
    consent_given_at = excluded.consent_given_at, consent_withdrawn_at = excluded.consent_withdrawn_at,
    consent_source = excluded.consent_source, updated_at = excluded.updated_at, statement_id = excluded.statement_id
""")

# `offset 0` makes PostgreSQL look up each audience by its index.
HOLDERS: LiteralString = """
select member.entity_type, member.entity_id from (
    select distinct mailchimp_list_id from contact_segments where organisation_id = %(organisation_id)s
) as audience cross join lateral (
    select entity_type, entity_id from segment_members as every
    where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = audience.mailchimp_list_id
        and every.subscriber_hash = about.subscriber_hash offset 0
) as member
union
select member.entity_type, member.entity_id from (
    select mailchimp_list_id from audience_reads where organisation_id = %(organisation_id)s
) as audience cross join lateral (
    select entity_type, entity_id from audience_members as every
    where every.organisation_id = %(organisation_id)s and every.mailchimp_list_id = audience.mailchimp_list_id
        and every.subscriber_hash = about.subscriber_hash offset 0
) as member
where member.entity_id is not null
union
select entity_type, entity_id from email_preferences as preference
where preference.organisation_id = %(organisation_id)s and preference.subscriber_hash = about.subscriber_hash
"""
"""The contacts (entity_type, entity_id) with the address of `about`, according to any table."""

_REFRESH = sql.SQL("""
update email_preferences as preference set subscriber_hash = present.subscriber_hash
from (
    select known.entity_type, known.entity_id, theirs.subscriber_hash
    from email_preferences as known
    left join (
        select distinct on (entity_type, entity_id) entity_type, entity_id, subscriber_hash
        from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
            as theirs (subscriber_hash, entity_type, entity_id)
        order by entity_type, entity_id, subscriber_hash
    ) as theirs using (entity_type, entity_id)
    where known.organisation_id = %(organisation_id)s and known.entity_type = any (%(relations)s)
) as present
where preference.organisation_id = %(organisation_id)s and preference.entity_type = present.entity_type
    and preference.entity_id = present.entity_id and preference.subscriber_hash is distinct from present.subscriber_hash
""")

# A withdrawal stays unattributed until a contact with the address opts in.
_UNATTRIBUTED = sql.SQL("""
select withdrawn.subscriber_hash, withdrawn.source, withdrawn.mailchimp_list_id, withdrawn.channel, withdrawn.stated_at,
    withdrawn.id
from consent_statements as withdrawn
where withdrawn.organisation_id = %(organisation_id)s and withdrawn.entity_id is null and not withdrawn.opted_in
    and not exists (
        select from consent_statements as known
        where known.organisation_id = %(organisation_id)s and known.subscriber_hash = withdrawn.subscriber_hash
            and known.opted_in and known.id > withdrawn.id
    )
order by withdrawn.id
""")

_LATEST_OPT_INS = sql.SQL("""
select given.entity_type, given.entity_id, max(given.id)
from unnest(%(entity_types)s::text[], %(entity_ids)s::text[]) as about (entity_type, entity_id)
join consent_statements as given using (entity_type, entity_id)
where given.organisation_id = %(organisation_id)s and given.opted_in and given.mailchimp_list_id is null
group by given.entity_type, given.entity_id
""")
"""The id of the latest opt-in that each given contact made in this pipeline, not at Mailchimp.

Such an opt-in supersedes every withdrawal recorded before it.
"""


def as_statement(row: Sequence[Any], *, source: Any, list_id: Any) -> ConsentStatement:  # noqa: ANN401 - a row's columns
    """Convert a row to a consent statement. `list_id` is the audience in which it was made, None if it was made here.

    The row has entity_type, entity_id, subscriber_hash, opted_in, stated_at and channel.
    """
    entity_type, entity_id, key, opted_in, stated_at, channel = row
    return ConsentStatement(
        opted_in=opted_in,
        source=source,
        stated_at=stated_at,
        contact=None if entity_id is None else (EntityType(entity_type), entity_id),
        subscriber_hash=key,
        mailchimp_list_id=list_id,
        channel=None if channel is None else Channel(channel),
    )


def record_statements(
    session: OrganisationSession, keyring: Keyring, statements: Sequence[ConsentStatement], *, by: str, at: datetime
) -> int:
    """Record consent statements in this order, and update the preferences of their contacts.

    A statement made at Mailchimp is ignored if it is recorded already. Return how many statements were recorded. Each
    recorded statement of a contact also gets an audit log entry.
    """
    if not statements:
        return 0
    # Statements are recorded one transaction after the other, so that ids follow the order of recording.
    lock_for_transaction(session, consent_lock(session.organisation_id))
    parameters = {"organisation_id": session.organisation_id, "at": at, **_arrays(statements)}
    connection = driver_connection(session)
    recorded = connection.execute(_INSERT, parameters).fetchall()
    if not recorded:
        return 0
    connection.execute(_DERIVE, parameters)
    for entity_type, entity_id, opted_in, source, list_id, channel in recorded:
        if entity_id is not None:
            action = "preference.opted_in" if opted_in else "preference.opted_out"
            place = {"mailchimp_list_id": list_id, "channel": channel}
            details = {"consent_source": source} | {name: value for name, value in place.items() if value is not None}
            entity = audit_log.contact_entity(session, keyring, (EntityType(str(entity_type)), str(entity_id)))
            audit_log.write(session, audit_log.Entry(by, action, entity, at, details))
    return len(recorded)


def record_current_addresses(
    session: OrganisationSession, keyring: Keyring, contacts: pd.DataFrame, *, at: datetime
) -> None:
    """Store contacts' current addresses in their preferences, and attribute withdrawals that are about an address.

    `contacts` has entity_type, entity_id and subscriber_hash of all the organisation's employees, all its vendors, or
    both. A withdrawal about an address becomes a withdrawal of every contact with the address. This ends once a contact
    opts in at that address. Contacts who opted in after the withdrawal was recorded, at any address, are left out.
    """
    # The lock is taken before any row lock, as everywhere.
    lock_for_transaction(session, consent_lock(session.organisation_id))
    with_address = contacts[contacts["subscriber_hash"].notna()]
    connection, ours = driver_connection(session), {"organisation_id": session.organisation_id}
    known = "select entity_id from email_preferences where organisation_id = %(organisation_id)s"
    if ids := [str(entity_id) for (entity_id,) in connection.execute(known, ours)]:
        few = with_address[with_address["entity_id"].isin(ids)]
        relations = sorted(set(contacts["entity_type"].unique()))
        connection.execute(_REFRESH, {**ours, **contact_arrays(few), "relations": relations})
    found = cast("list[tuple[str, Any, Any, Any, Any, int]]", connection.execute(_UNATTRIBUTED, ours).fetchall())
    holders = contacts_by_address(contacts, [row[0] for row in found]) if found else {}
    if not holders:
        return
    there = contacts[contacts["subscriber_hash"].isin(list(holders))]
    erased = ErasedContacts(session, keyring).among(there).contacts
    latest = _latest_opt_ins(session, {contact for each in holders.values() for contact in each})
    statements = [
        as_statement((*contact, key, False, stated_at, channel), source=source, list_id=list_id)
        for key, source, list_id, channel, stated_at, withdrawn in found
        for contact in holders.get(key, ())
        if contact not in erased and latest.get(contact, 0) < withdrawn
    ]
    record_statements(session, keyring, statements, by=audit_log.PIPELINE, at=at)


def _latest_opt_ins(session: OrganisationSession, contacts: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return, by contact, the id of the latest opt-in that the contact made in this pipeline.

    Contacts without such an opt-in are left out.
    """
    if not contacts:
        return {}
    entity_types, entity_ids = zip(*contacts, strict=True)
    parameters = {"entity_types": text_array(entity_types), "entity_ids": text_array(entity_ids)}
    ours = {"organisation_id": session.organisation_id}
    found = driver_connection(session).execute(_LATEST_OPT_INS, {**ours, **parameters}).fetchall()
    return {(entity_type, entity_id): latest for entity_type, entity_id, latest in cast("list[Any]", found)}


def contacts_by_address(contacts: pd.DataFrame, addresses: Collection[object]) -> dict[str, list[tuple[str, str]]]:
    """Return the contacts (entity_type, entity_id) at each of the addresses, which are subscriber hashes."""
    there = contacts[contacts["subscriber_hash"].isin(addresses)]
    holders: dict[str, list[tuple[str, str]]] = {}
    columns = (there[name].tolist() for name in ("subscriber_hash", "entity_type", "entity_id"))
    for key, entity_type, entity_id in sorted(zip(*columns, strict=True)):
        holders.setdefault(key, []).append((entity_type, entity_id))
    return holders


def _arrays(statements: Collection[ConsentStatement]) -> dict[str, object]:
    contacts = [statement.contact or (None, None) for statement in statements]
    return {
        "entity_types": text_array(kind and kind.value for kind, _ in contacts),
        "entity_ids": text_array(entity_id for _, entity_id in contacts),
        "hashes": text_array(each.subscriber_hash for each in statements),
        "opted_in": [each.opted_in for each in statements],
        "sources": text_array(each.source for each in statements),
        "list_ids": text_array(each.mailchimp_list_id for each in statements),
        "channels": text_array(each.channel and each.channel.value for each in statements),
        "stated": [each.stated_at for each in statements],
    }
