"""The control surface of a sandbox in another process, for the demo.

What does not belong here: the API of the sandbox, which is Mailchimp's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import requests
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from mailchimp_pipeline.errors import PermanentError, TransientError
from sandbox.control.people import Seed, SeenMember
from sandbox.direct import direct_session
from sandbox.model.behaviours import Behaviours
from sandbox.model.campaigns import CampaignStatus, Figures
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.members import Status
from sandbox.model.recorder import Counts

_TIMEOUT_SECONDS = 60

_STATUSES: TypeAdapter[dict[Status, int]] = TypeAdapter(dict[Status, int])
_MEMBERS: TypeAdapter[list[SeenMember]] = TypeAdapter(list[SeenMember])
_MEMBER: TypeAdapter[SeenMember | None] = TypeAdapter(SeenMember | None)


class SandboxAwayError(TransientError):
    """The sandbox does not answer."""


class SandboxRefusalError(PermanentError):
    """The sandbox refused an operation."""


class SandboxControl:
    """Operations on a sandbox at a URL such as http://127.0.0.1:8900. `call` reaches those not named here."""

    def __init__(self, url: str) -> None:
        """Control the sandbox at this URL."""
        self._url = url.rstrip("/")
        self._session = direct_session()

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def call(self, operation: str, **arguments: object) -> object:
        """Carry out any operation of `Controls`, and return its result as JSON has it."""
        target = f"{self._url}/sandbox/{operation}"
        try:
            answer = self._session.post(target, json=to_jsonable_python(arguments), timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            msg = f"No sandbox answers at {self._url}: {type(error).__name__}. Start it and try again."
            raise SandboxAwayError(msg) from None
        if not answer.ok:
            msg = f"The sandbox refused {operation} ({answer.status_code}): {answer.text}. Correct the arguments."
            raise SandboxRefusalError(msg)
        body: object = answer.json()
        return body

    def add_account(self, key: str, name: str = "Acme", account_id: str | None = None) -> str:
        """Make an account that a key opens; returns its id."""
        return str(self.call("add_account", key=key, name=name, account_id=account_id))

    def revoke_key(self, key: str) -> None:
        """Let a key open nothing any more."""
        self.call("revoke_key", key=key)

    def add_audience(
        self, account_id: str, name: str = "Staff", list_id: str | None = None, *, double_optin: bool = False
    ) -> str:
        """Give an account an empty audience; returns its id."""
        made = self.call("add_audience", account_id=account_id, name=name, list_id=list_id, double_optin=double_optin)
        return str(made)

    def add_merge_field(self, list_id: str, tag: str, *, required: bool = False) -> None:
        """Give an audience a text merge field."""
        self.call("add_merge_field", list_id=list_id, tag=tag, required=required)

    def add_members(self, list_id: str, members: Sequence[Seed]) -> None:
        """Put members into an audience as they are."""
        self.call("add_members", list_id=list_id, members=list(members))

    def members(self, list_id: str) -> list[SeenMember]:
        """Return all members of an audience."""
        return _MEMBERS.validate_python(self.call("members", list_id=list_id))

    def member(self, list_id: str, address: str) -> SeenMember | None:
        """Return one member, None where there is none."""
        return _MEMBER.validate_python(self.call("member", list_id=list_id, address=address))

    def statuses(self, list_id: str) -> Mapping[Status, int]:
        """Count an audience's members by their status."""
        return _STATUSES.validate_python(self.call("statuses", list_id=list_id))

    def unsubscribe_by_link(self, list_id: str, address: str) -> None:
        """Let the contact unsubscribe by the link in a mail."""
        self.call("unsubscribe_by_link", list_id=list_id, address=address)

    def bounce(self, list_id: str, address: str) -> None:
        """Let mail to the contact come back for good."""
        self.call("bounce", list_id=list_id, address=address)

    def confirm(self, list_id: str, address: str) -> None:
        """Let the contact of a pending member confirm."""
        self.call("confirm", list_id=list_id, address=address)

    def archive_as_admin(self, list_id: str, address: str) -> None:
        """Let an administrator archive the member."""
        self.call("archive_as_admin", list_id=list_id, address=address)

    def add_campaign(
        self, list_id: str, title: str = "News", subject_line: str = "What is new", campaign_id: str | None = None
    ) -> str:
        """Make a draft of a campaign; returns its id."""
        made = self.call(
            "add_campaign", list_id=list_id, title=title, subject_line=subject_line, campaign_id=campaign_id
        )
        return str(made)

    def move_campaign(self, campaign_id: str, status: CampaignStatus, send_time: datetime | None = None) -> None:
        """Bring a campaign into a state."""
        self.call("move_campaign", campaign_id=campaign_id, status=status, send_time=send_time)

    def set_figures(self, campaign_id: str, figures: Figures) -> None:
        """Say what came of a campaign."""
        self.call("set_figures", campaign_id=campaign_id, figures=figures)

    def configure(self, **changes: object) -> Behaviours:
        """Change how the sandbox behaves."""
        return Behaviours.model_validate(self.call("configure", **changes))

    def add_fault(self, fault: Fault) -> None:
        """Plan one more fault."""
        self.call("add_fault", fault=fault)

    def start_outage(self, kind: FaultKind = FaultKind.CUT) -> None:
        """Let every request fail from now on."""
        self.call("start_outage", kind=kind)

    def end_outage(self) -> None:
        """Let requests through again."""
        self.call("end_outage")

    def counts(self) -> Counts:
        """Return what was asked."""
        return Counts.model_validate(self.call("counts"))

    def reset(self) -> None:
        """Forget everything."""
        self.call("reset")
