"""Contacts: rows of the employee and vendor sources, converted to one format.

What does not belong here: reading a source (`sources`), computing memberships (`segments`).
"""

from mailchimp_pipeline.contacts.addresses import (
    AddressProblem,
    canonical_address,
    may_hold_address,
    member_ids,
    sendable,
    subscriber_hash,
)
from mailchimp_pipeline.contacts.relations import (
    ATTRIBUTES,
    CONTACT_COLUMNS,
    RELATION_COLUMNS,
    EntityType,
    MissingColumnError,
    MissingIdError,
)
from mailchimp_pipeline.contacts.rows import (
    RelationVersion,
    Source,
    contacts,
    content_digest,
    find_contacts,
    present_addresses,
    present_member_ids,
    read_contacts,
)
from mailchimp_pipeline.contacts.text_columns import ARROW_STRING, normalised

__all__ = [
    "ARROW_STRING",
    "ATTRIBUTES",
    "CONTACT_COLUMNS",
    "RELATION_COLUMNS",
    "AddressProblem",
    "EntityType",
    "MissingColumnError",
    "MissingIdError",
    "RelationVersion",
    "Source",
    "canonical_address",
    "contacts",
    "content_digest",
    "find_contacts",
    "may_hold_address",
    "member_ids",
    "normalised",
    "present_addresses",
    "present_member_ids",
    "read_contacts",
    "sendable",
    "subscriber_hash",
]
