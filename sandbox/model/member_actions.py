"""Member changes made outside the API: by the contact, or by an administrator on Mailchimp's website."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.errors import PermanentError
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.members import Actor, ChangeOrigin, ComplianceState, Member, Status

_NO_REASON = "None given"
_BY_ADMIN = "N/A (Unsubscribed by an admin)"
_BY_COMPLAINT = "N/A (Abuse complaint)"


class ImpossibleActionError(PermanentError):
    """The member's state does not allow the action."""


@dataclass(frozen=True, slots=True)
class MemberActions:
    """The actions on one audience at one moment."""

    audience: Audience
    now: datetime

    def unsubscribe(self, address: str, reason: str = _NO_REASON) -> None:
        """Unsubscribe as the contact, by the link in an e-mail. Only the contact can resubscribe."""
        member = self._member(address)
        if member.status is not Status.ARCHIVED:
            self.audience.change_status(member, Status.UNSUBSCRIBED, self._origin(Actor.USER), reason)
        self.audience.set_compliance_state(member, ComplianceState.UNSUBSCRIBED)

    def bounce(self, address: str) -> None:
        """Record a hard bounce."""
        member = self._member(address)
        self.audience.change_status(member, Status.CLEANED, self._origin(Actor.ADMIN))
        self.audience.set_compliance_state(member, ComplianceState.BOUNCED)

    def complain(self, address: str, status: Status) -> None:
        """Report an e-mail as spam, as the contact. Only a Mailchimp form can resubscribe the contact."""
        member = self._member(address)
        kept = Status.ARCHIVED if member.status is Status.ARCHIVED else status
        self.audience.record_complaint(member, kept, self._origin(Actor.USER), _BY_COMPLAINT)

    def confirm(self, address: str) -> None:
        """Confirm a pending subscription, as the contact."""
        member = self._member(address)
        if member.status is not Status.PENDING:
            msg = f"A member with the status {member.status} has nothing to confirm. Make the member pending first."
            raise ImpossibleActionError(msg)
        self.audience.set_compliance_state(member, None)
        self.audience.change_status(member, Status.SUBSCRIBED, self._origin(Actor.USER))

    def sign_up(self, address: str) -> None:
        """Sign up by a Mailchimp form: the only way back after an opt-out, a bounce or a permanent deletion."""
        self.audience.forgotten.discard(address_hash(address))
        status = Status.PENDING if self.audience.description.double_optin else Status.SUBSCRIBED
        member = self.audience.find(address)
        if member is None:
            member = self.audience.add(address, status, self._origin(Actor.USER))
            member.source = "Hosted Signup Form"
        elif member.status is not Status.SUBSCRIBED:
            if status is Status.SUBSCRIBED:
                self.audience.set_compliance_state(member, None)
            self.audience.change_status(member, status, self._origin(Actor.USER))

    def change_address(self, address: str, new_address: str) -> None:
        """Change the address, as the contact."""
        if self.audience.find(new_address) is not None:
            msg = "The audience has the new address already. Choose another address."
            raise ImpossibleActionError(msg)
        self.audience.change_address(self._member(address), new_address, self._origin(Actor.USER))

    def update_profile(self, address: str, merge_fields: Mapping[str, str]) -> None:
        """Change merge fields, as the contact."""
        member = self._member(address)
        values = self.audience.merge_fields.write(member.values, merge_fields, validate=True, complete=False)
        self.audience.update(member, self._origin(Actor.USER), values=values, attributes=member.attributes)

    def review(self, address: str) -> None:
        """Put the member under compliance review."""
        self.audience.set_compliance_state(self._member(address), ComplianceState.REVIEW)

    def archive(self, address: str) -> None:
        """Archive the member, as an administrator."""
        self.audience.change_status(self._member(address), Status.ARCHIVED, self._origin(Actor.ADMIN))

    def unsubscribe_as_admin(self, address: str) -> None:
        """Unsubscribe the member, as an administrator."""
        self.audience.change_status(self._member(address), Status.UNSUBSCRIBED, self._origin(Actor.ADMIN), _BY_ADMIN)

    def subscribe_as_admin(self, address: str) -> None:
        """Resubscribe a member, as an administrator. A compliance state forbids it."""
        member = self._member(address)
        if member.compliance_state is not None:
            msg = "Only the contact can resubscribe. Use sign_up."
            raise ImpossibleActionError(msg)
        self.audience.change_status(member, Status.SUBSCRIBED, self._origin(Actor.ADMIN))

    def delete_permanently(self, address: str) -> None:
        """Delete the member permanently, as an administrator."""
        self.audience.delete_permanently(self._member(address), self._origin(Actor.ADMIN))

    def _origin(self, by: Actor) -> ChangeOrigin:
        return ChangeOrigin(by, self.now)

    def _member(self, address: str) -> Member:
        member = self.audience.find(address)
        if member is None:
            msg = f"Audience {self.audience.id} has no such member. Add the member first."
            raise ImpossibleActionError(msg)
        return member
