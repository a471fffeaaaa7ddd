"""Consent statements: who opted in or withdrew consent, when, and where."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mailchimp_pipeline.contacts import EntityType

Contact: TypeAlias = tuple["EntityType", str]
"""An employee or a vendor: the entity type, and the id that the source has for it."""

MAILCHIMP = "mailchimp"
"""The `source` of statements that were made at Mailchimp."""

DELETED_AT_MAILCHIMP = "deleted_at_mailchimp"
"""The `source` of a withdrawal that is recorded because a member was permanently deleted at Mailchimp.

It is used only if the deletion does not come from an erasure by this pipeline.
"""

RESERVED_SOURCES = frozenset({MAILCHIMP, DELETED_AT_MAILCHIMP})
"""Values of `source` that only the pipeline itself may record."""


class Channel(StrEnum):
    """How an opt-in or a withdrawal was made at Mailchimp."""

    LINK = "link"
    """The contact used the unsubscribe link."""
    ADMIN = "admin"
    """An administrator, or a program with the account's API key, changed the member."""
    COMPLAINT = "complaint"
    """The contact reported a campaign as spam."""
    FORM = "form"
    """The member was subscribed again, by a sign-up form or an administrator."""
    DELETION = "deletion"
    """The member was deleted permanently."""


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """An opt-in or a withdrawal of consent, made by a contact, for an address, or both.

    `mailchimp_list_id` is the audience in which it was made, None if it was made in this pipeline. `stated_at` is by
    Mailchimp's clock if it was made in an audience, else by the pipeline's clock.
    """

    opted_in: bool
    source: str
    stated_at: datetime
    contact: Contact | None = None
    subscriber_hash: str | None = None
    mailchimp_list_id: str | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """Whether a contact may be e-mailed according to its own statements.

    It has the times of the latest opt-in and the latest withdrawal, and the source of the statement that counts.
    """

    entity_type: "EntityType"
    entity_id: str
    opted_in: bool
    consent_given_at: datetime | None
    consent_withdrawn_at: datetime | None
    consent_source: str
    updated_at: datetime
