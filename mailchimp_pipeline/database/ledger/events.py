"""What a webhook tells of one member, taken over into the ledger as it happens.

Calls come late, twice and in any order. The latest of them decides how a member stands; consent goes by the
contact's own word to us, whatever came in between. What does not belong here: reading whole audiences (`ledger`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from mailchimp_pipeline.database.bulk import DriverConnection, driver_connection
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.ledger.statements import WITHDRAW_CONSENT, giving, replaced_hash
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline.webhooks import AddressChanged, MemberEvent, StandingChanged

_LOCK_TIMEOUT = "select set_config('lock_timeout', '5s', true)"
"""Mailchimp waits ten seconds for its answer, and comes again where there is none."""

_RANK = "array_position(array['subscribed', 'unknown', 'archived', 'cleaned', 'unsubscribed'], coalesce({}, 'unknown'))"

_IS_LATER = f"""(
    known.changed_at is null or date_trunc('second', known.changed_at) < %(changed_at)s
    -- Mailchimp's times have no fractions of a second: within the same one, what keeps us from mailing counts.
    or date_trunc('second', known.changed_at) = %(changed_at)s
        and coalesce({_RANK.format("%(status)s::text")}, 0) >= coalesce({_RANK.format("known.status")}, 0)
)"""

_TELL = sql.SQL(f"""
insert into audience_members as known (
    organisation_id, mailchimp_list_id, subscriber_hash, state, status, changed_at, entity_type, entity_id
)
select %(organisation_id)s, %(list_id)s, %(subscriber_hash)s, 'seen', %(status)s, %(changed_at)s,
    ours.entity_type, ours.entity_id
from (select) as told
left join (
    select entity_type, entity_id from segment_members
    where organisation_id = %(organisation_id)s and subscriber_hash = %(subscriber_hash)s
    order by entity_type, entity_id limit 1
) as ours on true
on conflict (organisation_id, mailchimp_list_id, subscriber_hash) do update set
    status = excluded.status, changed_at = excluded.changed_at,
    -- What was refused is tried again once Mailchimp says something new of the member.
    state = case when known.status is not distinct from excluded.status or known.state in ('seen', 'pushed')
        then known.state when known.digest is null then 'seen' else 'pushed' end,
    refusal = case when known.status is not distinct from excluded.status then known.refusal end,
    attempted_digest = case when known.status is not distinct from excluded.status then known.attempted_digest end
where {_IS_LATER}
""")  # noqa: S608 - put together of constants

# That somebody unsubscribed stays known after a deletion: it keeps the address out of the other audiences too.
_TELL_DELETED = sql.SQL(f"""
update audience_members as known set status = null, digest = null, leaving = false, changed_at = %(changed_at)s
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = %(subscriber_hash)s and status is distinct from 'unsubscribed' and {_IS_LATER}
""")  # noqa: S608 - put together of constants

_BOTH = sql.SQL("""
select subscriber_hash, status, changed_at, entity_id is not null,
    -- Clocks differ, ours and Mailchimp's, as for signatures.
    status is not null and greatest(pushed_at, changed_at) > %(changed_at)s + interval '5 minutes'
from audience_members
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash in (%(former)s, %(subscriber_hash)s)
order by subscriber_hash for update
""")

_REMOVE = sql.SQL("""
delete from audience_members
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(removed)s
""")

_MOVE = sql.SQL(f"""
update audience_members as known set
    replaced_hash = {replaced_hash("known", "%(subscriber_hash)s")},
    subscriber_hash = %(subscriber_hash)s, status = %(status)s, changed_at = %(stands_since)s,
    email = case when email is not null then %(email)s end, digest = null
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = %(former)s
""")  # noqa: S608 - put together of constants


# We asked not to be told of what programs do: coming back is the doing of the contact or an administrator, wherever
# the withdrawal was made.
_COMES_BACK = giving("""
    select known.subscriber_hash, %(changed_at)s::timestamptz as changed_at, known.entity_type, known.entity_id,
        null::timestamptz as left_at
    from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = %(subscriber_hash)s and known.status = 'unsubscribed'
        and date_trunc('second', known.changed_at) < %(changed_at)s
