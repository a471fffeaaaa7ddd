"""Control operations on members: add and read them, and act as the contact or as an administrator."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from sandbox.control.operations import Operations
from sandbox.model.acts import Acts
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.members import Actor, Bar, Deed, Member, Status
from sandbox.model.merge_fields import MergeValue
from sandbox.model.world import UnknownThingError


class Seed(BaseModel):
    """A member for `add_members`. No validation applies."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    email_address: str
    status: Status = Status.SUBSCRIBED
    merge_fields: Mapping[str, str] = {}
    bar: Bar | None = None


class SeenMember(BaseModel):
    """The current state of a member."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    email_address: str
    status: Status
    bar: Bar | None
    unsubscribe_reason: str
    merge_fields: Mapping[str, MergeValue]
    tags: tuple[str, ...]
    last_changed: datetime


class PeopleControls(Operations):
    """Add and read members, and act as the contact or as an administrator."""

    def add_members(self, list_id: str, members: Sequence[Seed]) -> int:
        """Add members to an audience without validation, and return their number."""
        with self._world.lock:
            audience, deed = self._world.audience(list_id), Deed(Actor.ADMIN, self._world.now())
            for seed in members:
                _plant(audience, seed, deed)
        return len(members)

    def members(self, list_id: str) -> list[SeenMember]:
        """Return all members of every status, oldest first."""
        with self._world.lock:
            audience = self._world.audience(list_id)
            return [_seen(audience, member) for member in audience.roster if member is not None]

    def member(self, list_id: str, address: str) -> SeenMember | None:
        """Return a member by address or id, or None."""
        with self._world.lock:
            audience = self._world.audience(list_id)
            member = audience.find(address)
            return None if member is None else _seen(audience, member)

    def statuses(self, list_id: str) -> dict[Status, int]:
        """Count the members by status."""
        with self._world.lock:
            return {status: count for status, count in self._world.audience(list_id).tally.items() if count}

    def is_forgotten(self, list_id: str, address: str) -> bool:
        """Return whether the address is deleted permanently and has not signed up since."""
        with self._world.lock:
            return address_hash(address) in self._world.audience(list_id).forgotten

    def let_time_pass(self, list_id: str, seconds: float) -> None:
        """Move the members' `last_changed` into the past by this many seconds."""
        with self._world.lock:
            self._world.audience(list_id).age(timedelta(seconds=seconds))

    def unsubscribe_by_link(self, list_id: str, address: str, reason: str = "None given") -> None:
        """Unsubscribe as the contact, by the link in an e-mail. Only the contact can resubscribe."""
        with self._world.lock:
            self._acts(list_id).unsubscribe(address, reason)

    def bounce(self, list_id: str, address: str) -> None:
        """Record a hard bounce. The member's status becomes `cleaned`."""
        with self._world.lock:
            self._acts(list_id).bounce(address)

    def complain(self, list_id: str, address: str) -> None:
        """Report an e-mail as spam, as the contact. Only the contact can resubscribe."""
        with self._world.lock:
            self._acts(list_id).complain(address, Status(self._world.behaviours.complaint_makes))

    def confirm(self, list_id: str, address: str) -> None:
        """Confirm a pending subscription, as the contact."""
        with self._world.lock:
            self._acts(list_id).confirm(address)

    def sign_up(self, list_id: str, address: str) -> None:
        """Sign up by a Mailchimp form, as the contact. Every former status allows it."""
        with self._world.lock:
            self._acts(list_id).sign_up(address)

    def change_address(self, list_id: str, address: str, new_address: str) -> None:
        """Change the address, as the contact."""
        with self._world.lock:
            self._acts(list_id).change_address(address, new_address)

    def update_profile(self, list_id: str, address: str, merge_fields: Mapping[str, str]) -> None:
        """Change merge fields, as the contact."""
        with self._world.lock:
            self._acts(list_id).update_profile(address, merge_fields)

    def review(self, list_id: str, address: str) -> None:
        """Put the member under compliance review."""
        with self._world.lock:
            self._acts(list_id).review(address)

    def archive_as_admin(self, list_id: str, address: str) -> None:
        """Archive the member, as an administrator."""
        with self._world.lock:
            self._acts(list_id).archive(address)

    def unsubscribe_as_admin(self, list_id: str, address: str) -> None:
        """Unsubscribe the member, as an administrator. The API can resubscribe the member."""
        with self._world.lock:
            self._acts(list_id).unsubscribe_as_admin(address)

    def subscribe_as_admin(self, list_id: str, address: str) -> None:
        """Resubscribe a member that the API or an administrator unsubscribed or archived, as an administrator."""
        with self._world.lock:
            self._acts(list_id).subscribe_as_admin(address)

    def delete_as_admin(self, list_id: str, address: str) -> None:
        """Delete the member permanently, as an administrator."""
        with self._world.lock:
            self._acts(list_id).delete_permanently(address)

    def _acts(self, list_id: str) -> Acts:
        return Acts(self._world.audience(list_id), self._world.now())


def _plant(audience: Audience, seed: Seed, deed: Deed) -> None:
    if audience.find(seed.email_address) is not None:
        msg = f"Audience {audience.id} has one of these members already; leave it out."
        raise UnknownThingError(msg)
    values = audience.merge_fields.write((), seed.merge_fields, validate=False, complete=False)
    member = audience.add(seed.email_address, seed.status, deed, values=values)
    member.bar = seed.bar or member.bar


def _seen(audience: Audience, member: Member) -> SeenMember:
    return SeenMember(
        id=member.id,
        email_address=member.address,
        status=member.status,
        bar=member.bar,
        unsubscribe_reason=member.unsubscribe_reason,
        merge_fields=audience.merge_fields.read(member.values),
        tags=tuple(segment.name for segment in audience.segments.of(member.number)),
        last_changed=member.last_changed,
    )
