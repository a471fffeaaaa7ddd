"""A member of an audience, kept small: a million of them fit into memory.

What does not belong here: how a member's status may change (`enrolment` for the API, `acts` for people).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sandbox.model.merge_fields import Values


class Status(StrEnum):
    """What a member is to the audience."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"


class Bar(StrEnum):
    """Why nobody but the contact may subscribe a member: Mailchimp's compliance state. It outlives an archiving."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    REVIEW = "review"
    COMPLAINT = "complaint"


class Actor(StrEnum):
    """Who did something, as webhooks name it: the contact, somebody in Mailchimp's own pages, or the API."""

    USER = "user"
    ADMIN = "admin"
    API = "api"


class Deed(NamedTuple):
    """Who does something, and when."""

    by: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class Traits:
    """What few members have; all others share one instance of it."""

    email_type: str = "html"
    language: str = ""
    vip: bool = False
    ip_signup: str = ""
    ip_opt: str = ""
    timestamp_signup: str = ""
    latitude: float = 0
    longitude: float = 0
    interests: Mapping[str, bool] = field(default_factory=dict[str, bool])
    permissions: frozenset[str] = frozenset()


COMMON = Traits()


@dataclass(slots=True, eq=False)
class Member:
    """One address in one audience. Only its `Audience` changes it."""

    number: int
    id: str
    address: str
    status: Status
    last_changed: datetime
    values: Values = ()
    bar: Bar | None = None
    unsubscribe_reason: str = ""
    left_at: datetime | None = None
    opted_in_at: datetime | None = None
    source: str = "API - Generic"
    traits: Traits = COMMON