""")

_CAME_BACK_BEFORE = giving("""
    select known.subscriber_hash, known.changed_at, known.entity_type, known.entity_id, null::timestamptz as left_at
    from audience_members as known
    where known.organisation_id = %(organisation_id)s and known.mailchimp_list_id = %(list_id)s
        and known.subscriber_hash = %(subscriber_hash)s and known.status = 'subscribed'
        and known.changed_at > %(changed_at)s and (known.pushed_at is null or known.pushed_at < %(changed_at)s)
""")
"""The same where the call about leaving comes after the one about coming back; unless we may have brought it back."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A row of the ledger. `stands_later`: it is of a member that came after the event."""

    subscriber_hash: str
    status: str | None
    changed_at: datetime | None
    is_from_us: bool
    stands_later: bool


def take_over_event(
    session: OrganisationSession, keyring: Keyring, list_id: str, event: MemberEvent, *, at: datetime
) -> None:
    """Write down what Mailchimp told of a member at `at`. Once more, or late, changes nothing. Nothing of the erased.

    An unsubscription withdraws the consent of every contact with the address; who subscribes there again gives it.
    """
    connection = driver_connection(session)
    connection.execute(_LOCK_TIMEOUT)
    addresses = {event.subscriber_hash, *([event.former_hash] if isinstance(event, AddressChanged) else [])}
    if ErasedContacts(session, keyring).of_addresses(addresses):
        return
    place = {"organisation_id": session.organisation_id, "list_id": list_id, "at": at}
    if isinstance(event, StandingChanged):
        _tell(connection, event, place)
    else:
        _move(connection, event, place)


def _tell(connection: DriverConnection, event: StandingChanged, place: Mapping[str, object]) -> None:
    status = event.status and event.status.value
    member = {**place, "subscriber_hash": event.subscriber_hash, "status": status, "changed_at": event.at}
    if event.status is MemberStatus.UNSUBSCRIBED:
        # Before the ledger has it: an unsubscription that is known is taken for one of those that we carried there.
        _withdraw_consent(connection, event.subscriber_hash, event.at, place)
        connection.execute(_CAME_BACK_BEFORE, member)
    if event.status is MemberStatus.SUBSCRIBED:
        connection.execute(_COMES_BACK, member)
    connection.execute(_TELL if event.status else _TELL_DELETED, member)


def _move(connection: DriverConnection, event: AddressChanged, place: Mapping[str, object]) -> None:
    """Move the row to the new address, where what came under that since then counts."""
    hashes = {"former": event.former_hash, "subscriber_hash": event.subscriber_hash}
    parameters = {**place, **hashes, "changed_at": event.at}
    rows = [_known(row) for row in connection.execute(_BOTH, parameters)]
    known = {row.subscriber_hash: row for row in rows}
    former, there = known.get(event.former_hash), known.get(event.subscriber_hash)
    if former is None or former.stands_later:
        return
    status, since = _standing(former, there)
    if status == MemberStatus.UNSUBSCRIBED != former.status:
        _withdraw_consent(connection, event.former_hash, since or event.at, place)
    if there is not None and there.is_from_us:
        # Somebody of ours may have come to the former address since: a row too many is found out, one too few mailed.
        if not former.is_from_us:
            connection.execute(_REMOVE, {**parameters, "removed": event.former_hash})
        return
    connection.execute(_REMOVE, {**parameters, "removed": event.subscriber_hash})
    connection.execute(_MOVE, {**parameters, "status": status, "stands_since": since, "email": event.email})


def _standing(former: _Known, there: _Known | None) -> tuple[str | None, datetime | None]:
    """Return how the member stands, and since when: what was told of the new address is of this member too."""
    later = former if there is None or there.status is None else there
    return later.status, later.changed_at


def _withdraw_consent(
    connection: DriverConnection, subscriber_hash: str, withdrawn_at: datetime, place: Mapping[str, object]
) -> None:
    gone = {"hashes": [subscriber_hash], "statuses": [MemberStatus.UNSUBSCRIBED.value], "contact_ids": [None]}
    connection.execute(WITHDRAW_CONSENT, {**place, **gone, "changed": [withdrawn_at]})


def _known(row: tuple[object, ...]) -> _Known:
    subscriber_hash, status, changed_at, is_from_us, stands_later = row
    return _Known(
        str(subscriber_hash),
        status if isinstance(status, str) else None,
        changed_at if isinstance(changed_at, datetime) else None,
        is_from_us is True,
        stands_later is True,
    )
