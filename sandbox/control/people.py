"""Operations on members: putting them there, looking at them, and acting as the contact or an administrator.

What does not belong here: what such an act does (`model.acts`).
"""

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
    """A member to be put into an audience as it is, past all checks."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    email_address: str
    status: Status = Status.SUBSCRIBED
    merge_fields: Mapping[str, str] = {}
    bar: Bar | None = None


class SeenMember(BaseModel):
    """A member as it is now."""

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
    """Put members there, look at them, act as one of them."""

    def add_members(self, list_id: str, members: Sequence[Seed]) -> int:
        """Put members into an audience; returns how many. They pass no checks."""
        with self._world.lock:
            audience, deed = self._world.audience(list_id), Deed(Actor.ADMIN, self._world.now())
            for seed in members:
                _plant(audience, seed, deed)
        return len(members)

    def members(self, list_id: str) -> list[SeenMember]:
        """Return all members, also those that are not subscribed, in the order they came."""
        with self._world.lock:
            audience = self._world.audience(list_id)
            return [_seen(audience, member) for member in audience.roster if member is not None]

    def member(self, list_id: str, address: str) -> SeenMember | None:
        """Return the member with an address or an id, None where there is none."""
        with self._world.lock:
            audience = self._world.audience(list_id)
            member = audience.find(address)
            return None if member is None else _seen(audience, member)

    def statuses(self, list_id: str) -> dict[Status, int]:
        """Count the members by their status."""
        with self._world.lock:
            return {status: count for status, count in self._world.audience(list_id).tally.items() if count}

    def is_forgotten(self, list_id: str, address: str) -> bool:
        """Return whether the address was deleted permanently and did not come back."""
        with self._world.lock:
            return address_hash(address) in self._world.audience(list_id).forgotten

    def let_time_pass(self, list_id: str, seconds: float) -> None:
        """Let the last changes of the members be so much longer ago, as if this was a later day."""
        with self._world.lock:
            self._world.audience(list_id).age(timedelta(seconds=seconds))

    def unsubscribe_by_link(self, list_id: str, address: str, reason: str = "None given") -> None:
        """Let the contact unsubscribe by the link in a mail: nobody else can subscribe them again."""
        with self._world.lock:
            self._acts(list_id).unsubscribe(address, reason)

    def bounce(self, list_id: str, address: str) -> None:
        """Let mail to the contact come back for good: the member is cleaned."""
        with self._world.lock:
            self._acts(list_id).bounce(address)

    def complain(self, list_id: str, address: str) -> None:
        """Let the contact report a mail as spam: nobody else can subscribe them again."""
        with self._world.lock:
            self._acts(list_id).complain(address, Status(self._world.behaviours.complaint_makes))

    def confirm(self, list_id: str, address: str) -> None:
        """Let the contact of a pending member confirm."""
        with self._world.lock:
            self._acts(list_id).confirm(address)

    def sign_up(self, list_id: str, address: str) -> None:
        """Let the contact sign up by a form of Mailchimp's, from whatever state."""
        with self._world.lock:
            self._acts(list_id).sign_up(address)

    def change_address(self, list_id: str, address: str, new_address: str) -> None:
        """Let the contact change their address."""
        with self._world.lock:
            self._acts(list_id).change_address(address, new_address)

    def update_profile(self, list_id: str, address: str, merge_fields: Mapping[str, str]) -> None:
        """Let the contact change their merge fields."""
        with self._world.lock:
            self._acts(list_id).update_profile(address, merge_fields)

    def review(self, list_id: str, address: str) -> None:
        """Let Mailchimp take the member under compliance review."""
        with self._world.lock:
            self._acts(list_id).review(address)

    def archive_as_admin(self, list_id: str, address: str) -> None:
        """Let an administrator archive the member."""
        with self._world.lock:
            self._acts(list_id).archive(address)

    def unsubscribe_as_admin(self, list_id: str, address: str) -> None:
        """Let an administrator unsubscribe the member: the API can subscribe them again."""
        with self._world.lock:
            self._acts(list_id).unsubscribe_as_admin(address)

    def subscribe_as_admin(self, list_id: str, address: str) -> None:
        """Let an administrator subscribe a member again whom the API or an administrator unsubscribed or archived."""
        with self._world.lock:
            self._acts(list_id).subscribe_as_admin(address)

    def delete_as_admin(self, list_id: str, address: str) -> None:
        """Let an administrator delete the member permanently."""
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
