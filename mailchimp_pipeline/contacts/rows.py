"""Convert rows of a relation to contacts: trim text, normalise ids, check addresses. No row is dropped.

What does not belong here: reading rows (`source`), the syntax of addresses (`addresses`).
"""

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.addresses import checked
from mailchimp_pipeline.contacts.arrow import pc, text_column, text_frame
from mailchimp_pipeline.contacts.relations import (
    ATTRIBUTES,
    CONTACT_COLUMNS,
    RELATION_COLUMNS,
    EntityType,
    MissingColumnError,
    MissingIdError,
)
from mailchimp_pipeline.contacts.text import normalised_column, trimmed_column

_IDS = ("organisation_id", "id")
_NAMES = ("first_name", "last_name")
_NAME_STAND_INS = ("name", "company_name")


def contacts(frame: pd.DataFrame, entity_type: EntityType) -> pd.DataFrame:
    """Return one contact for each row, in the same order, with `CONTACT_COLUMNS` as `ARROW_STRING`.

    `frame` has `RELATION_COLUMNS` as text. Vendors may lack the attributes, and may have `name` or `company_name` in
    place of the two names. Text is trimmed, blank text becomes null, and ids are `normalised`. Rows of the same entity
    are not merged. Raises `MissingColumnError` and `MissingIdError`.
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
    """Return a column without blanks at the ends of its texts. Ids are normalised."""
    column = trimmed_column(text_column(frame[name]))
    return normalised_column(column) if name in _IDS else column


def _names(given: dict[str, pa.StringArray], nothing: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return first and last names. A vendor without both gets its `name`, or else its `company_name`.

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
