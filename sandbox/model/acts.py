"""Member changes made outside the API: by the contact, or by an administrator on Mailchimp's website."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.errors import PermanentError
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.members import Actor, Bar, Deed, Member, Status

_NO_REASON = "None given"
_BY_ADMIN = "N/A (Unsubscribed by an admin)"
_BY_COMPLAINT = "N/A (Abuse complaint)"


class ImpossibleActError(PermanentError):
    """The member's state does not allow the action."""


@dataclass(frozen=True, slots=True)
class Acts:
    """The actions on one audience at one moment."""

    audience: Audience
    now: datetime

    def unsubscribe(self, address: str, reason: str = _NO_REASON) -> None:
        """Unsubscribe as the contact, by the link in an e-mail. Only the contact can resubscribe."""
        member = self._member(address)
        if member.status is not Status.ARCHIVED:
            self.audience.move(member, Status.UNSUBSCRIBED, self._deed(Actor.USER), reason)
        self.audience.bar(member, Bar.UNSUBSCRIBED)

    def bounce(self, address: str) -> None:
        """Record a hard bounce."""
        member = self._member(address)
        self.audience.move(member, Status.CLEANED, self._deed(Actor.ADMIN))
        self.audience.bar(member, Bar.BOUNCED)

    def complain(self, address: str, status: Status) -> None:
        """Report an e-mail as spam, as the contact. Only a Mailchimp form can resubscribe the contact."""
        member = self._member(address)
        kept = Status.ARCHIVED if member.status is Status.ARCHIVED else status
        self.audience.complain(member, kept, self._deed(Actor.USER), _BY_COMPLAINT)

    def confirm(self, address: str) -> None:
        """Confirm a pending subscription, as the contact."""
        member = self._member(address)
        if member.status is not Status.PENDING:
            msg = f"There is nothing to confirm for a member that is {member.status}; make it pending first."
            raise ImpossibleActError(msg)
        self.audience.bar(member, None)
        self.audience.move(member, Status.SUBSCRIBED, self._deed(Actor.USER))

    def sign_up(self, address: str) -> None:
        """Sign up by a Mailchimp form: the only way back after an opt-out, a bounce or a permanent deletion."""
        self.audience.forgotten.discard(address_hash(address))
        status = Status.PENDING if self.audience.description.double_optin else Status.SUBSCRIBED
        member = self.audience.find(address)
        if member is None:
            member = self.audience.add(address, status, self._deed(Actor.USER))
            member.source = "Hosted Signup Form"
        elif member.status is not Status.SUBSCRIBED:
            if status is Status.SUBSCRIBED:
                self.audience.bar(member, None)
            self.audience.move(member, status, self._deed(Actor.USER))

    def change_address(self, address: str, new_address: str) -> None:
        """Change the address, as the contact."""
        if self.audience.find(new_address) is not None:
            msg = "The audience has the new address already; choose one that it does not have."
            raise ImpossibleActError(msg)
        self.audience.readdress(self._member(address), new_address, self._deed(Actor.USER))

    def update_profile(self, address: str, merge_fields: Mapping[str, str]) -> None:
        """Change merge fields, as the contact."""
        member = self._member(address)
        values = self.audience.merge_fields.write(member.values, merge_fields, validate=True, complete=False)
        self.audience.rewrite(member, self._deed(Actor.USER), values=values, traits=member.traits)

    def review(self, address: str) -> None:
        """Put the member under compliance review."""
        self.audience.bar(self._member(address), Bar.REVIEW)

    def archive(self, address: str) -> None:
        """Archive the member, as an administrator."""
        self.audience.move(self._member(address), Status.ARCHIVED, self._deed(Actor.ADMIN))

    def unsubscribe_as_admin(self, address: str) -> None:
        """Unsubscribe the member, as an administrator."""
        self.audience.move(self._member(address), Status.UNSUBSCRIBED, self._deed(Actor.ADMIN), _BY_ADMIN)

    def subscribe_as_admin(self, address: str) -> None:
        """Resubscribe a member, as an administrator. A compliance state forbids it."""
        member = self._member(address)
        if member.bar is not None:
            msg = "Only the contact can come back; let it sign up by a form of Mailchimp's."
            raise ImpossibleActError(msg)
        self.audience.move(member, Status.SUBSCRIBED, self._deed(Actor.ADMIN))

    def delete_permanently(self, address: str) -> None:
        """Delete the member permanently, as an administrator."""
        self.audience.forget(self._member(address), self._deed(Actor.ADMIN))

    def _deed(self, by: Actor) -> Deed:
        return Deed(by, self.now)

    def _member(self, address: str) -> Member:
        member = self.audience.find(address)
        if member is None:
            msg = f"Audience {self.audience.id} has no such member; add it first."
            raise ImpossibleActError(msg)
        return member
