"""How the API adds, updates, archives and deletes members: what it rejects, and the effect of the rest."""

from dataclasses import dataclass, field

from sandbox.model import addresses, problems
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.behaviours import Behaviours
from sandbox.model.member_body import MemberBody
from sandbox.model.members import ChangeOrigin, Member, Status
from sandbox.model.problems import FieldError
from sandbox.model.signup_limits import SignupLimits

_BY_API = "N/A (Unsubscribed by an admin)"
_SIGNED_UP = (Status.SUBSCRIBED, Status.PENDING)
_UNARCHIVABLE = (Status.CLEANED, Status.PENDING, Status.ARCHIVED)


@dataclass(frozen=True, slots=True)
class MemberWriter:
    """The member operations of one call. Each method validates everything before it changes anything."""

    audience: Audience
    behaviours: Behaviours
    origin: ChangeOrigin
    skip_merge_validation: bool = False
    limits: SignupLimits = field(default_factory=SignupLimits)

    def put(self, key: str, requested: MemberBody) -> Member:
        """PUT: update the member with that key, or add the given address."""
        address = requested.required_address()
        member = self.audience.find(key)
        if member is not None:
            return self.update(member, requested)
        if address_hash(address) in self.audience.members:
            raise problems.member_exists(address)
        return self.add(requested)

    def add(self, requested: MemberBody) -> Member:
        """Add a member with an address that is new to the audience."""
        address = requested.required_address()
        addresses.check(address)
        self._check_not_forgotten(address)
        self._check_signup(address)
        status = requested.status_of_new
        if status is None:
            raise problems.invalid_schema(FieldError("status", "This value should not be blank."))
        values = self.audience.merge_fields.write(
            (), requested.merge_fields or {}, validate=not self.skip_merge_validation, complete=True
        )
        member = self.audience.add(address, status, self.origin, values=values, attributes=requested.attributes())
        if status is Status.UNSUBSCRIBED:
            member.unsubscribe_reason = _BY_API
        return member

    def update(self, member: Member, requested: MemberBody) -> Member:
        """Update a member. A missing status or address stays as it is."""
        status = requested.requested_status
        self._check_allowed(member, status)
        address = requested.email_address or member.address
        self._check_free(member, address)
        comes_back = status is Status.SUBSCRIBED and member.status is not status
        values = self.audience.merge_fields.write(
            member.values,
            requested.merge_fields or {},
            validate=not self.skip_merge_validation,
            complete=comes_back or requested.merge_fields is not None,
        )
        if address != member.address:
            self.audience.change_address(member, address, self.origin)
        self.audience.update(member, self.origin, values=values, attributes=requested.attributes(member.attributes))
        if status is not None:
            reason = _BY_API if status is Status.UNSUBSCRIBED else ""
            self.audience.change_status(member, status, self.origin, reason)
        return member

    def archive(self, member: Member) -> None:
        """DELETE: archive the member."""
        if member.status in _UNARCHIVABLE:
            raise problems.cannot_archive()
        self.audience.change_status(member, Status.ARCHIVED, self.origin)

    def delete_permanently(self, member: Member) -> None:
        """POST actions/delete-permanent."""
        self.audience.delete_permanently(member, self.origin)

    def _check_allowed(self, member: Member, status: Status | None) -> None:
        if status is Status.SUBSCRIBED and member.compliance_state is not None:
            raise problems.compliance_state(member.address)
        if status in _SIGNED_UP and member.status is not status:
            self._check_signup(member.address)

    def _check_signup(self, address: str) -> None:
        addresses.check_signup(address, self.behaviours)
        self.limits.check(address, self.origin.at)

    def _check_free(self, member: Member, address: str) -> None:
        new_id = address_hash(address)
        if new_id == member.id:
            return
        addresses.check(address)
        self._check_not_forgotten(address)
        self._check_signup(address)
        if new_id in self.audience.members:
            raise problems.member_exists(address)

    def _check_not_forgotten(self, address: str) -> None:
        if address_hash(address) in self.audience.forgotten:
            raise problems.forgotten(address)
