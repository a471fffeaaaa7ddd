"""A ledger against its audience read whole, after the database was restored: what is missing where, in counts.

What does not belong here: writing it down (`database.mending`), reading (`reconcile`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailchimp_pipeline.sync.model import MemberStatus, Standing


@dataclass(frozen=True, slots=True)
class KnownMember:
    """A member as the ledger has it; it was never there, or is not any more, where there is no status."""

    status: MemberStatus | None
    contact_id: str | None


@dataclass(frozen=True, slots=True)
class Mending:
    """How an audience's ledger differed from the audience, in members; or why it could not be read.

    `unknown` were there and not known, `changed` stood otherwise than known, `unsubscribed` is of both, `deleted`
    were known and Mailchimp has deleted them for good. `withdrawn` are the contacts who are mailed no more for that.
    """

    organisation_id: str
    list_id: str
    read: int = 0
    unknown: int = 0
    changed: int = 0
    unsubscribed: int = 0
    deleted: int = 0
    withdrawn: int = 0
    error: str | None = None


@dataclass(slots=True)
class Comparison:
    """Takes the audience page by page, and counts."""

    known: Mapping[str, KnownMember]
    unknown: int = 0
    changed: int = 0
    unsubscribed: int = 0
    _there: set[str] = field(default_factory=set[str])
    _contact_ids: set[str] = field(default_factory=set[str])

    @property
    def read(self) -> int:
        """How many members came."""
        return len(self._there)

    def add(self, page: Sequence[Standing]) -> None:
        """Take a page. Whoever came already is passed over: pages shift while members change."""
        for standing in page:
            if standing.subscriber_hash in self._there:
                continue
            self._there.add(standing.subscriber_hash)
            self._contact_ids |= {standing.contact_id} if standing.contact_id else set()
            known = self.known.get(standing.subscriber_hash)
            differs = known is None or known.status is not standing.status
            self.unknown += known is None
            self.changed += differs and known is not None
            self.unsubscribed += differs and standing.status is MemberStatus.UNSUBSCRIBED

    def missing(self) -> list[str]:
        """Return who was a member and is there no more, under no other address either."""
        return sorted(
            key
            for key, member in self.known.items()
            if member.status is not None and key not in self._there and member.contact_id not in self._contact_ids
        )
