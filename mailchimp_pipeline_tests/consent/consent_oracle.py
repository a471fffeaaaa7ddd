"""What people truly said about e-mail, in true order, and who may therefore not be mailed.

The oracle knows HR, what was said here, and what was done at Mailchimp; it never looks into the product's tables. It
watches the journal of the sandbox, and judges each call of the product by what the product could know at that moment.

Where the rules leave the outcome open, or the clocks cannot tell, the answer is MAYBE, and nothing is demanded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline_tests.consent.company import Company, Entity, key_of
from sandbox import CallEnded, CallStarted, JournalEntry, MemberChanged, Status
from sandbox.model.journal import RequestedMember
from sandbox.model.members import Actor

HERE = "here"
"""The place of what is said to us; what is done at Mailchimp has the id of its audience."""

MAILED = (Status.SUBSCRIBED, Status.PENDING)
"""Statuses of members who get mail, or are asked whether they want it."""

CLOCK_DIFFERENCE = timedelta(minutes=10)
"""How far our clock and Mailchimp's may be apart."""
_MARGIN = timedelta(minutes=1)

_MEMBERS = "/lists/{list_id}/members"
_MEMBER = "/lists/{list_id}/members/{subscriber_hash}"
_ABUSE = "/lists/{list_id}/abuse-reports"
_CALLS_UNDER_WAY = 2
"""So many calls may have been on their way when somebody opted out here: more than one is pushed at once."""


class Certainty(IntEnum):
    """How sure it is that something holds."""

    NO = 0
    MAYBE = 1
    YES = 2

    def __invert__(self) -> "Certainty":
        """Return how sure it is that it does not hold."""
        return Certainty(Certainty.YES - self)


NO, MAYBE, YES = Certainty.NO, Certainty.MAYBE, Certainty.YES


@dataclass(frozen=True, eq=False)
class Statement:
    """Something said or done. `position` is how long the journal was by then, `reading` the time by the place's clock.

    Statements have an `index` in true order. `key` is the address it is about, in its one form.
    """

    index: int
    position: int
    place: str
    reading: datetime
    key: str | None


@dataclass(frozen=True, eq=False)
class Withdrawal(Statement):
    """Somebody wants no more mail: `entities` had the address in HR then, or said so themselves."""

    entities: frozenset[Entity]
    what: str
    certainty: Certainty = YES
    attributed: set[Entity] = field(default_factory=set[Entity])
    """Those whose withdrawal the product surely knows it to be."""
    is_complaint: bool = False
    told: list[int] = field(default_factory=list[int])
    """Indexes of the webhook calls that told of it."""
    seen_by: "list[Process]" = field(default_factory=list["Process"])
    """The syncs that read of it."""
    hidden_by: list[int] = field(default_factory=list[int])
    """Numbers of the product's calls that unsubscribed the member right after, which then seems to be their doing."""
    changed: list[datetime] = field(default_factory=list[datetime])
    """When the member changed since, by the place's clock: of Mailchimp's times the product reads this one."""


@dataclass(frozen=True, eq=False)
class OptIn(Statement):
    """Somebody told us to want mail; `is_alone` unless somebody else who has the address said no."""

    entity: Entity
    is_alone: bool
    certainty: Certainty = YES


@dataclass(frozen=True, eq=False)
class SignUp(Statement):
    """Somebody signed up at Mailchimp, or confirmed; or an administrator subscribed them again."""

    is_confirmed: bool
    by_contact: bool


@dataclass(frozen=True, eq=False)
class SetAside(Statement):
    """An administrator archived or deleted a member, or mail to it bounced: the product leaves it alone."""

    what: str


@dataclass(frozen=True, eq=False)
class Erasure(Statement):
    """Somebody was erased, with the addresses that the product surely knew to be theirs."""

    entity: Entity
    keys: frozenset[str]
    certainty: Certainty = YES
    reaches_account: bool = True
    """Whether the account was connected then: one that was connected before is not reached."""


@dataclass
class Process:
    """One process of the product. `lists` are the audiences of the segments it syncs, `kinds` their relations."""

    first_index: int
    position: int
    lists: frozenset[str] = frozenset()
    kinds: frozenset[EntityType] = frozenset()
    is_sync: bool = False
    last_index: int | None = None
    is_complete: bool = False
    asked: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Audience and address of whom it asked Mailchimp to mail."""
    unsubscribed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Audience and address of whom it unsubscribed."""


@dataclass(frozen=True)
class Wanted:
    """Somebody whom a segment wants in its audience."""

    segment_id: str
    list_id: str
    entity: Entity
    key: str


