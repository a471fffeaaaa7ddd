"""What must be true of a world: after each sync, and once all is calm.

What does not belong here: what happens in it (`world`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.tables import AudienceMemberRow, PreferenceRow, SegmentRow
from mailchimp_pipeline.sandbox import SeenMember, Status
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline_tests.consent.company import ADDRESSES, Entity, Person
from mailchimp_pipeline_tests.consent.world import LISTS, Done, World

_MAILED = (Status.SUBSCRIBED, Status.PENDING)


def wrongs_of(world: World, done: Done) -> Iterator[str]:
    """Yield what a sync did that it must not do."""
    read = {list_id for list_id in LISTS if world.ledger(list_id).read_through() == world.clock()}
    for sent in done.sent:
        if why := world.words.why_not(sent.address, sent.list_id, done.before, read):
            yield f"{_name(sent.address)} was sent to {sent.list_id} as {sent.status}: {why}"
        had = done.before[sent.list_id].get(sent.address)
        if had and had.status is Status.PENDING and sent.status is MemberStatus.SUBSCRIBED:
            yield f"{_name(sent.address)} was subscribed in {sent.list_id} without having confirmed"
    for list_id, members in world.members().items():
        for address, member in members.items():
            was = done.before[list_id].get(address)
            newly = member.status in _MAILED and not (was and was.status in _MAILED)
            if newly and (why := world.words.why_not(address, list_id, done.before, read)):
                yield f"{_name(address)} has come to be {member.status} in {list_id}: {why}"


@dataclass(frozen=True)
class Books:
    """What our tables say."""

    preferences: list[PreferenceRow]
    ledger: Mapping[tuple[str, str], AudienceMemberRow]
    statuses: Mapping[str, str]

    @classmethod
    def of(cls, world: World) -> "Books":
        """Read them."""
        ours = world.organisation_id
        with world.database.organisation(ours) as session:
            words = session.scalars(select(PreferenceRow).where(PreferenceRow.organisation_id == ours)).all()
            rows = session.scalars(select(AudienceMemberRow).where(AudienceMemberRow.organisation_id == ours)).all()
            segments = session.scalars(select(SegmentRow).where(SegmentRow.organisation_id == ours)).all()
        ledger = {(row.mailchimp_list_id, row.subscriber_hash): row for row in rows}
        return cls(list(words), ledger, {row.name: row.status for row in segments if row.soft_deleted_at is None})

    def addresses(self, entity: Entity) -> set[str]:
        """Return the addresses at which somebody was sent."""
        ours = (entity.entity_type, entity.entity_id)
        return {row.subscriber_hash for row in self.ledger.values() if (row.entity_type, row.entity_id) == ours}


def wrongs_when_calm(world: World) -> Iterator[str]:
    """Yield what must not be once Mailchimp answers and everything was synced."""
    books, members = Books.of(world), world.members()
    yield from (f"{name} is {status}" for name, status in books.statuses.items() if status != "synced")
    for said in books.preferences:
        yield from _wrongs_of_word(world, books, members, said)
    for segment in world.segments.values():
        for person in world.company:
            if person.matches(segment.segment_type, segment.filter_criteria):
                yield from _wrongs_of_member(world, books, members, segment, person)


def _wrongs_of_word(
    world: World, books: Books, members: Mapping[str, Mapping[str, SeenMember]], said: PreferenceRow
) -> Iterator[str]:
    entity = _entity(said)
    had = world.company.had.get(entity, set[str]())
    if said.consent_source == "mailchimp" and not said.opted_in and not had & world.words.left:
        yield f"{entity} is said to have left at Mailchimp, and did not"
    if said.opted_in:
        return
    person = world.company.find(entity)
    addresses = books.addresses(entity) | {said.subscriber_hash or ""} | ({person.address} if person else set())
    for list_id in {segment.mailchimp_list_id for segment in world.segments.values()}:
        for address in addresses:
            member = members[list_id].get(address)
            if member and member.status in _MAILED:
                yield f"{entity} opted out and is {member.status} in {list_id} as {_name(address)}"


def _wrongs_of_member(
    world: World,
    books: Books,
    members: Mapping[str, Mapping[str, SeenMember]],
    segment: Segment,
    person: Person,
) -> Iterator[str]:
    list_id, address = segment.mailchimp_list_id, person.address
    if _must_stay_out(world, books, members, person):
        return
    who = f"{person.entity} as {_name(address)}"
    row, member = books.ledger.get((list_id, address)), members[list_id].get(address)
    if row is None:
        yield f"{who} is unknown in {list_id}, and nothing says why"
        return
    if row.status != (member.status if member else None) and not (row.state == "archived" and member is None):
        yield f"{who} is {member and member.status} in {list_id}, and we believe {row.status}"
    mailed = row.status in _MAILED
    if not mailed and row.state != "refused" and row.status not in {"cleaned", "archived", "transactional"}:
        yield f"{who} is wanted in {list_id}, but {row.state} and {row.status}"
    if not mailed and row.status == "archived" and row.state == "archived":
        yield f"{who} is wanted in {list_id}, but archived by us"
    if (row.entity_type, row.entity_id) != (person.entity.entity_type, person.entity.entity_id):
        return  # somebody else is mailed at the address that they share
    for other in books.addresses(person.entity) & world.company.sole_addresses(person.entity) - {address}:
        before, there = books.ledger.get((list_id, other)), members[list_id].get(other)
        if mailed and before and before.pushed_at and there and there.status in _MAILED:
            yield f"{who} is also {there.status} in {list_id} as {_name(other)}"


def _must_stay_out(world: World, books: Books, members: Mapping[str, Mapping[str, SeenMember]], person: Person) -> bool:
    """Tell whether anything stands against mailing somebody, or might: their word, that of others of the address."""
    address, words = person.address, books.preferences
    had = {entity for entity, addresses in world.company.had.items() if address in addresses}
    about = [said for said in words if said.subscriber_hash == address or _entity(said) in had]
    erased = any(world.words.is_erased(entity) for entity in had)
    erased = erased or any(each.address == address for each in world.words.erased)
    if erased or any(not said.opted_in for said in about):
        return True
    own = next((said.consent_given_at for said in about if _entity(said) == person.entity), None)
    gone = [seen for each in members.values() if (seen := each.get(address)) and seen.status is Status.UNSUBSCRIBED]
    return any(own is None or own <= seen.last_changed for seen in gone)


def _entity(said: PreferenceRow) -> Entity:
    return Entity(f"{said.entity_type}/{said.entity_id}")


def _name(address: str) -> str:
    """Return an address as a person reads it."""
    return next((email for email in ADDRESSES if subscriber_hash(email) == address), address)
