"""A consent statement: what somebody said about being e-mailed, where, when, and about whom."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mailchimp_pipeline.contacts import EntityType

Contact: TypeAlias = tuple["EntityType", str]
"""An employee or a vendor, by its id in the source."""

MAILCHIMP = "mailchimp"
"""The source of statements that were made at Mailchimp."""

DELETED_AT_MAILCHIMP = "deleted_at_mailchimp"
"""The source where Mailchimp deleted a member permanently, and nothing here says why."""

RESERVED_SOURCES = frozenset({MAILCHIMP, DELETED_AT_MAILCHIMP})
"""Sources that only the pipeline writes."""


class Channel(StrEnum):
    """How a statement was made at Mailchimp."""

    LINK = "link"
    """The contact used the unsubscribe link."""
    ADMIN = "admin"
    """An administrator, or another program with the account's key, changed the member."""
    COMPLAINT = "complaint"
    """The contact reported a campaign as spam."""
    FORM = "form"
    """The member is subscribed again: by a sign-up form, or by an administrator."""
    DELETION = "deletion"
    """The member was deleted permanently."""


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """One statement about a contact, an address, or both.

    `mailchimp_list_id` is the audience in which it was made, None where it was made here. `stated_at` is by
    Mailchimp's clock for a statement made in an audience, else by ours.
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
    """What a contact's statements amount to now, with the times of its latest opt-in and withdrawal."""

    entity_type: "EntityType"
    entity_id: str
    opted_in: bool
    consent_given_at: datetime | None
    consent_withdrawn_at: datetime | None
    consent_source: str
    updated_at: datetime
