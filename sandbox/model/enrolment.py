"""How the API adds, updates, archives and deletes members: what it rejects, and the effect of the rest."""

from dataclasses import dataclass, field

from sandbox.model import addresses, problems
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.behaviours import Behaviours
from sandbox.model.entries import Entry
from sandbox.model.members import Deed, Member, Status
from sandbox.model.problems import FieldError
from sandbox.model.signup_limits import SignupLimits

_BY_API = "N/A (Unsubscribed by an admin)"
_SIGNED_UP = (Status.SUBSCRIBED, Status.PENDING)
_UNARCHIVABLE = (Status.CLEANED, Status.PENDING, Status.ARCHIVED)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The member operations of one call. Each method validates everything before it changes anything."""

    audience: Audience
    behaviours: Behaviours
    deed: Deed
    skip_merge_validation: bool = False
    limits: SignupLimits = field(default_factory=SignupLimits)

    def put(self, key: str, entry: Entry) -> Member:
        """PUT: update the member with that key, or add the given address."""
        address = entry.required_address()
        member = self.audience.find(key)
        if member is not None:
            return self.change(member, entry)
        if address_hash(address) in self.audience.members:
            raise problems.member_exists(address)
        return self.take_in(entry)

    def take_in(self, entry: Entry) -> Member:
        """Add a member with an address that is new to the audience."""
        address = entry.required_address()
        addresses.check(address)
        self._check_not_forgotten(address)
        self._check_signup(address)
        status = entry.status_of_new
        if status is None:
            raise problems.invalid_schema(FieldError("status", "This value should not be blank."))
        values = self.audience.merge_fields.write(
            (), entry.merge_fields or {}, validate=not self.skip_merge_validation, complete=True
        )
        member = self.audience.add(address, status, self.deed, values=values, traits=entry.traits())
        if status is Status.UNSUBSCRIBED:
            member.unsubscribe_reason = _BY_API
        return member

    def change(self, member: Member, entry: Entry) -> Member:
        """Update a member. A missing status or address stays as it is."""
        status = entry.asked_status
        self._check_allowed(member, status)
        address = entry.email_address or member.address
        self._check_free(member, address)
        comes_back = status is Status.SUBSCRIBED and member.status is not status
        values = self.audience.merge_fields.write(
            member.values,
            entry.merge_fields or {},
            validate=not self.skip_merge_validation,
            complete=comes_back or entry.merge_fields is not None,
        )
        if address != member.address:
            self.audience.readdress(member, address, self.deed)
        self.audience.rewrite(member, self.deed, values=values, traits=entry.traits(member.traits))
        if status is not None:
            reason = _BY_API if status is Status.UNSUBSCRIBED else ""
            self.audience.move(member, status, self.deed, reason)
        return member

    def archive(self, member: Member) -> None:
        """DELETE: archive the member."""
        if member.status in _UNARCHIVABLE:
            raise problems.cannot_archive()
        self.audience.move(member, Status.ARCHIVED, self.deed)

    def delete_permanently(self, member: Member) -> None:
        """POST actions/delete-permanent."""
        self.audience.forget(member, self.deed)

    def _check_allowed(self, member: Member, status: Status | None) -> None:
        if status is Status.SUBSCRIBED and member.bar is not None:
            raise problems.compliance_state(member.address)
        if status in _SIGNED_UP and member.status is not status:
            self._check_signup(member.address)

    def _check_signup(self, address: str) -> None:
        addresses.check_signup(address, self.behaviours)
        self.limits.check(address, self.deed.at)

    def _check_free(self, member: Member, address: str) -> None:
        wanted = address_hash(address)
        if wanted == member.id:
            return
        addresses.check(address)
        self._check_not_forgotten(address)
        self._check_signup(address)
        if wanted in self.audience.members:
            raise problems.member_exists(address)

    def _check_not_forgotten(self, address: str) -> None:
        if address_hash(address) in self.audience.forgotten:
            raise problems.forgotten(address)
