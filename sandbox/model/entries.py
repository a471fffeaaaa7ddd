"""What a request says of a member, once its form is checked.

What does not belong here: what comes of it (`enrolment`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.model import problems
from sandbox.model.members import COMMON, Status, Traits
from sandbox.model.problems import FieldError, Problem

AskedStatus = Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional"]

_STATUSES: Mapping[str, Status] = {status.value: status for status in Status}
_PLAIN_TRAITS = ("email_type", "language", "vip", "ip_signup", "ip_opt", "timestamp_signup")
_TRAITS = frozenset({*_PLAIN_TRAITS, "location", "interests", "marketing_permissions"})


class Permission(BaseModel):
    """One marketing permission, given or withdrawn."""

    marketing_permission_id: str
    enabled: bool


class Location(BaseModel):
    """Where a member is."""

    latitude: float = 0
    longitude: float = 0


class TagName(BaseModel):
    """A tag in its long form."""

    name: str


class Entry(BaseModel):
    """One member in the body of a request; fields that Mailchimp does not know are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    email_address: str | None = None
    status: AskedStatus | None = None
    status_if_new: AskedStatus | None = None
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
    def asked_status(self) -> Status | None:
        """The status asked for, None where it is to stay."""
        return None if self.status is None else _STATUSES[self.status]

    @property
    def status_of_new(self) -> Status | None:
        """The status asked for if the member is new."""
        wanted = self.status_if_new or self.status
        return None if wanted is None else _STATUSES[wanted]

    @property
    def tag_names(self) -> list[str]:
        """The names of the tags, whichever form they came in."""
        return [tag if isinstance(tag, str) else tag.name for tag in self.tags or ()]

    def required_address(self) -> str:
        """Return the address; a problem where there is none."""
        if not self.email_address:
            raise problems.invalid_schema(FieldError("email_address", "This value should not be blank."))
        return self.email_address

    def traits(self, before: Traits = COMMON) -> Traits:
        """Return a member's traits after this entry."""
        if self.model_fields_set.isdisjoint(_TRAITS):
            return before
        changes: dict[str, Any] = {n: v for n in _PLAIN_TRAITS if (v := getattr(self, n)) is not None}
        if self.location is not None:
            changes |= {"latitude": self.location.latitude, "longitude": self.location.longitude}
        if self.interests is not None:
            changes["interests"] = {**before.interests, **self.interests}
        if self.marketing_permissions is not None:
            given = {p.marketing_permission_id for p in self.marketing_permissions if p.enabled}
            withdrawn = {p.marketing_permission_id for p in self.marketing_permissions if not p.enabled}
            changes["permissions"] = (before.permissions - withdrawn) | given
        return replace(before, **changes) if changes else before


def parse(body: object) -> Entry:
    """Return the entry in a body; a problem that names each field of a wrong form."""
    try:
        return Entry.model_validate(body)
    except ValidationError as error:
        raise schema_problem(error) from None


def schema_problem(error: ValidationError) -> Problem:
    """Return the problem document for a body of a wrong form: it names fields and says nothing of their values."""
    found = {".".join(str(part) for part in entry["loc"]): entry["msg"] for entry in error.errors(include_input=False)}
    return problems.invalid_schema(*(FieldError(name, message) for name, message in found.items()))
