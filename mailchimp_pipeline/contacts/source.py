"""The port of sources, and functions that read contacts through it.

What does not belong here: reading files and databases (`sources`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from mailchimp_pipeline.contacts.addresses import member_ids
from mailchimp_pipeline.contacts.arrow import give_back_memory
from mailchimp_pipeline.contacts.relations import EntityType
from mailchimp_pipeline.contacts.rows import contacts


@dataclass(frozen=True, slots=True)
class RelationVersion:
    """The number of rows of a relation over all organisations, and a `version` that changes with the content."""

    rows: int
    version: str


class Source(Protocol):
    """A source of employees and vendors. A missing relation is an error, never an empty result.

    Raises `Interrupted` if the source is unavailable or changing, and `PermanentError` if it cannot be read.
    """

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows in any order, with the available `RELATION_COLUMNS` as `ARROW_STRING`."""
        ...

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the rows of one contact, as `read` does, without loading the others.

        Ids are compared as `normalised`. Raises `MissingColumnError` if the relation has no ids.
        """
        ...

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows and the version of the relation."""
        ...


def read_contacts(source: Source, organisation_id: str, relations: Iterable[EntityType]) -> pd.DataFrame:
    """Return the organisation's contacts of these relations (at least one), as `contacts` does."""
    frames = [contacts(source.read(relation, organisation_id), relation) for relation in relations]
    give_back_memory()
    return pd.concat(frames, ignore_index=True)


def find_contacts(source: Source, organisation_id: str, entity_type: EntityType, entity_id: str) -> pd.DataFrame:
    """Return the contact's rows as `contacts` does: none, one, or several if the source has several."""
    return contacts(source.find(entity_type, organisation_id, entity_id), entity_type)


def present_addresses(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the contact's addresses in the source as subscriber hashes, None if the source has no such contact."""
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    return None if found.empty else tuple(sorted({str(address) for address in found["subscriber_hash"].dropna()}))


def present_member_ids(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the possible Mailchimp ids of the contact, for each of its addresses in the source.

    None if the source has no such contact.
    """
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    if found.empty:
        return None
    emails = found["email"][found["subscriber_hash"].notna()]
    return tuple(sorted(frozenset[str]().union(*(member_ids(str(email)) for email in emails))))
