"""What people said about e-mail, in plain Python, and who may therefore not be mailed.

It knows the truth: HR, Mailchimp and everybody's words, and none of our tables.
What does not belong here: finding out what was sent (`processes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from mailchimp_pipeline.sandbox import SeenMember, Status
from mailchimp_pipeline_tests.consent.company import Company, Entity

MAILED = (Status.SUBSCRIBED, Status.PENDING)
"""Statuses of members who get mail, or are asked whether they want it."""

Members: TypeAlias = Mapping[str, Mapping[str, SeenMember]]
"""What Mailchimp has: members by address, by audience."""


@dataclass(frozen=True)
class Word:
    """A word to us. `address` is the one that the contact was known by when it came, if any."""

    opted_in: bool
    at: datetime
    address: str | None


@dataclass(frozen=True)
class Erased:
    """An erasure: of somebody, and of the address they had then."""

    entity: Entity
    at: datetime
    address: str | None


@dataclass
class Words:
    """Everybody's last word to us, all erasures, and what was done at Mailchimp."""

    company: Company
    here: dict[Entity, Word] = field(default_factory=dict[Entity, Word])
    erased: list[Erased] = field(default_factory=list[Erased])
    archived: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Audience and address of members that an administrator archived."""
    left: set[str] = field(default_factory=set[str])
    """Addresses that the contact or an administrator ever unsubscribed, in whichever audience."""
    came: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """When the contact or an administrator last subscribed an address, in whichever audience."""
    asked: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Audience and address of members who signed up there, and have not confirmed."""
    returned: set[Entity] = field(default_factory=set[Entity])
    """Who left and came back at Mailchimp so that we must know, and did nothing else since."""
    opt_in_only: bool = False

    def note_word(self, entity: Entity, word: Word) -> None:
        """Note what somebody told us. An opt-in is about the address, too: who has that no more says nothing of it."""
        self.here[entity] = word
        holders = {entity, *self.company.holders(word.address or "")}
        for other, said in self.here.items() if word.opted_in and word.address else ():
            if said.address == word.address and not said.opted_in and other not in holders:
                self.here[other] = replace(said, address=None)

    def note_change(self, list_id: str, member: SeenMember) -> None:
        """Note what the contact or an administrator made of a member at Mailchimp."""
        self.archived.discard((list_id, member.id))
        self.asked.discard((list_id, member.id))
        self.returned.clear()
        if member.status is Status.SUBSCRIBED:
            self.came[member.id] = member.last_changed
        if member.status is Status.PENDING:
            self.asked.add((list_id, member.id))
        if member.status is Status.ARCHIVED:
            self.archived.add((list_id, member.id))
        if member.status is Status.UNSUBSCRIBED:
            self.left.add(member.id)

    def note_own_address(self, list_id: str, former: str, member: SeenMember) -> None:
        """Note that a member has another address: what was said of the former one is said of this one too."""
        self.company.note_own_address(former, member.id)
        self.returned.clear()
        for said in (self.archived, self.asked):
            if (list_id, former) in said:
                said.add((list_id, member.id))
        if former in self.left:
            self.left.add(member.id)
        if former in self.came:
            self.came[member.id] = max(self.came[former], self.came.get(member.id, self.came[former]))

    def why_not(self, address: str, list_id: str, members: Members, read: set[str]) -> str | None:
        """Return why an address may not be mailed in an audience, None where it may.

        `members` are as they were before, `read` the audiences whose members we know.
        """
        holders = self.company.holders(address)
        opted_out = [entity for entity, word in self.here.items() if not word.opted_in]
        if any(entity in holders or self.here[entity].address == address for entity in opted_out):
            return "opted out"
        if any(self.is_erased(entity) for entity in holders) or self._is_erased_address(address):
            return "erased"
        if self.opt_in_only and not any(self.has_opted_in(entity) for entity in holders):
            return "did not opt in"
        if why := self._why_not_there(address, list_id, members[list_id].get(address)):
            return why
        addresses = {address}.union(*(self.company.sole_addresses(entity) for entity in holders))
        if any(self._has_left(each, holders, members, read | {list_id}) for each in addresses):
            return "unsubscribed at Mailchimp"
        return None

    def _why_not_there(self, address: str, list_id: str, member: SeenMember | None) -> str | None:
        if member and member.status is Status.CLEANED:
            return "bounced"
        if member and member.status is Status.ARCHIVED and (list_id, address) in self.archived:
            return "archived by an administrator"
        return None

    def has_opted_in(self, entity: Entity) -> bool:
        """Tell whether somebody said yes, to us or at Mailchimp."""
        word = self.here.get(entity)
        return bool(word and word.opted_in) or bool(self.company.had.get(entity, set()) & self.came.keys())

    def is_erased(self, entity: Entity) -> bool:
        """Tell whether somebody was erased and did not opt in afterwards."""
        word = self.here.get(entity)
        return any(
            erased.entity == entity and not (word and word.opted_in and word.at > erased.at) for erased in self.erased
        )

    def _is_erased_address(self, address: str) -> bool:
        return any(
            erased.address == address and not self._opted_in_since(address, erased.at, {erased.entity})
            for erased in self.erased
        )

    def _has_left(self, address: str, holders: set[Entity], members: Members, read: set[str]) -> bool:
        """Tell whether the address unsubscribed where we would know, and nobody of it opted in since."""
        seen = [members[list_id].get(address) for list_id in read]
        gone = [member for member in seen if member and member.status is Status.UNSUBSCRIBED]
        return any(not self._opted_in_since(address, member.last_changed, holders) for member in gone)

    def _opted_in_since(self, address: str, moment: datetime, holders: set[Entity]) -> bool:
        addresses = {address}.union(*(self.company.had.get(entity, set()) for entity in holders))
        if any(at > moment for each, at in self.came.items() if each in addresses):
            return True
        return any(
            word.opted_in
            and word.at > moment
            and (entity in holders or word.address == address or self._had(entity, address))
            for entity, word in self.here.items()
        )

    def _had(self, entity: Entity, address: str) -> bool:
        return address in self.company.had.get(entity, set())
