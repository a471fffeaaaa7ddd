"""What the ledger in memory keeps of members, of the audience and of words."""

from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sync import MemberStatus, Outcome, Refusal


@dataclass(frozen=True)
class Wanted:
    """A member of a segment; a missing name is None."""

    subscriber_hash: str
    email: str
    first_name: str | None
    last_name: str | None
    entity_type: str
    entity_id: str
    digest: str

    @property
    def place(self) -> tuple[object, ...]:
        """Employees before vendors, whole numbers by value before other ids."""
        is_whole = self.entity_id.isascii() and self.entity_id.isdigit()
        number = int(self.entity_id) if is_whole else 0
        return (self.entity_type == EntityType.VENDOR, not is_whole, number, self.entity_id.encode(), self.digest)


@dataclass(frozen=True)
class Known:
    """What the audience has of a contact."""

    state: Outcome = Outcome.SEEN
    status: MemberStatus | None = None
    digest: str | None = None
    attempted_digest: str | None = None
    refusal: Refusal | None = None
    entity: tuple[str, str] | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Said:
    """A contact's word about e-mail, to us or at Mailchimp."""

    opted_in: bool
    at: datetime
    at_mailchimp: bool = False
