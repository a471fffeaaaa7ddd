"""The rules that decide whether a contact may be e-mailed. No other module decides it.

A contact is an employee or a vendor at an address. It may be e-mailed in every audience, unless

1. it was erased, or its address is or was the address of an erased contact (`erased`);
2. it withdrew consent, and did not opt in later (`opted_out`);
3. consent was withdrawn for its address, and no contact with the address opted in later (`opted_out`);
4. the current address of a contact who withdrew consent is the same (`opted_out`);
5. the organisation requires an opt-in, and the contact did not opt in (`no_consent`).

An opt-in recorded by this pipeline supersedes every withdrawal that was recorded before it, and every withdrawal made
at Mailchimp more than ten minutes earlier, because clocks differ. A sign-up at Mailchimp supersedes an earlier
withdrawal in the same audience only. In doubt, the withdrawal counts.

The SQL uses psycopg's placeholder `organisation_id`. Rule 1 compares keyed hashes, which SQL cannot compute: the caller
passes the erased contacts as the arrays `erased_addresses`, `erased_types` and `erased_ids`.
"""

from typing import LiteralString

_COMES_AFTER: LiteralString = """(
    given.mailchimp_list_id is null and (
        given.id > withdrawn.id
        or withdrawn.mailchimp_list_id is not null and given.stated_at > withdrawn.stated_at + interval '10 minutes'
    )
    or given.mailchimp_list_id = withdrawn.mailchimp_list_id and given.stated_at > withdrawn.stated_at
)"""

_IN_FORCE_FOR_CONTACT: LiteralString = f"""not exists (
    select from consent_statements as given
    where given.organisation_id = withdrawn.organisation_id and given.opted_in
        and given.entity_type = withdrawn.entity_type and given.entity_id = withdrawn.entity_id and {_COMES_AFTER}
)"""

_IN_FORCE_AT_ADDRESS: LiteralString = f"""not exists (
    select from consent_statements as given
    where given.organisation_id = withdrawn.organisation_id and given.opted_in
        and given.subscriber_hash = withdrawn.subscriber_hash and {_COMES_AFTER}
)"""

WITHDRAWALS_OF_CONTACT: LiteralString = f"""
    select withdrawn.* from consent_statements as withdrawn
    where withdrawn.organisation_id = %(organisation_id)s and not withdrawn.opted_in
        and withdrawn.entity_type = about.entity_type and withdrawn.entity_id = about.entity_id
        and {_IN_FORCE_FOR_CONTACT}
"""
"""The withdrawals of a contact that no opt-in supersedes. The contact is opted out if there is one. `about` is the row
of the surrounding query with the contact's entity_type and entity_id."""

WITHDRAWALS_AT_ADDRESS: LiteralString = f"""
    select withdrawn.* from consent_statements as withdrawn
    where withdrawn.organisation_id = %(organisation_id)s and not withdrawn.opted_in
        and withdrawn.subscriber_hash = about.subscriber_hash and {_IN_FORCE_AT_ADDRESS}
"""
"""The withdrawals for an address that no opt-in supersedes. `about` is the row of the surrounding query with the
address's subscriber_hash."""

CONSENT_REQUIRED: LiteralString = """exists (
    select from mailchimp_connections as connection
    where connection.organisation_id = %(organisation_id)s and connection.soft_deleted_at is null
        and connection.opt_in_only
)"""

