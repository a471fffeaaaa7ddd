"""Rows of the HR and vendor sources become contacts: one frame of one form, whatever they came from.

What does not belong here: reading a source (`sources`), deciding who is a member (`segments`).
"""

import hashlib
from enum import StrEnum


class EntityType(StrEnum):
    """The relation a contact comes from."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"


class AddressProblem(StrEnum):
    """Why a contact's address cannot be mailed."""

    MISSING = "missing_address"
    INVALID = "invalid_address"


ATTRIBUTES = ("department", "location", "employment_type", "employment_status")

CONTACT_COLUMNS = (
    "organisation_id",
    "entity_type",
    "entity_id",
    "email",
    "subscriber_hash",
    "first_name",
    "last_name",
    *ATTRIBUTES,
    "address_problem",
)
"""Columns of a contacts frame, all Arrow strings; `address_problem` is null where the address can be mailed."""


def subscriber_hash(address: str) -> str:
    """Mailchimp's id of a member: the MD5 of the trimmed, lower-cased address, in hex."""
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()
