"""Preview the sync of a segment: what it would do now. Nothing is sent, and nothing is kept in the database.

The preview runs the database steps of a sync in one transaction, which is rolled back: it stores the members, compares
them with the audience, and plans. Mailchimp is not asked, so changes there since the last sync are not known.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import pandas as pd

from mailchimp_pipeline.consent import Contact
from mailchimp_pipeline.contacts import EntityType, Source, read_contacts
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_member_store import rejected_contacts
from mailchimp_pipeline.database.session import TimeLimits
from mailchimp_pipeline.segments import Exclusion, MassDeparture, Population, Segment, SegmentType
from mailchimp_pipeline.segments.population import MOST_EXAMPLES
from mailchimp_pipeline.services.sync_segments import SourceIsEmpty, membership_of, replace_members
from mailchimp_pipeline.sync import MemberRef, MemberState, MemberStatus, Rejection, plan
from mailchimp_pipeline.sync.segment_results import StopReason

_LIMITS = TimeLimits(statement_seconds=5, lock_seconds=3)
"""Shorter than an opt-out waits for the consent lock, which the preview holds."""

_AUDIENCE_WAIT_SECONDS = 5
"""How long a preview waits for a running sync of the audience, in seconds."""

_REJECTED = 100
"""How many of the segment's rejected contacts are read, to find examples among them."""


class PlannedAction(StrEnum):
    """What a sync would do with a contact."""

    ADD = "add"
    UPDATE = "update"
    MOVE = "move"
    SUBSCRIBE_AGAIN = "subscribe_again"
    ARCHIVE = "archive"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(slots=True)
class PlannedContacts:
    """A number of contacts, and at most ten of them as examples: entity types and ids, never addresses."""

    count: int = 0
    examples: list[Contact] = field(default_factory=list[Contact])

    def add(self, contacts: pd.DataFrame, count: int | None = None) -> None:
        """Add `count` to the number, and the first rows of `contacts` to the examples.

        `contacts` has entity_type and entity_id, and may be a part of the contacts that are counted. Without `count`,
        its rows are counted.
        """
        self.count += len(contacts) if count is None else count
        few = contacts.head(MOST_EXAMPLES - len(self.examples))
        self.examples += [
            (EntityType(kind), str(entity_id))
            for kind, entity_id in zip(few["entity_type"], few["entity_id"], strict=True)
        ]


@dataclass(slots=True)
class SyncPreview:
    """What a sync of a segment would do.

    - `audience_read_at` is the time up to which the audience's changes are known, None before its first sync. Then
      all members count as new.
    - `error` and `stopped_by` say why the sync would stop before it sends anything, None if it would not. The other
      figures are those of a sync with the departures confirmed.
    - `leaving` is the number of members who would leave the segment, and `unchanged` the number of members whom the
      audience has already.
    - `excluded` contacts match the filter and are no members. `withheld` members are not sent because of their status
      in the audience. `rejected` members were rejected by Mailchimp, and are not due to be sent again.

    Contacts whom Mailchimp would ask to confirm count as added or subscribed again. Erased contacts are counted, and
    are no examples.
    """

    audience_read_at: datetime | None
    error: str | None = None
    stopped_by: StopReason | None = None
    matching: int = 0
    members: int = 0
    leaving: int = 0
    unchanged: int = 0
    actions: Mapping[PlannedAction, PlannedContacts] = field(
        default_factory=lambda: {action: PlannedContacts() for action in PlannedAction}
    )
    excluded: Mapping[Exclusion, PlannedContacts] = field(default_factory=lambda: defaultdict(PlannedContacts))
    withheld: Mapping[Rejection, PlannedContacts] = field(default_factory=lambda: defaultdict(PlannedContacts))
    rejected: Mapping[Rejection, PlannedContacts] = field(default_factory=lambda: defaultdict(PlannedContacts))


def read_candidates(
    records: DatabaseRecords, source: Source, organisation_id: str, segment_type: SegmentType
) -> pd.DataFrame:
    """Read the contacts that decide who is a member of a segment of this type.

    As in a sync, an opt-out suppresses the current address of the contact, also for other contacts with it. So all
    employees are read if one of them opted out, and likewise all vendors.
    """
    kinds = records.suppressed_relations(organisation_id).union(segment_type.entity_types)
    return read_contacts(source, organisation_id, sorted(kinds))


