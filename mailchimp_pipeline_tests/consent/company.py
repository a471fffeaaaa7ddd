"""A small company whose people come, go and change, as its HR and vendor systems have them.

What does not belong here: what anybody says about e-mail (`words`), segments and Mailchimp (`world`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion, subscriber_hash
from mailchimp_pipeline.segments import FilterCriteria, SegmentType
from mailchimp_pipeline_tests.source_fake import an_employee, rows

DEPARTMENTS = ("Sales", "Works")
ADDRESSES = tuple(f"{name}@acme.test" for name in ("ann", "bob", "cat", "dan", "eve"))
"""Fewer than there are people: addresses are shared, and taken over from who had them before."""
OWN_ADDRESSES = ("fay@own.test", "gil@own.test")
"""Addresses that contacts give to Mailchimp, and that HR does not know."""


class Entity(str):
    """Who somebody is, whatever their address: `employee/1`."""

    __slots__ = ()

    @property
    def entity_type(self) -> EntityType:
        """Which relation they are in."""
        return EntityType(self.partition("/")[0])

    @property
    def entity_id(self) -> str:
        """Their id there."""
        return self.partition("/")[2]


PEOPLE = tuple(map(Entity, ("employee/1", "employee/2", "employee/3", "employee/4", "employee/5", "vendor/1")))

_KEEPERS = tuple(map(Entity, ("employee/90", "vendor/90")))
"""They never leave: a source with nobody in it is another story."""


@dataclass(frozen=True)
class Person:
    """Somebody as HR has them now."""

    entity: Entity
    email: str
    department: str
    first_name: str = "Ada"

    @property
    def address(self) -> str:
        """The hash of the address."""
        return subscriber_hash(self.email)

    def matches(self, segment_type: SegmentType, criteria: FilterCriteria) -> bool:
        """Tell whether a segment asks for them."""
        wanted = self.entity.entity_type in segment_type.entity_types
        return wanted and (not criteria.department or self.department in criteria.department)


class Company:
    """Everybody there is now, and which addresses each ever had. It is a `contacts.Source` of one organisation."""

    def __init__(self, organisation_id: str) -> None:
        self._organisation_id = organisation_id
        self._people: dict[Entity, Person] = {}
        self.had: dict[Entity, set[str]] = {}
        for keeper in _KEEPERS:
            self.put(Person(keeper, f"{keeper.entity_type}@keeper.test", "Sales"))

    def __iter__(self) -> Iterator[Person]:
        return iter(sorted(self._people.values(), key=lambda person: person.entity))

    def person(self, entity: Entity) -> Person | None:
        """Return who is there, None where they are not."""
        return self._people.get(entity)

    def put(self, person: Person) -> None:
        """Take somebody on."""
        self._people[person.entity] = person
        self.had.setdefault(person.entity, set()).add(person.address)

    def change(self, entity: Entity, **changes: str) -> None:
        """Change something of somebody who is there."""
        if person := self.person(entity):
            self.put(replace(person, **changes))

    def leave(self, entity: Entity) -> None:
        """Let somebody go."""
        self._people.pop(entity, None)

    def note_own_address(self, former: str, address: str) -> None:
        """Note that whoever had an address has another as well, which they gave to Mailchimp."""
        for had in self.had.values():
            if former in had:
                had.add(address)

    def holders(self, address: str) -> set[Entity]:
        """Return who has the address now."""
        return {person.entity for person in self if person.address == address}

    def sole_addresses(self, entity: Entity) -> set[str]:
        """Return the addresses that nobody else ever had: what happens at them is about this one."""
        others = {address for other, had in self.had.items() if other != entity for address in had}
        return self.had.get(entity, set()) - others

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the raw rows of a relation."""
        people = [person for person in self if person.entity.entity_type is relation]
        return rows(*(self._row(person, organisation_id) for person in people))

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the raw rows of one contact."""
        frame = self.read(relation, organisation_id)
        return frame[frame["id"] == entity_id]

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return how many there are; nobody asks for more here."""
        return RelationVersion(rows=len(self.read(relation, self._organisation_id)), version="")

    def _row(self, person: Person, organisation_id: str) -> dict[str, str | None]:
        return an_employee(
            organisation_id=organisation_id,
            id=person.entity.entity_id,
            email=person.email,
            first_name=person.first_name,
            department=person.department,
        )


def readable(address: str) -> str:
    """Return the address that a hash is of."""
    return next((email for email in (*ADDRESSES, *OWN_ADDRESSES) if subscriber_hash(email) == address), address)
