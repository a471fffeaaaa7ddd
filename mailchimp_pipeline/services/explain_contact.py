"""Explain for each segment whether a contact is a member, and if it is not, why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from mailchimp_pipeline.consent import Contact
from mailchimp_pipeline.contacts import ATTRIBUTES, Source, find_contacts
from mailchimp_pipeline.database.contact_data import is_known
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.preference_store import suppressions_among
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, RejectedContactRow, SegmentMemberRow, of_contact
from mailchimp_pipeline.segments import Exclusion, FilterCriteria, Population, Segment
from mailchimp_pipeline.sync import KnownStatus, Rejection

_Place = tuple[str, str]
"""An audience and a subscriber hash."""


@dataclass(frozen=True, slots=True)
class ContactInSegment:
    """Whether a contact is a member of a segment.

    `is_member` is the result of the last sync. `mismatches` and `exclusion` say, as of now, why the next sync makes the
    contact no member: the criteria that it does not match, or the reason that excludes it. `status` is its status in
    the audience when that was last read, and `rejection` the reason if Mailchimp rejects it.
    """

    segment: Segment
    is_member: bool
    mismatches: Sequence[str]
    exclusion: Exclusion | None
    status: KnownStatus | None
    rejection: Rejection | None


@dataclass(frozen=True, slots=True)
class ContactExplanation:
    """Where a contact is a member. `is_known` says whether the database knows it, `segments` has those of its type."""

    is_in_source: bool
    is_known: bool
    is_erased: bool
    segments: Sequence[ContactInSegment]


@dataclass(frozen=True, slots=True)
class ExplainContact:
    """Explains where contacts are members, and why not elsewhere."""

    database: Database
    keyring: Keyring
    source: Source

    def explain(self, organisation_id: str, contact: Contact, segments: Sequence[Segment]) -> ContactExplanation:
        """Explain which of the segments the contact is in, by the rules of a sync.

        Segments of the other type are left out. Nothing is written, and Mailchimp is not asked. Raises the errors of
        the source.
        """
        rows = find_contacts(self.source, organisation_id, *contact)
        hashes = {str(each) for each in rows["subscriber_hash"].dropna()}
        of_its_type = [each for each in segments if contact[0] in each.segment_type.entity_types]
        with self.database.organisation(organisation_id) as session:
            erased = ErasedContacts(session, self.keyring)
            population = Population.prepare(rows, suppressions_among(session, rows, erased.among(rows)))
            known = _Known.read(session, contact, hashes, {each.mailchimp_list_id for each in of_its_type})
            is_erased, known_here = erased.holds(contact), is_known(session, contact)
        explained = [_explained(each, population, known) for each in of_its_type]
        return ContactExplanation(not rows.empty, known_here, is_erased, explained)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database has about a contact, by segment id or by audience and subscriber hash."""

    keys: Sequence[str]
    """The subscriber hashes of the contact."""
    memberships: dict[str, str]
    """The subscriber hash with which the contact is in a segment."""
    others: frozenset[_Place]
    """The segments and hashes of other contacts with an address of the contact."""
    statuses: dict[_Place, str | None]
    rejections: dict[_Place, str]

    @classmethod
    def read(
        cls, session: OrganisationSession, contact: Contact, hashes: Collection[str], list_ids: Collection[str]
    ) -> "_Known":
        member, row, rejected = SegmentMemberRow, AudienceMemberRow, RejectedContactRow
        own = select(member.segment_id, member.subscriber_hash).where(session.owns(member), of_contact(member, contact))
        memberships = {str(segment_id): key for segment_id, key in session.execute(own)}
        sent = select(row.subscriber_hash).where(session.owns(row), of_contact(row, contact))
        keys = sorted({*hashes, *memberships.values(), *session.scalars(sent)})

        def there(table: type[SegmentMemberRow | AudienceMemberRow | RejectedContactRow]) -> list[ColumnElement[bool]]:
            return [session.owns(table), table.mailchimp_list_id.in_(list_ids), table.subscriber_hash.in_(keys)]

        others = select(member.segment_id, member.subscriber_hash).where(*there(member), ~of_contact(member, contact))
        statuses = select(row.mailchimp_list_id, row.subscriber_hash, row.status).where(*there(row))
        rejections = select(rejected.mailchimp_list_id, rejected.subscriber_hash, rejected.reason)
        return cls(
            keys,
            memberships,
            frozenset((str(segment_id), key) for segment_id, key in session.execute(others)),
            {(list_id, key): status for list_id, key, status in session.execute(statuses)},
            {(list_id, key): reason for list_id, key, reason in session.execute(rejections.where(*there(rejected)))},
        )


def _explained(segment: Segment, population: Population, known: _Known) -> ContactInSegment:
    found = population.membership(segment.segment_type, segment.filter_criteria)
    stored = known.memberships.get(segment.id)
    address = stored if found.members.empty else str(found.members["subscriber_hash"].iloc[0])
    exclusion = next(iter(found.excluded), None) if found.members.empty else None
    if address and not stored and (segment.id, address) in known.others:
        exclusion = exclusion or Exclusion.DUPLICATE
    # The address of a duplicate is there for the other contact.
    keys = () if exclusion is Exclusion.DUPLICATE else (address,) if address else known.keys
    places = [(segment.mailchimp_list_id, key) for key in keys]
    status = next((known.statuses[each] for each in places if known.statuses.get(each)), None)
    rejection = next((known.rejections[each] for each in places if each in known.rejections), None)
    return ContactInSegment(
        segment,
        is_member=stored is not None,
        mismatches=() if found.matching else _mismatches(segment, population),
        exclusion=exclusion,
        status=None if status is None else KnownStatus(status),
        rejection=None if rejection is None else Rejection(rejection),
    )


def _mismatches(segment: Segment, population: Population) -> list[str]:
    """Return the criteria of the segment that no row of the contact matches; if its rows match each, all criteria."""
    criteria = {name: getattr(segment.filter_criteria, name) for name in ATTRIBUTES}
    wanted = [name for name, values in criteria.items() if values]
    failed = [
        name
        for name in wanted
        if not population.membership(segment.segment_type, FilterCriteria(**{name: criteria[name]})).matching
    ]
    return failed or wanted
