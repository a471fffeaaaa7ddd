"""The member in a request body."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.model import problems
from sandbox.model.members import DEFAULT_ATTRIBUTES, MemberAttributes, Status
from sandbox.model.problems import FieldError, Problem

RequestedStatus = Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional"]

_STATUSES: Mapping[str, Status] = {status.value: status for status in Status}
_PLAIN_ATTRIBUTES = ("email_type", "language", "vip", "ip_signup", "ip_opt", "timestamp_signup")
_ATTRIBUTES = frozenset({*_PLAIN_ATTRIBUTES, "location", "interests", "marketing_permissions"})


class Permission(BaseModel):
    """A marketing permission, given or withdrawn."""

    marketing_permission_id: str
    enabled: bool


class Location(BaseModel):
    """A member's location."""

    latitude: float = 0
    longitude: float = 0


class TagName(BaseModel):
    """A tag as an object with a name."""

    name: str


class MemberBody(BaseModel):
    """One member in a request body. Fields that Mailchimp does not know are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    email_address: str | None = None
    status: RequestedStatus | None = None
    status_if_new: RequestedStatus | None = None
    email_type: str | None = None
    merge_fields: Mapping[str, object] | None = None
    interests: Mapping[str, bool] | None = None
    language: str | None = None
    vip: bool | None = None
    location: Location | None = None
    marketing_permissions: list[Permission] | None = None
    ip_signup: str | None = None
    ip_opt: str | None = None
    timestamp_signup: str | None = None
    tags: list[str | TagName] | None = None

    @property
    def requested_status(self) -> Status | None:
        """The requested status, None to leave it unchanged."""
        return None if self.status is None else _STATUSES[self.status]

    @property
    def status_of_new(self) -> Status | None:
        """The requested status of a new member."""
        requested = self.status_if_new or self.status
        return None if requested is None else _STATUSES[requested]

    @property
    def tag_names(self) -> list[str]:
        """The tag names, from either form of a tag."""
        return [tag if isinstance(tag, str) else tag.name for tag in self.tags or ()]

    def required_address(self) -> str:
        """Return the address, or raise `invalid_schema`."""
        if not self.email_address:
            raise problems.invalid_schema(FieldError("email_address", "This value should not be blank."))
        return self.email_address

    def attributes(self, before: MemberAttributes = DEFAULT_ATTRIBUTES) -> MemberAttributes:
        """Return a member's attributes after this request."""
        if self.model_fields_set.isdisjoint(_ATTRIBUTES):
            return before
        changes: dict[str, Any] = {n: v for n in _PLAIN_ATTRIBUTES if (v := getattr(self, n)) is not None}
        if self.location is not None:
            changes |= {"latitude": self.location.latitude, "longitude": self.location.longitude}
        if self.interests is not None:
            changes["interests"] = {**before.interests, **self.interests}
        if self.marketing_permissions is not None:
            given = {p.marketing_permission_id for p in self.marketing_permissions if p.enabled}
            withdrawn = {p.marketing_permission_id for p in self.marketing_permissions if not p.enabled}
            changes["permissions"] = (before.permissions - withdrawn) | given
        return replace(before, **changes) if changes else before


def parse(body: object) -> MemberBody:
    """Parse a request body. The problem for an invalid body names each invalid field."""
    try:
        return MemberBody.model_validate(body)
    except ValidationError as error:
        raise schema_problem(error) from None


def schema_problem(error: ValidationError) -> Problem:
    """Return the problem for an invalid body. The problem names fields and contains none of their values."""
    found = {".".join(str(part) for part in entry["loc"]): entry["msg"] for entry in error.errors(include_input=False)}
    return problems.invalid_schema(*(FieldError(name, message) for name, message in found.items()))
