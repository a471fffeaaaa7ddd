"""A member of an audience. The class is small, so a million members fit into memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sandbox.model.merge_fields import Values


class Status(StrEnum):
    """A member's status."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"


class ComplianceState(StrEnum):
    """Mailchimp's compliance state: only the contact can resubscribe. It survives archiving."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    REVIEW = "review"
    COMPLAINT = "complaint"


class Actor(StrEnum):
    """The source of a change, as webhooks name it: the contact, an administrator on Mailchimp's website, or the API."""

    USER = "user"
    ADMIN = "admin"
    API = "api"


class ChangeOrigin(NamedTuple):
    """The source and time of a change."""

    by: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class MemberAttributes:
    """Attributes that few members have. All other members share `DEFAULT_ATTRIBUTES`."""

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


DEFAULT_ATTRIBUTES = MemberAttributes()


@dataclass(slots=True, eq=False)
class Member:
    """One address in one audience. Only `Audience` changes a member."""

    number: int
    id: str
    address: str
    status: Status
    last_changed: datetime
    values: Values = ()
    compliance_state: ComplianceState | None = None
    unsubscribe_reason: str = ""
    left_at: datetime | None = None
    opted_in_at: datetime | None = None
    source: str = "API - Generic"
    attributes: MemberAttributes = DEFAULT_ATTRIBUTES
