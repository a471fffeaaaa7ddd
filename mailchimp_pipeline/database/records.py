"""The database operations of a sync. Each call is its own transaction. The queries are in the stores."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import pandas as pd

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.audience_members import attribute_members, audiences_to_unsubscribe
from mailchimp_pipeline.database.connection_store import mark_propagated
from mailchimp_pipeline.database.consent_statements import record_current_addresses
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import NOBODY, ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import Hold, hold_audience
from mailchimp_pipeline.database.preference_store import suppressed_relations, suppressions
from mailchimp_pipeline.database.segment_member_store import MemberStore
from mailchimp_pipeline.database.segment_store import SegmentProgress, due_segments, fail_abandoned
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequest, SyncRequestStore, open_requests
from mailchimp_pipeline.segments import Exclusion, Membership, Segment, Suppressions
from mailchimp_pipeline.sync.segment_results import MembershipCounts, SegmentResult, SyncRun

_AUDIENCE_WAIT_SECONDS = 900
"""How long a sync waits for another sync of the same audience, in seconds."""


@dataclass(frozen=True, slots=True)
class DatabaseRecords:
    """The database operations of a sync. Each call is its own transaction."""

    database: Database
    keyring: Keyring
    clock: Clock

    def suppressed_relations(self, organisation_id: str) -> frozenset[EntityType]:
        """Return the entity types (employee, vendor) that have contacts who opted out or were erased.

        A sync must read all their contacts: a suppressed contact's current address is closed to other contacts too.
        """
        with self.database.organisation(organisation_id) as session:
            return suppressed_relations(session) | ErasedContacts(session, self.keyring).relations()

    def suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> tuple[Suppressions, ErasedAmong]:
        """Return whom the organisation may not e-mail, and which of the contacts are erased.

        `contacts` must be all the organisation's employees, all its vendors, or both. Their current addresses are
        recorded first, as by `take_addresses`.
        """
        erased = self.take_addresses(organisation_id, contacts)
        with self.database.organisation(organisation_id) as session:
            return suppressions(session, erased), erased

    def take_addresses(self, organisation_id: str, contacts: pd.DataFrame) -> ErasedAmong:
        """Record the contacts' current addresses, so that opt-outs apply to them. Return which contacts are erased.

        `contacts` must be all the organisation's employees, all its vendors, or both.
        """
        with self.database.organisation(organisation_id) as session:
            record_current_addresses(session, self.keyring, contacts, at=self.clock())
            attribute_members(session, contacts)
            return ErasedContacts(session, self.keyring).among(contacts)

    def read_suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> Suppressions:
        """Return whom the organisation may not e-mail, for a preview. Unlike `suppressions`, this records nothing."""
        with self.database.organisation(organisation_id) as session:
            return suppressions(session, ErasedContacts(session, self.keyring).among(contacts))

    def replace_members(
        self,
        segment: Segment,
        membership: Membership,
        suppressed: Suppressions,
        erased: ErasedAmong,
        *,
        departures_confirmed: bool = False,
    ) -> MembershipCounts:
        """Replace the segment's stored members by the members of `membership`. Only differences are written.

        Contacts who opted out or were erased since the membership was computed are left out. Return how many contacts
        match, are members, are excluded, were added, changed or removed. Raises `segments.MassDeparture` if more than
        half of the members would leave, unless `departures_confirmed`.
        """
        with self.database.organisation(segment.organisation_id) as session:
            # A contact may have opted out or been erased since the membership was computed.
            now_erased = ErasedContacts(session, self.keyring).among(membership.members, erased)
            store = MemberStore(session)
            change = store.replace(segment, membership.members, suppressed, departures_confirmed=departures_confirmed)
            left_out = store.remove_suppressed(segment.id, now_erased)
        excluded = Counter(membership.excluded) + Counter({Exclusion.OPTED_OUT: left_out})
        members = len(membership.members) - left_out
        return MembershipCounts(membership.matching, members, excluded, **asdict(change))

    def count_suppressed(self, segment: Segment, erased: ErasedAmong) -> int:
        """Return the number of the segment's stored members who may not be e-mailed. It should be zero."""
        with self.database.organisation(segment.organisation_id) as session:
            return MemberStore(session).count_suppressed(segment.id, erased)

    def audiences_to_unsubscribe(self, organisation_id: str, erased: ErasedAmong = NOBODY) -> Sequence[str]:
        """Return the ids of the audiences that have members who may not be e-mailed.

        `erased` are the erased contacts that are still in the source.
        """
        with self.database.organisation(organisation_id) as session:
            return audiences_to_unsubscribe(session, erased)

    def mark_propagated(self, organisation_id: str, at: datetime) -> None:
        """Record that every opt-out recorded before `at` has reached every audience of the connected account."""
        with self.database.organisation(organisation_id) as session:
            mark_propagated(session, at=at)

    def ledger(self, organisation_id: str, list_id: str, erased: ErasedAmong = NOBODY) -> DatabaseLedger:
        """Return the ledger of an audience: the record of its members.

        `erased` are the erased contacts that are still in the source.
        """
        return DatabaseLedger(self.database, self.keyring, organisation_id, list_id, self.clock, erased)

    def hold_audience(self, organisation_id: str, list_id: str) -> AbstractContextManager[Hold]:
        """Hold the audience's lock for a `with` block, after waiting for a running sync of the audience.

        Raises `LockTaken` if the lock is not free within 15 minutes.
        """
        return hold_audience(self.database, organisation_id, list_id, wait_seconds=_AUDIENCE_WAIT_SECONDS)

    def mark_syncing(self, segment: Segment) -> None:
        """Set the segment's status to `syncing`. The caller must hold the audience's lock."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_syncing(segment.id, at=self.clock())

    def mark_ended(self, result: SegmentResult, run: SyncRun | None = None) -> None:
        """Record how the segment's sync ended: the status `synced` or `error`, the counts, and why it was stopped.

        The sync is also added to the segment's history, with the run.
        """
        segment, at = result.segment, self.clock()
        started_at = at - timedelta(seconds=result.seconds)
        with self.database.organisation(segment.organisation_id) as session:
            progress, report = SegmentProgress(session), result.figures() if result.report else None
            if result.error:
                progress.mark_error(
                    segment.id,
                    result.error,
                    at=at,
                    stopped_by=result.stopped_by,
                    member_count=result.membership and result.member_count,
                    report=report,
                    started_at=started_at,
                    run=run,
                )
            else:
                progress.mark_synced(
                    segment.id,
                    member_count=result.member_count,
                    report=report or {},
                    at=at,
                    started_at=started_at,
                    run=run,
                )

    def segments(self, keys: Sequence[str]) -> Sequence[Segment]:
        """Return the segments with these Dagster partition keys.

        Deleted segments and those of organisations that are not connected are left out.
        """
        with self.database.everyone() as session:
            return due_segments(session, keys)

    def due_segments(self) -> Sequence[Segment]:
        """Return the segments that are due for a sync, ordered by organisation.

        These are the segments of connected organisations that are not deleted.
        """
        with self.database.everyone() as session:
            return due_segments(session)

    def open_requests(self) -> Sequence[SyncRequest]:
        """Return the waiting and running sync requests of all organisations, oldest first.

        Requests for deleted segments are left out.
        """
        with self.database.everyone() as session:
            return open_requests(session)

    def start_requests(
        self, request_ids: Sequence[str], segments: Sequence[Segment], run_id: str
    ) -> Sequence[SyncRequest]:
        """Record that the run `run_id` serves the sync requests. Return the requests that it serves.

        Requests that are done, or for a segment that is not in `segments`, are ignored.
        """
        started: list[SyncRequest] = []
        for organisation_id in sorted({segment.organisation_id for segment in segments}) if request_ids else []:
            segment_ids = [segment.id for segment in segments if segment.organisation_id == organisation_id]
            with self.database.organisation(organisation_id) as session:
                store = SyncRequestStore(session)
                started += store.start(request_ids, segment_ids=segment_ids, run_id=run_id, at=self.clock())
        return started

    def end_request(self, result: SegmentResult, request_id: str) -> None:
        """Mark the sync request as done or failed, as the result says."""
        with self.database.organisation(result.segment.organisation_id) as session:
            if result.error:
                SyncRequestStore(session).fail(request_id, result.error, at=self.clock())
            else:
                SyncRequestStore(session).finish(request_id, at=self.clock())

    def fail_abandoned(self) -> int:
        """Set segments to `error` that are `syncing` although no run works on them. Return how many there were."""
        return fail_abandoned(self.database, at=self.clock())
