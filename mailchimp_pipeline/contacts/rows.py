"""Contacts from the rows of a source: the port of sources, the conversion of rows, and the digest of a contact's data.

The conversion trims text, normalises ids and checks addresses. No row is left out. As long as a contact's digest stays
the same, nothing has to be sent.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.addresses import checked, member_ids
from mailchimp_pipeline.contacts.relations import (
    ATTRIBUTES,
    CONTACT_COLUMNS,
    RELATION_COLUMNS,
    EntityType,
    MissingColumnError,
    MissingIdError,
)
from mailchimp_pipeline.contacts.text_columns import (
    ARROW_STRING,
    normalised_column,
    pc,
    release_memory,
    text_by_text,
    text_column,
    text_frame,
    trimmed_column,
)

_IDS = ("organisation_id", "id")
_NAMES = ("first_name", "last_name")
_NAME_STAND_INS = ("name", "company_name")


def contacts(frame: pd.DataFrame, entity_type: EntityType) -> pd.DataFrame:
    """Return one contact for each row, in the same order, with `CONTACT_COLUMNS` as `ARROW_STRING`.

    `frame` has `RELATION_COLUMNS` as text. Vendors may lack the attributes, and may have `name` or `company_name` in
    place of the two names. Text is trimmed, blank text becomes null, and ids are `normalised`. Several rows of the same
    employee or vendor stay several rows. Raises `MissingColumnError` if a required column is missing, and
    `MissingIdError` if a row has no id or no organisation.
    """
    _require_columns(frame, entity_type)
    given = {name: _given(frame, name) for name in RELATION_COLUMNS if name in frame.columns}
    _require_ids(given, entity_type)
    nothing: pa.StringArray = pa.array([None] * len(frame), pa.string())
    addresses = checked(given["email"])
    first_names, last_names = _names(given, nothing)
    columns = {
        **{attribute: given.get(attribute, nothing) for attribute in ATTRIBUTES},
        "organisation_id": given["organisation_id"],
        "entity_type": pa.repeat(entity_type.value, len(frame)),
        "entity_id": given["id"],
        "email": addresses.emails,
        "subscriber_hash": addresses.hashes,
        "first_name": first_names,
        "last_name": last_names,
        "address_problem": addresses.problems,
    }
    return text_frame({name: columns[name] for name in CONTACT_COLUMNS})


def _require_columns(frame: pd.DataFrame, entity_type: EntityType) -> None:
    required = [*_IDS, "email"]
    if entity_type is EntityType.EMPLOYEE:
        required += [*_NAMES, *ATTRIBUTES]
    elif not any(name in frame.columns for name in _NAME_STAND_INS):
        required += _NAMES
    for column in required:
        if column not in frame.columns:
            raise MissingColumnError(entity_type.relation, column)


def _require_ids(given: dict[str, pa.StringArray], entity_type: EntityType) -> None:
    for column in _IDS:
        if given[column].null_count:
            raise MissingIdError(entity_type.relation, column, given[column].null_count)


def _given(frame: pd.DataFrame, name: str) -> pa.StringArray:
    """Return a column's texts without blanks at their ends. Ids are also normalised."""
    column = trimmed_column(text_column(frame[name]))
    return normalised_column(column) if name in _IDS else column


def _names(given: dict[str, pa.StringArray], nothing: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return first and last names. A vendor that has neither gets its `name`, or else its `company_name`.

    A `name` is split at its first blank, so that greetings use the first word ("Ludwig", "van Beethoven"). A name with
    a comma is not split, because it may be "Beethoven, Ludwig van" or "Acme, Inc."; neither is a `company_name`.
    """
    first, last = (given.get(name, nothing) for name in _NAMES)
    name, company = (given.get(name, nothing) for name in _NAME_STAND_INS)
    parts = pc.extract_regex(name, r"^(?P<first>[^\s\pZ,]+)[\s\pZ]+(?P<rest>[^,]+)$")
    nameless = pc.and_(pc.is_null(first), pc.is_null(last))
    stand_in_first = pc.coalesce(pc.struct_field(parts, "first"), name, company)
    stand_in_last = pc.struct_field(parts, "rest")
    return pc.if_else(nameless, stand_in_first, first), pc.if_else(nameless, stand_in_last, last)


_DIGEST_BYTES = 16


def content_digest(frame: pd.DataFrame, merge_fields: Mapping[str, str]) -> "pd.Series[str]":
    """Return for each row a digest of what is sent about it: `email` and the merge fields. The index is the frame's.

    `merge_fields` maps the tag of each of the audience's merge fields to a column. Missing values are left out, so a
    merge field without a value does not change the digest. A digest has 32 hex characters.
    """
    email = _delimited(text_column(frame["email"]), "EMAIL")
    others = (_delimited(text_column(frame[column]), tag) for tag, column in sorted(merge_fields.items()))
    contents = pc.binary_join_element_wise(email, *others, "")
    digests: Any = pd.arrays.ArrowExtensionArray(text_by_text(_digest, contents))
    return pd.Series(digests, index=frame.index, name="digest", dtype=ARROW_STRING)


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _delimited(text: pa.StringArray, tag: str) -> pa.StringArray:
    """Return each text after its tag and length, so that different contents never look the same. Null becomes blank."""
    length = pc.cast(pc.binary_length(text), pa.string())
    return pc.coalesce(pc.binary_join_element_wise(tag, length, text, ":"), "")


@dataclass(frozen=True, slots=True)
class RelationVersion:
    """The number of rows of a relation, over all organisations, and a `version` that changes with their content."""

    rows: int
    version: str


class Source(Protocol):
    """A source of employees and vendors. `relation` says which of the two are read.

    A relation that does not exist is an error, never an empty result. Raises `Interrupted` if the source is unavailable
    or changing, and `PermanentError` if it cannot be read.
    """

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows in any order, with the available `RELATION_COLUMNS` as `ARROW_STRING`."""
        ...

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the rows of one contact, with the columns of `read`, without loading the others.

        Ids are compared as `normalised`. Raises `MissingColumnError` if the relation has no column for ids.
        """
        ...

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows of the relation, and a version that changes with their content."""
        ...


def read_contacts(source: Source, organisation_id: str, relations: Iterable[EntityType]) -> pd.DataFrame:
    """Read the organisation's rows of these relations, at least one, and return them as `contacts`."""
    frames = [contacts(source.read(relation, organisation_id), relation) for relation in relations]
    release_memory()
    return pd.concat(frames, ignore_index=True)


def find_contacts(source: Source, organisation_id: str, entity_type: EntityType, entity_id: str) -> pd.DataFrame:
    """Read one contact from the source. Return its rows, with `CONTACT_COLUMNS`.

    A contact with two posts has two rows. There is none if the source does not have the contact.
    """
    return contacts(source.find(entity_type, organisation_id, entity_id), entity_type)


def present_addresses(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the subscriber hashes of the contact's valid addresses in the source.

    Returns None if the source does not have the contact.
    """
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    return None if found.empty else tuple(sorted({str(address) for address in found["subscriber_hash"].dropna()}))


def present_member_ids(
    source: Source, organisation_id: str, entity_type: EntityType, entity_id: str
) -> tuple[str, ...] | None:
    """Return the ids that the contact can have at Mailchimp: the hashes of all spellings of its addresses.

    The contact may be a member under some of them, or under none. Returns None if the source does not have the contact.
    """
    found = find_contacts(source, organisation_id, entity_type, entity_id)
    if found.empty:
        return None
    emails = found["email"][found["subscriber_hash"].notna()]
    return tuple(sorted(frozenset[str]().union(*(member_ids(str(email)) for email in emails))))
