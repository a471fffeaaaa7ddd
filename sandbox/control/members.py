"""Control operations on members: add and read them, and act as the contact or as an administrator."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from sandbox.control.operations import Operations
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.member_actions import MemberActions
from sandbox.model.members import Actor, ChangeOrigin, ComplianceState, Member, Status
from sandbox.model.merge_fields import MergeValue
from sandbox.model.state import SandboxResourceError


class Seed(BaseModel):
    """A member for `add_members`. No validation applies."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    email_address: str
    status: Status = Status.SUBSCRIBED
    merge_fields: Mapping[str, str] = {}
    compliance_state: ComplianceState | None = None


class StoredMember(BaseModel):
    """The current state of a member."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    email_address: str
    status: Status
    compliance_state: ComplianceState | None
    unsubscribe_reason: str
    merge_fields: Mapping[str, MergeValue]
    tags: tuple[str, ...]
    last_changed: datetime


class MemberControls(Operations):
    """Add and read members, and act as the contact or as an administrator."""

    def add_members(self, list_id: str, members: Sequence[Seed]) -> int:
        """Add members to an audience without validation, and return their number."""
        with self._state.lock:
            audience, origin = self._state.audience(list_id), ChangeOrigin(Actor.ADMIN, self._state.now())
            for seed in members:
                _add_unchecked(audience, seed, origin)
        return len(members)

    def members(self, list_id: str) -> list[StoredMember]:
        """Return all members of every status, oldest first."""
        with self._state.lock:
            audience = self._state.audience(list_id)
            return [_stored(audience, member) for member in audience.members_by_number if member is not None]

    def member(self, list_id: str, address: str) -> StoredMember | None:
        """Return a member by address or id, or None."""
        with self._state.lock:
            audience = self._state.audience(list_id)
            member = audience.find(address)
            return None if member is None else _stored(audience, member)

    def statuses(self, list_id: str) -> dict[Status, int]:
        """Count the members by status."""
        with self._state.lock:
            return {status: count for status, count in self._state.audience(list_id).status_counts.items() if count}

    def is_forgotten(self, list_id: str, address: str) -> bool:
        """Return whether the address is deleted permanently and has not signed up since."""
        with self._state.lock:
            return address_hash(address) in self._state.audience(list_id).forgotten

    def let_time_pass(self, list_id: str, seconds: float) -> None:
        """Move the members' `last_changed` into the past by this many seconds."""
        with self._state.lock:
            self._state.audience(list_id).shift_last_changed(timedelta(seconds=seconds))

    def unsubscribe_by_link(self, list_id: str, address: str, reason: str = "None given") -> None:
        """Unsubscribe as the contact, by the link in an e-mail. Only the contact can resubscribe."""
        with self._state.lock:
            self._actions(list_id).unsubscribe(address, reason)

    def bounce(self, list_id: str, address: str) -> None:
        """Record a hard bounce. The member's status becomes `cleaned`."""
        with self._state.lock:
            self._actions(list_id).bounce(address)

    def complain(self, list_id: str, address: str) -> None:
        """Report an e-mail as spam, as the contact. Only the contact can resubscribe."""
        with self._state.lock:
            self._actions(list_id).complain(address, Status(self._state.behaviours.complaint_makes))

    def confirm(self, list_id: str, address: str) -> None:
        """Confirm a pending subscription, as the contact."""
        with self._state.lock:
            self._actions(list_id).confirm(address)

    def sign_up(self, list_id: str, address: str) -> None:
        """Sign up by a Mailchimp form, as the contact. Every former status allows it."""
        with self._state.lock:
            self._actions(list_id).sign_up(address)

    def change_address(self, list_id: str, address: str, new_address: str) -> None:
        """Change the address, as the contact."""
        with self._state.lock:
            self._actions(list_id).change_address(address, new_address)

    def update_profile(self, list_id: str, address: str, merge_fields: Mapping[str, str]) -> None:
        """Change merge fields, as the contact."""
        with self._state.lock:
            self._actions(list_id).update_profile(address, merge_fields)

    def review(self, list_id: str, address: str) -> None:
        """Put the member under compliance review."""
        with self._state.lock:
            self._actions(list_id).review(address)

    def archive_as_admin(self, list_id: str, address: str) -> None:
        """Archive the member, as an administrator."""
        with self._state.lock:
            self._actions(list_id).archive(address)

    def unsubscribe_as_admin(self, list_id: str, address: str) -> None:
        """Unsubscribe the member, as an administrator. The API can resubscribe the member."""
        with self._state.lock:
            self._actions(list_id).unsubscribe_as_admin(address)

    def subscribe_as_admin(self, list_id: str, address: str) -> None:
        """Resubscribe a member that the API or an administrator unsubscribed or archived, as an administrator."""
        with self._state.lock:
            self._actions(list_id).subscribe_as_admin(address)

    def delete_as_admin(self, list_id: str, address: str) -> None:
        """Delete the member permanently, as an administrator."""
        with self._state.lock:
            self._actions(list_id).delete_permanently(address)

    def _actions(self, list_id: str) -> MemberActions:
        return MemberActions(self._state.audience(list_id), self._state.now())


def _add_unchecked(audience: Audience, seed: Seed, origin: ChangeOrigin) -> None:
    if audience.find(seed.email_address) is not None:
        msg = f"Audience {audience.id} has one of these members already. Omit the member."
        raise SandboxResourceError(msg)
    values = audience.merge_fields.write((), seed.merge_fields, validate=False, complete=False)
    member = audience.add(seed.email_address, seed.status, origin, values=values)
    member.compliance_state = seed.compliance_state or member.compliance_state


def _stored(audience: Audience, member: Member) -> StoredMember:
    return StoredMember(
        id=member.id,
        email_address=member.address,
        status=member.status,
        compliance_state=member.compliance_state,
        unsubscribe_reason=member.unsubscribe_reason,
        merge_fields=audience.merge_fields.read(member.values),
        tags=tuple(segment.name for segment in audience.segments.of(member.number)),
        last_changed=member.last_changed,
    )