EXCLUSION: LiteralString = f"""case
    when about.subscriber_hash = any (%(erased_addresses)s::text[]) or exists (
        select from unnest(%(erased_types)s::text[], %(erased_ids)s::text[]) as erased (entity_type, entity_id)
        where erased.entity_type = about.entity_type and erased.entity_id = about.entity_id
    ) then 'erased'
    when exists (
        select from email_preferences as preference
        where preference.organisation_id = %(organisation_id)s and not preference.opted_in
            and preference.entity_type = about.entity_type and preference.entity_id = about.entity_id
    ) or exists (
        select from email_preferences as preference
        where preference.organisation_id = %(organisation_id)s and not preference.opted_in
            and preference.subscriber_hash = about.subscriber_hash
    ) or exists ({WITHDRAWALS_AT_ADDRESS}) then 'opted_out'
    when {CONSENT_REQUIRED} and not exists (
        select from email_preferences as preference
        where preference.organisation_id = %(organisation_id)s and preference.opted_in
            and preference.entity_type = about.entity_type and preference.entity_id = about.entity_id
    ) then 'no_consent'
end"""
"""The reason why a contact may not be e-mailed, null if it may. `about` is the row of the surrounding query with the
contact's entity_type, entity_id and subscriber_hash."""

SUPPRESSED_CONTACTS: LiteralString = """
select entity_type, entity_id from email_preferences
where organisation_id = %(organisation_id)s and not opted_in
"""
"""The contacts that rule 2 excludes: they withdrew consent."""

SUPPRESSED_ADDRESSES: LiteralString = f"""
select subscriber_hash from email_preferences
where organisation_id = %(organisation_id)s and not opted_in and subscriber_hash is not null
union
select withdrawn.subscriber_hash from consent_statements as withdrawn
where withdrawn.organisation_id = %(organisation_id)s and not withdrawn.opted_in
    and withdrawn.subscriber_hash is not null and {_IN_FORCE_AT_ADDRESS}
"""
"""The addresses that rules 3 and 4 exclude: consent was withdrawn for them, or by a contact with the address."""

_ERASED_CONTACTS: LiteralString = """
select entity_type, entity_id
from unnest(%(erased_types)s::text[], %(erased_ids)s::text[]) as erased (entity_type, entity_id)
"""

ERASED_ADDRESSES: LiteralString = """
select subscriber_hash from unnest(%(erased_addresses)s::text[]) as erased (subscriber_hash)
"""
"""The addresses that rule 1 excludes: those of erased contacts, which the caller passes."""

SUPPRESSED_MEMBERS: LiteralString = f"""
select member.subscriber_hash from ({SUPPRESSED_CONTACTS} union all {_ERASED_CONTACTS}) as about cross join lateral (
    select * from segment_members as theirs
    where theirs.organisation_id = %(organisation_id)s
        and theirs.entity_type = about.entity_type and theirs.entity_id = about.entity_id offset 0
) as member
where member.segment_id = %(segment_id)s
union
select member.subscriber_hash
from (({SUPPRESSED_ADDRESSES}) union all {ERASED_ADDRESSES}) as about cross join lateral (
    select * from segment_members as there
    where there.segment_id = %(segment_id)s and there.subscriber_hash = about.subscriber_hash
        and there.organisation_id = %(organisation_id)s offset 0
) as member
union
select member.subscriber_hash from segment_members as member
where {CONSENT_REQUIRED} and member.organisation_id = %(organisation_id)s and member.segment_id = %(segment_id)s
    and not exists (
        select from email_preferences as preference
        where preference.organisation_id = %(organisation_id)s and preference.opted_in
            and preference.entity_type = member.entity_type and preference.entity_id = member.entity_id
    )
"""
"""The members of the segment `segment_id` who may not be e-mailed. The rules are those of `EXCLUSION`, in a query that
is fast for a whole segment."""

CONSENTED_CONTACTS: LiteralString = """
select entity_type, entity_id from email_preferences
where organisation_id = %(organisation_id)s and opted_in
"""
"""The contacts who opted in, which rule 5 requires."""

RECENTLY_CHANGED: LiteralString = """(
    exists (
        select from consent_statements
        where organisation_id = %(organisation_id)s and recorded_at > %(since)s
    ) or exists (
        select from erasure_requests
        where organisation_id = %(organisation_id)s and (completed_at is null or completed_at > %(since)s)
    )
)"""
"""Whether a decision may have changed after the time `since`, because of a consent statement or an erasure."""
