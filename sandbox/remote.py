"""A client for the control routes of a sandbox in another process."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import requests
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from mailchimp_pipeline.errors import PermanentError, TransientError
from sandbox.control.members import Seed, StoredMember
from sandbox.direct import direct_session
from sandbox.model.behaviours import Behaviours
from sandbox.model.campaigns import CampaignStatus, Figures
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.members import Status
from sandbox.model.recorder import Counts

_TIMEOUT_SECONDS = 60

_STATUSES: TypeAdapter[dict[Status, int]] = TypeAdapter(dict[Status, int])
_MEMBERS: TypeAdapter[list[StoredMember]] = TypeAdapter(list[StoredMember])
_MEMBER: TypeAdapter[StoredMember | None] = TypeAdapter(StoredMember | None)


class SandboxUnavailableError(TransientError):
    """The sandbox does not answer."""


class SandboxOperationError(PermanentError):
    """The sandbox rejected an operation."""


class SandboxControl:
    """The control operations of a sandbox at a URL such as http://127.0.0.1:8900.

    `call` runs operations that have no method here.
    """

    def __init__(self, url: str) -> None:
        """Control the sandbox at this URL."""
        self._url = url.rstrip("/")
        self._session = direct_session()

    def __enter__(self) -> Self:
        """Return the client, which the end of the block closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def call(self, operation: str, **arguments: object) -> object:
        """Run an operation of `Controls` and return its JSON result."""
        target = f"{self._url}/sandbox/{operation}"
        try:
            answer = self._session.post(target, json=to_jsonable_python(arguments), timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            msg = f"No sandbox answers at {self._url}: {type(error).__name__}. Start the sandbox and try again."
            raise SandboxUnavailableError(msg) from None
        if not answer.ok:
            msg = f"The sandbox rejected {operation} ({answer.status_code}): {answer.text}. Correct the arguments."
            raise SandboxOperationError(msg)
        body: object = answer.json()
        return body

    def add_account(self, key: str, name: str = "Acme", account_id: str | None = None) -> str:
        """Create an account with an API key and return its id."""
        return str(self.call("add_account", key=key, name=name, account_id=account_id))

    def revoke_key(self, key: str) -> None:
        """Revoke an API key."""
        self.call("revoke_key", key=key)

    def add_audience(
        self, account_id: str, name: str = "Staff", list_id: str | None = None, *, double_optin: bool = False
    ) -> str:
        """Create an empty audience and return its id."""
        made = self.call("add_audience", account_id=account_id, name=name, list_id=list_id, double_optin=double_optin)
        return str(made)

    def add_merge_field(self, list_id: str, tag: str, *, required: bool = False) -> None:
        """Create a text merge field in an audience."""
        self.call("add_merge_field", list_id=list_id, tag=tag, required=required)

    def add_members(self, list_id: str, members: Sequence[Seed]) -> None:
        """Add members to an audience without validation."""
        self.call("add_members", list_id=list_id, members=list(members))

    def members(self, list_id: str) -> list[StoredMember]:
        """Return all members of an audience."""
        return _MEMBERS.validate_python(self.call("members", list_id=list_id))

    def member(self, list_id: str, address: str) -> StoredMember | None:
        """Return a member by address or id, or None."""
        return _MEMBER.validate_python(self.call("member", list_id=list_id, address=address))

    def statuses(self, list_id: str) -> Mapping[Status, int]:
        """Count an audience's members by status."""
        return _STATUSES.validate_python(self.call("statuses", list_id=list_id))

    def unsubscribe_by_link(self, list_id: str, address: str) -> None:
        """Unsubscribe as the contact, by the link in an e-mail."""
        self.call("unsubscribe_by_link", list_id=list_id, address=address)

    def bounce(self, list_id: str, address: str) -> None:
        """Record a hard bounce."""
        self.call("bounce", list_id=list_id, address=address)

    def confirm(self, list_id: str, address: str) -> None:
        """Confirm a pending subscription, as the contact."""
        self.call("confirm", list_id=list_id, address=address)

    def archive_as_admin(self, list_id: str, address: str) -> None:
        """Archive the member, as an administrator."""
        self.call("archive_as_admin", list_id=list_id, address=address)

    def add_campaign(
        self, list_id: str, title: str = "News", subject_line: str = "What is new", campaign_id: str | None = None
    ) -> str:
        """Create a draft campaign and return its id."""
        made = self.call(
            "add_campaign", list_id=list_id, title=title, subject_line=subject_line, campaign_id=campaign_id
        )
        return str(made)

    def move_campaign(self, campaign_id: str, status: CampaignStatus, send_time: datetime | None = None) -> None:
        """Set a campaign's status."""
        self.call("move_campaign", campaign_id=campaign_id, status=status, send_time=send_time)

    def set_figures(self, campaign_id: str, figures: Figures) -> None:
        """Set the figures of a campaign's report."""
        self.call("set_figures", campaign_id=campaign_id, figures=figures)

    def configure(self, **changes: object) -> Behaviours:
        """Change some behaviours."""
        return Behaviours.model_validate(self.call("configure", **changes))

    def add_fault(self, fault: Fault) -> None:
        """Plan another fault."""
        self.call("add_fault", fault=fault)

    def start_outage(self, kind: FaultKind = FaultKind.CUT) -> None:
        """Make every request fail from now on."""
        self.call("start_outage", kind=kind)

    def end_outage(self) -> None:
        """End the outage."""
        self.call("end_outage")

    def counts(self) -> Counts:
        """Return the request counts."""
        return Counts.model_validate(self.call("counts"))

    def reset(self) -> None:
        """Reset the sandbox to its initial, empty state."""
        self.call("reset")
