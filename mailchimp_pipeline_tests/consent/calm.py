"""What must be true of a world once all is calm: Mailchimp answers, and everything was synced.

What does not belong here: what must be true of each sync (`words`, `world`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from mailchimp_pipeline.database.tables import AudienceMemberRow, PreferenceRow, SegmentRow
from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline_tests.consent.company import Entity, Person, readable
from mailchimp_pipeline_tests.consent.words import MAILED, Members
from mailchimp_pipeline_tests.consent.world import World


def wrongs_when_calm(world: World) -> Iterator[str]:
    """Yield what is wrong, as a person reads it."""
    calm = Calm.of(world)
    yield from (f"segment {row.name} is {row.status}" for row in calm.segments if row.status != "synced")
    for said in calm.preferences:
        yield from calm.wrongs_of_word(said)
    for segment in world.segments.values():
        for person in world.company:
            if person.matches(segment.segment_type, segment.filter_criteria) and not calm.must_stay_out(person):
                yield from calm.wrongs_of_member(person, segment.mailchimp_list_id)


@dataclass(frozen=True)
class Calm:
    """What our tables say, what Mailchimp has, and the world in which both should be right."""

    world: World
    members: Members
    preferences: list[PreferenceRow]
    ledger: list[AudienceMemberRow]
    segments: list[SegmentRow]

    @classmethod
    def of(cls, world: World) -> "Calm":
        """Look at a world."""
        rows: list[list[object]] = []
        with world.database.organisation(world.organisation_id) as session:
            for table in (PreferenceRow, AudienceMemberRow, SegmentRow):
                ours = select(table).where(table.organisation_id == world.organisation_id)
                rows.append(list(session.scalars(ours)))
        preferences, ledger, segments = rows
        return cls(
            world,
            world.members(),
            [row for row in preferences if isinstance(row, PreferenceRow)],
            [row for row in ledger if isinstance(row, AudienceMemberRow)],
            [row for row in segments if isinstance(row, SegmentRow) and row.soft_deleted_at is None],
        )

    def wrongs_of_word(self, said: PreferenceRow) -> Iterator[str]:
        """Yield where a word is not what was said, or has not reached Mailchimp."""
        entity = _entity(said)
        had = self.world.company.had.get(entity, set[str]())
        if said.consent_source == "mailchimp" and not said.opted_in and not had & self.world.words.left:
            yield f"{entity} is said to have left at Mailchimp, and did not"
        if said.consent_source == "mailchimp" and said.opted_in and not had & self.world.words.came.keys():
            yield f"{entity} is said to have come back at Mailchimp, and did not"
        if said.opted_in:
            return
        if entity in self.world.words.returned:
            yield f"{entity} came back at Mailchimp, and is still said to have left"
        person = self.world.company.person(entity)
        addresses = {said.subscriber_hash, person and person.address, *self._sent_to(entity)}
        for list_id in {segment.mailchimp_list_id for segment in self.world.segments.values()}:
            for address in addresses - {None}:
                member = self.members[list_id].get(address or "")
                if member and (list_id, member.id) in self.world.words.asked and said.consent_source == "mailchimp":
                    continue
                if member and member.status in MAILED:
                    yield f"{entity} opted out and is {member.status} in {list_id} as {member.email_address}"

    def wrongs_of_member(self, person: Person, list_id: str) -> Iterator[str]:
        """Yield where somebody who is wanted in an audience is not mailed though nothing says why, or twice."""
        who = f"{person.entity} as {readable(person.address)}"
        row, member = self._row(list_id, person.address), self.members[list_id].get(person.address)
        status = member.status.value if member else None
        if row is None:
            if not self._has_own_address(person, list_id) or member is not None:
                yield f"{who} is unknown in {list_id}, and nothing says why"
            return
        if row.status != status:
            yield f"{who} is {status} in {list_id}, and we believe {row.status}"
        has_reason = row.status == "cleaned" or (list_id, person.address) in self.world.words.archived
        if row.status not in MAILED and row.state != "refused" and not has_reason:
            yield f"{who} is wanted in {list_id}, but {row.state} and {row.status}"
        is_theirs = (row.entity_type, row.entity_id) == (person.entity.entity_type, person.entity.entity_id)
        # Who signed up there with this address beside another one wants mail at both.
        if is_theirs and person.address not in self.world.words.came:
            yield from (f"{who} is also {other}" for other in self._others(person, list_id) if status == "subscribed")

    def must_stay_out(self, person: Person) -> bool:
        """Tell whether a word stands against mailing somebody, or might: theirs, or another's of their address."""
        address, words = person.address, self.world.words
        had = {entity for entity, addresses in self.world.company.had.items() if address in addresses}
        about = [said for said in self.preferences if said.subscriber_hash == address or _entity(said) in had]
        if words.opt_in_only and not any(said.opted_in and _entity(said) == person.entity for said in self.preferences):
            return True
        if any(map(words.is_erased, had)) or any(each.address == address for each in words.erased):
            return True
        if any(not said.opted_in for said in about):
            return True
        given = next((said.consent_given_at for said in about if _entity(said) == person.entity), None)
        seen = [member for there in self.members.values() if (member := there.get(address))]
        gone = [member.last_changed for member in seen if member.status is Status.UNSUBSCRIBED]
        return any(given is None or given <= moment for moment in gone)

    def _row(self, list_id: str, address: str) -> AudienceMemberRow | None:
        key = (list_id, address)
        return next((row for row in self.ledger if (row.mailchimp_list_id, row.subscriber_hash) == key), None)

    def _has_own_address(self, person: Person, list_id: str) -> bool:
        """Tell whether somebody gave the audience another address in place of the one that HR has."""
        rows = [row for row in self.ledger if (row.mailchimp_list_id, row.replaced_hash) == (list_id, person.address)]
        return any(row.subscriber_hash in self.members[list_id] for row in rows)

    def _sent_to(self, entity: Entity) -> set[str]:
        """Return the addresses that our ledgers know as somebody's."""
        ours = (entity.entity_type, entity.entity_id)
        return {row.subscriber_hash for row in self.ledger if (row.entity_type, row.entity_id) == ours}

    def _others(self, person: Person, list_id: str) -> Iterator[str]:
        """Yield the other addresses at which somebody is mailed as well, as our ledger knows."""
        former = {address for address in self._sent_to(person.entity) if not self.world.company.holders(address)}
        for address in former:
            member = self.members[list_id].get(address)
            # Mailchimp archives nobody who has yet to confirm.
            if self._row(list_id, address) and member and member.status is Status.SUBSCRIBED:
                yield f"{member.status} there as {member.email_address}"


def _entity(said: PreferenceRow) -> Entity:
    return Entity(f"{said.entity_type}/{said.entity_id}")