@dataclass(frozen=True)
class Block:
    """Whether an address must not be mailed in an audience, and why."""

    certainty: Certainty
    why: str = ""


class ConsentOracle:
    """The truth about one organisation's contacts in one Mailchimp account."""

    def __init__(self, company: Company, double_optin: frozenset[str]) -> None:
        self.company = company
        self.opt_in_only = False
        self.withdrawals: list[Withdrawal] = []
        self.opt_ins: list[OptIn] = []
        self.sign_ups: list[SignUp] = []
        self.set_aside: list[SetAside] = []
        self.erasures: list[Erasure] = []
        self.processes: list[Process] = []
        self.members: dict[tuple[str, str], Status] = {}
        """What Mailchimp has: the status by audience and address, in its one form."""
        self.brought: set[tuple[str, str]] = set()
        """Audience and address of members that the product brought there, and nobody else touched since."""
        self.sent: dict[tuple[str, Entity], str] = {}
        """The address by which a contact is in an audience, as a sync that ended well has made it."""
        self.sent_by: dict[tuple[str, Entity], set[str]] = {}
        """The segments that the contact was in there."""
        self.own_addresses: dict[tuple[str, str], str] = {}
        """By audience and the address that a contact gave to Mailchimp: the one that HR has."""
        self.given_by: dict[tuple[str, str], Entity | None] = {}
        """By the same: who that was; None where it may have been several."""
        self.given_to: list[tuple[int, str, str, str]] = []
        """When a member, in which audience, gave Mailchimp in place of which address which other one."""
        self.brought_back: list[tuple[int, tuple[str, str]]] = []
        """When the product subscribed which archived member: audience and address."""
        self._double_optin = double_optin
        self._indexes = 0
        self._calls: dict[int, CallStarted] = {}
        self._ends: dict[int, int] = {}
        """When a call ended, by its number."""

    # What happens

    def index(self) -> int:
        """Return the place of something new in the true order."""
        self._indexes += 1
        return self._indexes

    def note_opt_out(self, entity: Entity, position: int, reading: datetime, certainty: Certainty = YES) -> None:
        """Note that a contact told us to want no mail."""
        person = self.company.find(entity)
        what, entities = f"{entity} opted out here", frozenset({entity})
        # Of somebody who is not in HR the product may know the latest address, or another contact who has it.
        keys = [(person.key, certainty)] if person else [(None, certainty), (self._last_key(entity), MAYBE)]
        for key, of_key in keys:
            said = Withdrawal(self.index(), position, HERE, reading, key, entities, what, of_key)
            said.attributed.add(entity)
            self.withdrawals.append(said)

    def note_opt_in(self, entity: Entity, position: int, reading: datetime, certainty: Certainty = YES) -> None:
        """Note that a contact told us to want mail."""
        person = self.company.find(entity)
        key = person.key if person else None
        others = self.company.holders(key or "") - {entity}
        is_alone = not any(self._of_entity(said, other) for said in self.withdrawals for other in others)
        self.opt_ins.append(OptIn(self.index(), position, HERE, reading, key, entity, is_alone, certainty))

    def note_withdrawal(  # noqa: PLR0913 - each is one thing to know about it
        self,
        list_id: str,
        key: str,
        position: int,
        reading: datetime,
        what: str,
        *,
        is_complaint: bool,
        certainty: Certainty = YES,
    ) -> Withdrawal:
        """Note that a contact or an administrator ended a member's consent at Mailchimp."""
        entities = frozenset(self.holders(list_id, key))
        said = Withdrawal(
            self.index(),
            position,
            list_id,
            reading,
            key,
            entities,
            f"{key} {what}",
            certainty,
            is_complaint=is_complaint,
        )
        known = {entity for (_, entity), sent in self.sent.items() if sent == key}
        # Of several the product knows one, until it has read the source.
        said.attributed.update(known if known == self.company.holders(key) and len(known) == 1 else ())
        self.withdrawals.append(said)
        return said

    def note_lost_answers(self, process: Process, position: int, reading: datetime) -> None:
        """Note that a process may not have written down what it did: whom it unsubscribed seem to have left."""
        for list_id, key in sorted(process.unsubscribed):
            entities, what = frozenset(self.holders(list_id, key)), f"{key} unsubscribed by us in {list_id}"
            self.withdrawals.append(
                Withdrawal(self.index(), position, list_id, reading, key, entities, what, certainty=MAYBE)
            )

    def note_sign_up(  # noqa: PLR0913 - each is one thing to know about it
        self, list_id: str, key: str, position: int, reading: datetime, *, is_confirmed: bool, by_contact: bool
    ) -> None:
        """Note that somebody is subscribed again at Mailchimp, or asked to be."""
        self.sign_ups.append(SignUp(self.index(), position, list_id, reading, key, is_confirmed, by_contact))

    def note_set_aside(self, list_id: str, key: str, position: int, reading: datetime, what: str) -> None:
        """Note that a member was archived or deleted by an administrator, or bounced."""
        self.set_aside.append(SetAside(self.index(), position, list_id, reading, key, what))

    def note_own_address(self, list_id: str, former: str, key: str, position: int, reading: datetime) -> None:
        """Note that a contact gave Mailchimp another address."""
        for said in self.withdrawals:
            if (said.place, said.key) == (list_id, former):
                said.changed.append(reading)
        if self.members.get((list_id, former)) is Status.UNSUBSCRIBED:
            # It seems to have unsubscribed just now, at the new address.
            roots = {former, key, self.own_addresses.get((list_id, former), former)}
            entities = frozenset(entity for entity, had in self.company.had.items() if had & roots)
            what = f"{key} was unsubscribed in {list_id} as {former}"
            self.withdrawals.append(
                Withdrawal(self.index(), position, list_id, reading, key, entities, what, certainty=MAYBE)
            )
        if self.members.get((list_id, former)) is Status.ARCHIVED:
            # Whoever archived it, it has changed since: the product leaves it alone.
            self.note_set_aside(list_id, former, position, reading, f"archived in {list_id}, and is {key} since")
        root = self.own_addresses.pop((list_id, former), former)
        if any((place, given_up) == (list_id, key) for _, place, given_up, _ in self.given_to):
            # The product may take what the member before it did for the doing of this one.
            entities = frozenset(entity for entity, had in self.company.had.items() if root in had)
            what = f"{key} was somebody else's in {list_id}"
            self.withdrawals.append(
                Withdrawal(self.index(), position, list_id, reading, key, entities, what, certainty=MAYBE)
            )
        self.given_to.append((self.index(), list_id, former, key))
        holders = self.company.holders(root)
        known = {entity for (place, entity), sent in self.sent.items() if (place, sent) == (list_id, root)}
        is_certain = len(holders) == 1 and known <= holders
        giver = self.given_by.pop((list_id, former), min(holders) if is_certain else None)
        if root != key:
            self.own_addresses[list_id, key] = root
            self.given_by[list_id, key] = giver
        for said in [each for each in self.sign_ups if (each.place, each.key) == (list_id, former)]:
            self.sign_ups.append(
                SignUp(
                    said.index, said.position, list_id, said.reading, key, said.is_confirmed, by_contact=said.by_contact
                )
            )

    def note_erasure(
        self,
        entity: Entity,
        position: int,
        reading: datetime,
        certainty: Certainty = YES,
        *,
        reaches_account: bool = True,
    ) -> None:
        """Note that a contact was erased."""
        person = self.company.find(entity)
        keys = {person.key} if person else set[str]()
        # A member whose address several had, may be known as that of another one.
        shared = {key for other, had in self.company.had.items() if other != entity for key in had}
        keys |= {key for (_, sent), key in self.sent.items() if sent == entity} - shared
        self.erasures.append(
            Erasure(self.index(), position, HERE, reading, None, entity, frozenset(keys), certainty, reaches_account),
        )

    # Processes of the product

    def begin(
        self,
        position: int,
        lists: frozenset[str] = frozenset(),
        kinds: frozenset[EntityType] = frozenset(),
        *,
        is_sync: bool,
    ) -> Process:
        """Begin a process."""
        process = Process(self.index(), position, lists, kinds, is_sync)
        self.processes.append(process)
        for said in self.withdrawals if is_sync else ():
            # Mailchimp tells nobody that a contact left before it was archived, or its address bounced.
            is_there = self.members.get((said.place, said.key or "")) is Status.UNSUBSCRIBED
            is_reported = said.is_complaint and not self._is_deleted_since(said)
            if said.place != HERE and (is_there or is_reported):
                said.seen_by.append(process)
        return process

    def end(self, process: Process, wanted: Sequence[Wanted], *, is_complete: bool) -> Iterator[str]:
        """End a process; yield what it left undone. `wanted` are those whom a complete sync sends, the first last."""
        process.last_index, process.is_complete = self.index(), is_complete
        if not (is_complete and process.is_sync):
            return
        for said in self.withdrawals:
            if said.index < process.first_index:
                self._attribute(said, process)
        yield from self._not_propagated(process)
        for each in wanted:
            place = (each.list_id, each.key)
            # A member that signed up and has yet to confirm is not sent, so the product need not know whose it is.
            is_sent = self.members.get(place) is Status.SUBSCRIBED or place in self.brought
            if is_sent and self.members.get(place) in MAILED and not self.block(*place).certainty:
                if self.sent.get((each.list_id, each.entity)) != each.key:
                    self.sent_by[each.list_id, each.entity] = set()
                self.sent[each.list_id, each.entity] = each.key
                self.sent_by[each.list_id, each.entity].add(each.segment_id)

    def follow(self, entries: Sequence[JournalEntry], process: Process | None = None) -> Iterator[str]:
        """Follow the journal; yield what the process did that it must not."""
        for entry in entries:
            if isinstance(entry, CallStarted):
                self._calls[entry.number] = entry
                for asked in entry.members if process else ():
                    yield from self._wrongs_of_call(entry, asked, process)
            elif isinstance(entry, CallEnded):
                self._ends[entry.call] = entry.number
            else:
                if process and entry.call:
                    yield from self._wrongs_of_move(entry, process)
                    if entry.status is Status.UNSUBSCRIBED:
                        process.unsubscribed.add((entry.list_id, key_of(entry.address)))
                self._change(entry)

    # What follows from it

    def holders(self, list_id: str, key: str) -> set[Entity]:
        """Return who has the address now: in HR, or as the address that they gave to the audience."""
        root = self.own_addresses.get((list_id, key))
        return self.company.holders(key) | (self.company.holders(root) if root else set())

    def known_by_now(self, said: Statement) -> Certainty:
        """Return whether the product must know of a statement."""
        if isinstance(said, Withdrawal) and said.hidden_by:
            return MAYBE
        if isinstance(said, Withdrawal) and said.place != HERE:
            # A sync that failed or died may have read nothing, and by the next one an erasure may have deleted all.
            ends = [each.last_index for each in said.seen_by if each.is_complete or each.last_index is None]
            read = [self._indexes if each is None else each for each in ends] + said.told
            # Nothing is recorded of an address that was erased before.
            erased = [each.index for each in self.erasures if self._may_have_erased(each, said.key or "")]
            return YES if read and (not erased or min(read) < min(erased)) else MAYBE
        return YES

    def _is_deleted_since(self, said: Withdrawal) -> bool:
        """Tell whether an administrator deleted the member since: with it goes what it reported."""
        later = [each for each in self.set_aside if each.index > said.index and each.what.startswith("deleted")]
        return any((each.place, each.key) == (said.place, said.key) for each in later)

    def _may_have_erased(self, erased: Erasure, key: str) -> bool:
        return key in erased.keys or self._may_have_had(erased.entity, key)

    def _may_have_had(self, entity: Entity, key: str) -> bool:
        return key in self._addresses(entity)

    def _addresses(self, entity: Entity) -> set[str]:
        """Return the addresses that the entity has or had in HR, and those that it may have given to Mailchimp."""
        had = set(self.company.had.get(entity, ()))
        for _, _, former, given in self.given_to:
            if former in had:
                had.add(given)
        return had

    def is_entangled(self, entity: Entity) -> bool:
        """Tell whether somebody else may have had one of the entity's addresses: then much is in doubt."""
        theirs = self._addresses(entity)
        return any(other != entity and theirs & self._addresses(other) for other in self.company.had)

    def block(self, list_id: str, key: str, known: Callable[[Statement], Certainty] | None = None) -> Block:
        """Return whether the address must not be mailed in the audience, by what the product knows."""
        known = known or self.known_by_now
        holders = self.holders(list_id, key)
        blocks = [self.withdrawn(list_id, key, known)]
        for erased in self.erasures:
            force = min(self.is_erased(erased, holders, key), known(erased))
            others = any(word.index > erased.index and word.entity != erased.entity for word in self.opt_ins)
            why = f"{erased.entity} was erased{', and only somebody else opted in since' if others else ''}"
            blocks.append(Block(force, why))
        blocks += [Block(*self._aside(each, list_id, key, known)) for each in self.set_aside]
        if self.opt_in_only and holders:
            blocks.append(Block(~max(map(self.consents, holders)), "nobody opted in"))
        return max(blocks, key=lambda each: each.certainty)

    def withdrawn(self, list_id: str, key: str, known: Callable[[Statement], Certainty]) -> Block:
        """Return whether consent to mail the address in the audience was withdrawn, by what the product knows."""
        holders, blocks = self.holders(list_id, key), [Block(NO)]
        for said in self.withdrawals:
            by_entity = {each: self._of_entity(said, each) for each in holders}
            # An address that a contact gave to Mailchimp may be that of somebody else in the source, and so may by now
            # the one that it had there before. An erasure forgets that the one replaced the other.
            is_forgotten = any(self.own_addresses.get((list_id, key)) in each.keys for each in self.erasures)
            sure = self.company.holders(key) or (set() if is_forgotten else {self.given_by.get((list_id, key))})
            of_holders = [
                certainty if each in sure or sure == {None} else min(certainty, MAYBE)
                for each, certainty in by_entity.items()
            ]
            force = max([self._of_key(said, key), *of_holders])
            if self._signed_up_elsewhere(said, list_id, key) or self._is_forgotten(said, list_id, key):
                force = min(force, MAYBE)
            if force := min(force, known(said)):
                blocks.append(Block(force, f"{said.what}{self._circumstances(said, key, holders)}"))
        return max(blocks, key=lambda each: each.certainty)

    def is_erased(self, erased: Erasure, holders: set[Entity], key: str) -> Certainty:
        """Return whether an erasure is about one of the holders, or the address, and was not lifted by the same one."""
        later = [said for said in self.opt_ins if said.entity == erased.entity and said.index > erased.index]
        lifted = max([NO, *(said.certainty for said in later)])
        lifted_here = max([NO, *(said.certainty for said in later if said.key == key)])
        in_source = self.company.holders(key)
        # An address that a contact gave to Mailchimp may be that of somebody else in the source.
        is_holder = YES if erased.entity in in_source or not in_source else MAYBE
        about = [
            min(is_holder, ~lifted) if erased.entity in holders else NO,
            ~lifted_here if key in erased.keys else NO,
            MAYBE if self._may_have_had(erased.entity, key) and not lifted_here else NO,
        ]
        return min(max(about), erased.certainty)

    def opted_out(self, entity: Entity) -> Certainty:
        """Return whether a contact's last word is that it wants no mail, by what the product knows."""
        words = [min(self._of_entity(said, entity), self.known_by_now(said)) for said in self.withdrawals]
        return max([NO, *words])

    def has_signed_up(self, list_id: str, key: str, since: int = 0) -> bool:
        """Tell whether somebody subscribed the address in the audience at Mailchimp since then."""
        return any((said.place, said.key) == (list_id, key) and said.index > since for said in self.sign_ups)

    def has_come_since(self, list_id: str, key: str, since: int) -> bool:
        """Tell whether somebody signed up with the address since then, or gave it to Mailchimp for a former one."""
        has_moved = any((place, new) == (list_id, key) and index > since for index, place, _, new in self.given_to)
        return has_moved or self.has_signed_up(list_id, key, since)

    def is_set_aside(self, list_id: str, key: str) -> bool:
        """Tell whether the audience's member may be left alone: it, or the one with a former address of its contact."""
        former = {self.own_addresses.get((list_id, key), key)}
        had = {key} | former.union(*(self.company.had[entity] for entity in self.company.holders(key)))
        return any(said.place == list_id and said.key in had for said in self.set_aside)

    def _circumstances(self, said: Withdrawal, key: str, holders: set[Entity]) -> str:
        """Return what else was said about it, which the product may have taken wrongly."""
        words = [each for each in self.opt_ins if each.key == key or each.entity in holders | said.entities]
        later = [each for each in words if each.index > said.index]
        notes: list[str] = []
        if said.place != HERE and any(abs(each.reading - said.reading) <= CLOCK_DIFFERENCE for each in words):
            notes.append("so near an opt-in that the clocks cannot tell")
        if any(each.entity not in holders or not each.is_alone for each in later):
            notes.append("and an opt-in since was not about that")
        if said.place != HERE and not any(said.place in each.lists for each in said.seen_by):
            notes.append("an audience of no segment that was synced since" if said.seen_by else "meanwhile")
        return "".join(f", {each}" for each in notes)

    def _of_entity(self, said: Withdrawal, entity: Entity) -> Certainty:
        """Return whether the withdrawal still holds for an entity."""
        if entity in said.attributed:
            force = YES
        elif entity in said.entities or (said.key and self.company.has_had(entity, said.key)):
            force = MAYBE
        else:
            return NO
        lifted = [min(self._outweighs(o, said), o.certainty) for o in self.opt_ins if o.entity == entity]
        return min(force, said.certainty, self._undone(said), ~max([NO, *lifted]))

    def _of_key(self, said: Withdrawal, key: str) -> Certainty:
        """Return whether the withdrawal still holds for an address."""
        if said.key is None:
            return NO
        # A member is unsubscribed for the contact in the ledger, though somebody else has the address now.
        is_possible = self._same_contact(said.key, key) or any(
            self.company.has_had(each, key) for each in said.entities
        )
        force = YES if key == said.key else MAYBE if is_possible else NO
        lifted = NO
        for word in self.opt_ins if force else ():
            certainty = min(self._outweighs(word, said), word.certainty)
            if word.key != key:
                # Whose withdrawal it was has opted in elsewhere since.
                is_theirs = word.entity in said.entities or self.company.has_had(word.entity, said.key)
                certainty = min(certainty, MAYBE) if is_theirs else NO
            elif not word.is_alone:
                certainty = min(certainty, MAYBE)
            lifted = max(lifted, certainty)
        return min(force, said.certainty, self._undone(said), ~lifted)

    def _same_contact(self, one: str, other: str) -> bool:
        """Tell whether two addresses are, in some audience, of the same contact."""
        pairs = [(key, root) for (_, key), root in self.own_addresses.items()]
        return (one, other) in pairs or (other, one) in pairs

    def _undone(self, said: Withdrawal) -> Certainty:
        """Return whether a withdrawal made at Mailchimp was not undone in the same audience."""
        for sign_up in self.sign_ups:
            if (sign_up.place, sign_up.key) == (said.place, said.key) and sign_up.index > said.index:
                # A report of spam stays: whether somebody signed up after it shows only while they are subscribed.
                # And a webhook that comes late may be all that the product hears.
                is_open = said.is_complaint or any(index > sign_up.index for index in said.told)
                return NO if sign_up.is_confirmed and sign_up.by_contact and not is_open else MAYBE
        return YES

    def _signed_up_elsewhere(self, said: Withdrawal, list_id: str, key: str) -> bool:
        """Tell whether somebody who left another audience signed up in this one since."""
        there = [s for s in self.sign_ups if (s.place, s.key) == (list_id, key) and s.index > said.index]
        return said.place not in {HERE, list_id} and bool(there)

    def _is_forgotten(self, said: Withdrawal, list_id: str, key: str) -> bool:
        """Tell whether a withdrawal was erased with whoever made it, and somebody has come to the audience since."""
        later = [each for each in self.erasures if each.index > said.index and each.entity in said.entities]
        return any(self.has_come_since(list_id, key, each.index) for each in later)

    def _outweighs(self, word: OptIn, said: Withdrawal) -> Certainty:
        """Return whether an opt-in is later than a withdrawal, as far as the product can tell."""
        if word.index < said.index:
            return NO
        apart = word.reading - said.reading
        known = self._known_before(said, word)
        if said.is_complaint:
            # A webhook and a report may give it times that differ: then it is recorded twice.
            known = min(known, MAYBE)
        if said.place == HERE or known is YES or apart > CLOCK_DIFFERENCE + _MARGIN:
            is_after = all(word.reading - at > CLOCK_DIFFERENCE + _MARGIN for at in said.changed) or known is YES
            return YES if is_after else MAYBE
        return MAYBE if apart > CLOCK_DIFFERENCE - timedelta(seconds=2) else known

    def _known_before(self, said: Withdrawal, word: OptIn) -> Certainty:
        """Return whether the product had learnt of a withdrawal when somebody opted in."""
        if said.is_complaint and self._undone(said) is not YES:
            # Who signed up after a report of spam does not look like one.
            return MAYBE
        if any(index < word.index for index in said.told):
            return YES
        since = [each for each in said.seen_by if each.first_index < word.index]
        if any(each.is_complete and (each.last_index or 0) < word.index for each in since):
            return YES
        return MAYBE if since else NO

    def consents(self, entity: Entity) -> Certainty:
        """Return whether a contact opted in, here or at Mailchimp."""
        here = max([NO, *(said.certainty for said in self.opt_ins if said.entity == entity)])
        there = any(said.key and self.company.has_had(entity, said.key) for said in self.sign_ups)
        return max(here, MAYBE if there else NO)

    def _aside(
        self, aside: SetAside, list_id: str, key: str, known: Callable[[Statement], Certainty]
    ) -> tuple[Certainty, str]:
        if (aside.place, aside.key) != (list_id, key):
            return NO, ""
        if any((s.place, s.key) == (list_id, key) and s.index > aside.index for s in self.sign_ups):
            return NO, ""
        if any((place, former) == (list_id, key) and at > aside.index for at, place, former, _ in self.given_to):
            # The member is at another address since: whoever has this one now, was never there.
            return NO, ""
        later = [s for s in self.withdrawals if (s.place, s.key) == (list_id, key) and s.index > aside.index]
        if any(not s.is_complaint for s in later):
            # It unsubscribed since, or was unsubscribed: from then on that counts.
            return NO, ""
        if any(place == (list_id, key) and at > aside.index for at, place in self.brought_back):
            # By a call that was under way, which was judged then. Nothing tells the product what was there before.
            return NO, ""
        # An opt-in may bring back whom an administrator set aside; of who was deleted Mailchimp tells nothing.
        holders = self.company.holders(key)
        is_open = aside.what.startswith("deleted") or any(
            word.entity in holders and word.index > aside.index for word in self.opt_ins
        )
        return min(known(aside), MAYBE if is_open else YES), f"{key} was {aside.what}"

    # Judging the product

    def _wrongs_of_call(self, call: CallStarted, asked: RequestedMember, process: Process | None) -> Iterator[str]:
        list_id, keys = call.list_id or "", {key_of(a) for a in (asked.address, asked.email_address) if a and "@" in a}
        if process is None:
            return
        for key in sorted(keys):
            now = self.members.get((list_id, key))
            status = asked.status or (asked.status_if_new if now is None else None)
            if status == now == Status.UNSUBSCRIBED:
                for said in self.withdrawals:
                    if (said.place, said.key) == (list_id, key) and said.index > process.first_index:
                        said.hidden_by.append(call.number)
            if status in MAILED:
                process.asked.add((list_id, key))
                yield from self._wrongs_of_mailing(call, key, Status(status), process)
            elif key == key_of(asked.email_address or "@") and self._is_erased_at(call, key, process):
                yield f"{key} was sent to {list_id} though it was erased"

    def _wrongs_of_mailing(self, call: CallStarted, key: str, status: Status, process: Process) -> Iterator[str]:
        list_id, now = call.list_id or "", self.members.get((call.list_id or "", key))
        block = self.block(list_id, key, lambda said: self._could_know(said, call, process))
        if block.certainty is YES:
            yield f"{key} was sent to {list_id} as {status}: {block.why}"
        changed_meanwhile = any(
            said.position >= process.position and (said.place, said.key) == (list_id, key)
            for said in (*self.withdrawals, *self.set_aside, *self.sign_ups)
        )
        if status is Status.SUBSCRIBED and now is not Status.SUBSCRIBED and not changed_meanwhile:
            if now is Status.PENDING:
                yield f"{key} was subscribed in {list_id} without having confirmed"
            elif list_id in self._double_optin:
                yield f"{key} was subscribed in {list_id} without having been asked"

    def _wrongs_of_move(self, change: MemberChanged, process: Process) -> Iterator[str]:
        """Yield why a member must not be mailed at the address that it was moved to."""
        key, former = key_of(change.address), key_of(change.former_address)
        call = self._calls.get(change.call or 0)
        if call and key != former and change.status in MAILED:
            block = self.block(change.list_id, key, lambda said: self._could_know(said, call, process))
            if block.certainty is YES:
                yield f"{former} was moved to {key} in {change.list_id} as {change.status}: {block.why}"

    def _is_erased_at(self, call: CallStarted, key: str, process: Process) -> bool:
        holders = self.holders(call.list_id or "", key)
        return any(
            min(self.is_erased(each, holders, key), self._could_know(each, call, process)) is YES
            for each in self.erasures
        )

    def _could_know(self, said: Statement, call: CallStarted, process: Process) -> Certainty:
        """Return whether the product must know of a statement when it makes a call."""
        if said.index < process.first_index:
            return self.known_by_now(said)
        if said.position >= call.number:
            return NO
        if said.place == HERE:
            later = [each for each in self._changes(call) if each.number > said.position]
            return YES if len(later) >= _CALLS_UNDER_WAY else MAYBE
        if said.place != call.list_id:
            return NO
        if self.members.get((said.place, said.key or "")) in {Status.CLEANED, Status.ARCHIVED}:
            # Before a batch only those are read whom it would subscribe; Mailchimp keeps these as they are.
            return MAYBE
        return MAYBE if self._was_under_way(said, call) else YES

    def _was_under_way(self, said: Statement, call: CallStarted) -> bool:
        """Tell whether a change at Mailchimp came between the reading right before a call and the call."""
        there = [each for each in self._calls.values() if each.list_id == call.list_id and each.number < call.number]
        ended = [each for each in there if self._ends.get(each.number, call.number) < call.number]
        reads = [each for each in ended if _reads_members(each)]
        if not any(self._ends[each.number] <= said.position for each in reads):
            return False
        last_read = max(self._ends[each.number] for each in reads)
        between = [each for each in ended if each.number > last_read and each.method != "GET"]
        after = [each for each in reads if each.number > said.position]
        # Between that reading and the call nothing else is done, least of all at another audience.
        elsewhere = [
            each
            for each in self._calls.values()
            if said.position < each.number < call.number and each.list_id not in {None, call.list_id}
        ]
        # Who unsubscribed is read last, after the archived.
        return not between and not elsewhere and len(after) <= (0 if isinstance(said, Withdrawal) else 1)

    def _changes(self, call: CallStarted) -> list[CallStarted]:
        """Return the calls before this one that changed the same audience."""
        return [
            each
            for each in self._calls.values()
            if each.list_id == call.list_id and each.number < call.number and each.method != "GET"
        ]

    def _not_propagated(self, process: Process) -> Iterator[str]:
        """Yield who said no, and is mailed all the same when a sync that is complete has ended."""
        for (list_id, key), status in sorted(self.members.items()):
            if status not in MAILED or not self._is_ours(list_id, key):
                continue
            holders = self.holders(list_id, key)
            if any(self.is_erased(each, holders, key) for each in self.erasures):
                # It is deleted, as soon as nothing else has the audience; the steady state shows whether it was.
                continue
            is_asked = (list_id, key) in process.asked
            signed_up = any(
                (said.place, said.key) == (list_id, key) and said.index > process.first_index for said in self.sign_ups
            )
            block = self.withdrawn(
                list_id,
                key,
                lambda said, is_asked=is_asked: (
                    self.known_by_now(said)
                    if said.index < process.first_index or (is_asked and said.place == HERE)
                    else NO
                ),
            )
            if block.certainty is YES and not signed_up:
                fed = "" if list_id in process.lists else " (not fed by it)" if process.lists else " of no segment"
                yield f"{key} is {status} in {list_id} after a sync{fed}: {block.why}"

    def _is_ours(self, list_id: str, key: str) -> bool:
        """Tell whether the product must know that a member of an audience is a contact of the organisation."""
        if any(said.key == key and said.place == HERE for said in self.withdrawals):
            return True
        return bool(self.holders(list_id, key)) or any(
            sent == key and there == list_id for (there, _), sent in self.sent.items()
        )

    def _attribute(self, said: Withdrawal, process: Process) -> None:
        """Note whose withdrawal the product must have found it to be: before somebody with the address opted in."""
        if any(word.key == said.key and said.index < word.index for word in self.opt_ins):
            return
        # With somebody erased goes what was said at the address, whoever else had it.
        if any(self._may_have_erased(each, said.key or "") and said.index < each.index for each in self.erasures):
            return
        for entity in said.entities:
            # Of several who had the address the ledger knows one.
            others = {sent for (_, sent), key in self.sent.items() if key == said.key} | said.entities
            was_there = self.sent.get((said.place, entity)) == said.key and others == {entity}
            has_it = was_there or said.key in self._present(entity)
            own = (said.place, said.key or "")
            is_giver = self.given_by.get(own) == entity
            has_own = is_giver and self.own_addresses.get(own) == self.sent.get((said.place, entity), "")
            if entity.entity_type in process.kinds and (has_it or has_own):
                said.attributed.add(entity)

    def _present(self, entity: Entity) -> set[str]:
        person = self.company.find(entity)
        return {person.key} if person else set()

    def _last_key(self, entity: Entity) -> str | None:
        """Return the address of somebody whom HR does not have any more, as far as the product sent it."""
        if any(each.entity == entity for each in self.erasures):
            return None
        return next((key for (_, sent), key in self.sent.items() if sent == entity), None)

    def _change(self, change: MemberChanged) -> None:
        list_id, key, former = change.list_id, key_of(change.address), key_of(change.former_address)
        status = self.members.pop((list_id, former), None)
        if change.status is not None:
            self.members[list_id, key] = change.status
        if change.by is Actor.API and status is Status.ARCHIVED and change.status in MAILED:
            self.brought_back.append((self.index(), (list_id, key)))
        is_ours = status is None if change.by is Actor.API else False
        has_confirmed = (change.former_status, change.status) == (Status.PENDING, Status.SUBSCRIBED)
        if is_ours or ((list_id, former) in self.brought and (change.by is Actor.API or has_confirmed)):
            self.brought.add((list_id, key))
        else:
            self.brought.discard((list_id, key))
        if key != former or change.status is None:
            self.brought.discard((list_id, former))


def _reads_members(call: CallStarted) -> bool:
    return call.method == "GET" and call.route in {_MEMBERS, _MEMBER, _ABUSE}
