"""Where contacts are read from, as the pipeline needs it: the port, and all contacts of an organisation through it.

What does not belong here: how a source is read (`sources`).
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
    """What a relation holds, over all organisations: `version` differs when the content that is read differs."""

    rows: int
    version: str


class Source(Protocol):
    """The HR and vendor relations. A relation that is not there is an error, never no rows.

    Raises `errors.Interrupted` where the source is away or changing, `PermanentError` where it cannot be read as it is.
    """

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's raw rows: those of `RELATION_COLUMNS` there are, as `ARROW_STRING`, any order."""
        ...

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the raw rows of one contact, as `read` does, without holding the others.

        Ids are compared as `normalised`. Raises `MissingColumnError` where the relation has no ids.
        """
        ...

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return how many rows the relation has, and which version it is."""
        ...


def read_contacts(source: Source, organisation_id: str, relations: Iterable[EntityType]) -> pd.DataFrame:
    """Return the organisation's contacts of these relations (one at least), as `contacts` does."""
    frames = [contacts(source.read(relation, organisation_id), relation) for relation in relations]
    give_back_memory()
    return pd.concat(frames, ignore_index=True)


def find_contacts(source: Source, organisation_id: str, entity_type: EntityType, entity_id: str) -> pd.DataFrame:
    """Return the contact's rows in the source, as `contacts` does: none, one, or one for each of their posts."""
    return contacts(source.find(entity_type, organisation_id, entity_id), entity_type)


def present_addresses(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the contact's addresses in the source, as Mailchimp's hashes; None where that has no such contact."""
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    return None if found.empty else tuple(sorted({str(address) for address in found["subscriber_hash"].dropna()}))


def present_member_ids(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the ids that Mailchimp may have the contact under, for each of its addresses in the source.

    None where the source has no such contact.
    """
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    if found.empty:
        return None
    emails = found["email"][found["subscriber_hash"].notna()]
    return tuple(sorted(frozenset[str]().union(*(member_ids(str(email)) for email in emails))))
