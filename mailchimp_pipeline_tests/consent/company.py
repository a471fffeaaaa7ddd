"""A small company whose people come, go and change, as its HR and vendor systems have them, and who was what when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion
from mailchimp_pipeline.segments import FilterCriteria, SegmentType
from mailchimp_pipeline_tests.source_fake import an_employee, rows

DEPARTMENTS = ("Sales", "Works")
UNICODE = "eve@bücher.test"
ADDRESSES = ("ann@acme.test", "bob@acme.test", "cat@acme.test", "dan@acme.test", UNICODE)
"""Fewer than there are people: addresses are shared, and taken over from who had them before."""
OWN_ADDRESSES = ("fay@own.test", "gil@own.test")
"""Addresses that contacts give to Mailchimp, and that HR does not know."""


@lru_cache(maxsize=1024)
def key_of(address: str) -> str:
    """Return the one form of an address that all its spellings have."""
    local, _, domain = address.strip().lower().rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}"


def spellings(key: str) -> tuple[str, ...]:
    """Return the ways to spell an address that Mailchimp takes for addresses of their own."""
    local, _, domain = key.rpartition("@")
    return tuple(dict.fromkeys((key, f"{local}@{domain.encode().decode('idna')}")))


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


PEOPLE = tuple(map(Entity, ("employee/1", "employee/2", "employee/3", "employee/4", "vendor/1", "vendor/2")))
LATER_IDS = tuple(map(Entity, ("employee/11", "employee/12", "vendor/11")))
"""Ids under which people come back."""

_KEEPERS = tuple(map(Entity, ("employee/90", "vendor/90")))
"""They never leave: a source with nobody in it is another story."""


@dataclass(frozen=True)
class Person:
    """Somebody as HR has them now."""

    entity: Entity
    email: str
    department: str = "Sales"
    first_name: str = "Ada"
    last_name: str = "Byron"

    @property
    def key(self) -> str:
        """The address in the form that all its spellings have."""
        return key_of(self.email)

    def matches(self, segment_type: SegmentType, criteria: FilterCriteria) -> bool:
        """Tell whether a segment asks for them."""
        wanted = self.entity.entity_type in segment_type.entity_types
        return wanted and (not criteria.department or self.department in criteria.department)


class Company:
    """Everybody there is now, and which addresses each ever had."""

    def __init__(self, organisation_id: str, *, domain: str = "keeper.test") -> None:
        self.organisation_id = organisation_id
        self._people: dict[Entity, Person] = {}
        self._holders: dict[str, set[Entity]] = {}
        self.had: dict[Entity, set[str]] = {}
        for keeper in _KEEPERS:
            self.put(Person(keeper, f"{keeper.entity_type}@{domain}"))

    def __iter__(self) -> Iterator[Person]:
        """Iterate as duplicates are resolved: employees before vendors, then by id."""
        return iter(sorted(self._people.values(), key=lambda person: person.entity))

    def find(self, entity: Entity) -> Person | None:
        """Return who is there, None where they are not."""
        return self._people.get(entity)

    def put(self, person: Person) -> None:
        """Take somebody on."""
        self.leave(person.entity)
        self._people[person.entity] = person
        self._holders.setdefault(person.key, set()).add(person.entity)
        self.had.setdefault(person.entity, set()).add(person.key)

    def change(self, entity: Entity, **changes: str) -> None:
        """Change something of somebody who is there."""
        if person := self.find(entity):
            self.put(replace(person, **changes))

    def leave(self, entity: Entity) -> None:
        """Let somebody go."""
        if person := self._people.pop(entity, None):
            self._holders[person.key].discard(entity)

    def come_back_as(self, entity: Entity, other: Entity) -> None:
        """Give somebody another id, as HR does when people are hired again."""
        if (person := self.find(entity)) and not self.find(other):
            self.leave(entity)
            self.put(replace(person, entity=other))

    def holders(self, key: str) -> set[Entity]:
        """Return who has the address now."""
        return set(self._holders.get(key, ()))

    def has_had(self, entity: Entity, key: str) -> bool:
        """Tell whether somebody has or had the address."""
        return key in self.had.get(entity, ())

    def read(self, relation: EntityType) -> pd.DataFrame:
        """Return the raw rows of a relation."""
        return rows(*(self._row(person) for person in self if person.entity.entity_type is relation))

    def _row(self, person: Person) -> dict[str, str | None]:
        return an_employee(
            organisation_id=self.organisation_id,
            id=person.entity.entity_id,
            email=person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            department=person.department,
        )


@dataclass(frozen=True)
class Companies:
    """All companies by organisation: a `contacts.Source`."""

    by_organisation: Mapping[str, Company]

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the raw rows of an organisation."""
        return self.by_organisation[organisation_id].read(relation)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the raw rows of one contact."""
        found = self.read(relation, organisation_id)
        return found[found["id"] == entity_id].reset_index(drop=True)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return how many rows there are; nobody asks for more here."""
        return RelationVersion(rows=sum(len(each.read(relation)) for each in self.by_organisation.values()), version="")