def preview_sync(records: DatabaseRecords, source: Source, segment: Segment) -> SyncPreview:
    """Return what a sync of the segment would do now.

    Once the source is read, syncs of the audience wait for the preview to end, and so does all that records consent of
    the organisation: opt-ins, opt-outs, erasures, pulls and webhooks. They wait about as long as it takes to store the
    segment's members.

    Raises the errors of the source and `ConsentViolated` like a sync, `locks.LockTaken` if a sync of the audience is
    running, and `session.DatabaseBusy` if a statement takes more than 5 seconds or waits more than 3 for a lock.
    """
    contacts = read_candidates(records, source, segment.organisation_id, segment.segment_type)
    audience = (segment.organisation_id, segment.mailchimp_list_id)
    # Without the audience's lock, a sync could wait for the preview's rows while the preview waits for those of the
    # sync, and PostgreSQL could end the sync.
    with (
        hold_audience(records.database, *audience, wait_seconds=_AUDIENCE_WAIT_SECONDS),
        records.database.rehearsal(_LIMITS) as rehearsed,
    ):
        return _preview(replace(records, database=rehearsed), segment, contacts)


def _preview(records: DatabaseRecords, segment: Segment, contacts: pd.DataFrame) -> SyncPreview:
    """Do the steps of `sync_segments.SegmentSync` in their order, without the calls to Mailchimp."""
    suppressions, erased = records.suppressions(segment.organisation_id, contacts)
    ledger = records.ledger(segment.organisation_id, segment.mailchimp_list_id, erased)
    preview = SyncPreview(ledger.read_through())
    _unsubscribe(ledger, preview)
    population = Population.prepare(contacts, suppressions)

    def replace_with(*, departures_confirmed: bool) -> None:
        membership = membership_of(segment, population, departures_confirmed=departures_confirmed)
        counts = replace_members(
            records, segment, membership, suppressions, erased, departures_confirmed=departures_confirmed
        )
        preview.matching, preview.members, preview.leaving = counts.matching, counts.members, counts.removed
        for reason, count in counts.excluded.items():
            if count:
                preview.excluded[reason].add(membership.examples.get(reason, membership.members.head(0)), count)

    try:
        replace_with(departures_confirmed=False)
    except (MassDeparture, SourceIsEmpty) as stopped:
        preview.error, preview.stopped_by = str(stopped), StopReason.DEPARTURES
        replace_with(departures_confirmed=True)
    _compare(records, ledger, segment, preview)
    return preview


def _unsubscribe(ledger: DatabaseLedger, preview: SyncPreview) -> None:
    members = ledger.members_to_unsubscribe()
    _add_members(ledger, members, preview.actions[PlannedAction.UNSUBSCRIBE])
    for member in members:
        key = member.subscriber_hash
        ledger.record_result(key, MemberState(key, MemberStatus.UNSUBSCRIBED))


def _compare(records: DatabaseRecords, ledger: DatabaseLedger, segment: Segment, preview: SyncPreview) -> None:
    """Plan what is sent, and then who is archived: a former address is, once the contact is subscribed at another."""
    with records.database.organisation(segment.organisation_id) as session:
        rejected = rejected_contacts(session, segment.id, limit=_REJECTED).items
    waiting = pd.DataFrame(
        [(each.subscriber_hash, each.entity_type, each.entity_id, each.reason) for each in rejected],
        columns=["subscriber_hash", "entity_type", "entity_id", "reason"],
    )
    former = set[str]()
    for piece in ledger.compare(segment.id):
        planned = plan(piece.differences)
        sent = {
            PlannedAction.ADD: planned.new,
            PlannedAction.UPDATE: planned.changed,
            PlannedAction.MOVE: planned.moved,
            PlannedAction.SUBSCRIBE_AGAIN: planned.returning,
        }
        for action, rows in sent.items():
            preview.actions[action].add(rows)
        for reason, rows in planned.withheld.items():
            preview.withheld[reason].add(rows)
        for reason, count in piece.waiting.items():
            preview.rejected[reason].count += count
        preview.unchanged += piece.unchanged
        waiting = waiting[~waiting["subscriber_hash"].isin(piece.differences["subscriber_hash"])]
        former.update(planned.moved["moved_from"])
        for rows in (planned.moved, planned.returning):
            accepted = {key: MemberRef(key) for key in rows["subscriber_hash"]}
            ledger.record_accepted(rows, accepted, MemberStatus.SUBSCRIBED, None)
    for reason, planned_contacts in preview.rejected.items():
        planned_contacts.add(waiting[waiting["reason"] == reason.value], 0)
    # A moved member is recorded here as a new one, and still has its former address.
    leavers = [member for member in ledger.leavers() if member.subscriber_hash not in former]
    _add_members(ledger, leavers, preview.actions[PlannedAction.ARCHIVE])


def _add_members(ledger: DatabaseLedger, members: Sequence[MemberRef], planned: PlannedContacts) -> None:
    planned.add(ledger.contacts_of(members[:MOST_EXAMPLES]), len(members))
