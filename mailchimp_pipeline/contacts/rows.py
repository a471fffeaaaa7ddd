"""Raw rows of a relation into contacts: text trimmed, names told apart, addresses checked, no row dropped.

What does not belong here: where rows come from (`source`), the syntax of an address (`addresses`).
"""

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.addresses import checked
from mailchimp_pipeline.contacts.arrow import NO_TEXT, pc, text_column, text_frame
from mailchimp_pipeline.contacts.relations import (
    ATTRIBUTES,
    CONTACT_COLUMNS,
    RELATION_COLUMNS,
    EntityType,
    MissingColumnError,
    MissingIdError,
)

_NAMES = ("first_name", "last_name")
_NAME_STAND_INS = ("name", "company_name")


def contacts(frame: pd.DataFrame, entity_type: EntityType) -> pd.DataFrame:
    """Return one contact a row, in the order of the rows, with `CONTACT_COLUMNS` as `ARROW_STRING`.

    `frame` has the `RELATION_COLUMNS` as text; vendors may lack the attributes, and have `name` or `company_name`
    for the two names. Text is trimmed, blank text is null. Two rows of one entity stay two contacts.
    """
    _require_columns(frame, entity_type)
    given = {str(name): _trimmed(text_column(frame[name])) for name in frame.columns if name in RELATION_COLUMNS}
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
    required = ["organisation_id", "id", "email"]
    if entity_type is EntityType.EMPLOYEE:
        required += [*_NAMES, *ATTRIBUTES]
    elif not any(name in frame.columns for name in _NAME_STAND_INS):
        required += _NAMES
    for column in required:
        if column not in frame.columns:
            raise MissingColumnError(entity_type.relation, column)


def _require_ids(given: dict[str, pa.StringArray], entity_type: EntityType) -> None:
    for column in ("organisation_id", "id"):
        if given[column].null_count:
            raise MissingIdError(entity_type.relation, column, given[column].null_count)


def _trimmed(text: pa.StringArray) -> pa.StringArray:
    """Return the text trimmed, null where it is blank, without the NUL that PostgreSQL cannot hold."""
    trimmed = pc.utf8_trim_whitespace(pc.replace_substring(text, "\0", ""))
    return pc.if_else(pc.equal(trimmed, ""), NO_TEXT, trimmed)


def _names(given: dict[str, pa.StringArray], nothing: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return first and last names; a vendor's row with neither takes its `name`, or else its `company_name`.

    A name is split at its first blank: what stands before it is what a greeting uses ("Ludwig", "van Beethoven").
    One with a comma stays whole, it may be "Beethoven, Ludwig van" or "Acme, Inc."; so does a company's.
    """
    first, last = (given.get(name, nothing) for name in _NAMES)
    name, company = (given.get(name, nothing) for name in _NAME_STAND_INS)
    parts = pc.extract_regex(name, r"^(?P<first>[^\s,]+)\s+(?P<rest>[^,]+)$")
    nameless = pc.and_(pc.is_null(first), pc.is_null(last))
    stand_in_first = pc.coalesce(pc.struct_field(parts, "first"), name, company)
    stand_in_last = pc.struct_field(parts, "rest")
    return pc.if_else(nameless, stand_in_first, first), pc.if_else(nameless, stand_in_last, last)
