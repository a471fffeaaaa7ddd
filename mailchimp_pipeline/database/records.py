"""The database as a sync needs it. Each call is a transaction of its own; the statements are in the stores."""

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connections import mark_propagated
from mailchimp_pipeline.database.consent_statements import record_current_addresses
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.locks import Hold, hold_audience
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.opt_outs import attribute_members, audiences_to_unsubscribe
from mailchimp_pipeline.database.preferences import suppressed_relations, suppressions
from mailchimp_pipeline.database.requests import SyncRequestStore, running_requests, waiting_requests
from mailchimp_pipeline.database.segments import (
    SegmentProgress,
    SegmentStore,
    due_segments,
    fail_abandoned,
    not_synced_since,
)
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.runs.pipeline import StoppedRun, SyncRequest
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult
from mailchimp_pipeline.segments import Exclusion, Membership, Segment, Suppressions

_AUDIENCE_WAIT_SECONDS = 900
"""How long a sync waits for another that is at the same audience."""


@dataclass(frozen=True, slots=True)
class DatabaseRecords:
    """Reads and writes what a sync needs."""

    database: Database
    keyring: Keyring
    clock: Clock

    def suppressed_relations(self, organisation_id: str) -> frozenset[EntityType]:
        """Return the relations in which somebody opted out or was erased."""
        with self.database.organisation(organisation_id) as session:
            return suppressed_relations(session) | ErasedContacts(session, self.keyring).relations()

    def suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> tuple[Suppressions, ErasedAmong]:
        """Return which of the contacts may not be e-mailed, and which of them are erased.

        `contacts` are all of the organisation in the relations that occur in them. Their addresses are recorded first.
        """
        with self.database.organisation(organisation_id) as session:
            record_current_addresses(session, contacts, at=self.clock())
            attribute_members(session, contacts)
        with self.database.organisation(organisation_id) as session:
            erased = ErasedContacts(session, self.keyring).among(contacts)
            return suppressions(session, erased), erased

    def read_suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> Suppressions:
        """Return which of the contacts may not be e-mailed, and record nothing: for a preview."""
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
        """Make these the segment's members, writing only what differs. Raises `segments.MassDeparture`."""
        with self.database.organisation(segment.organisation_id) as session:
            # A contact may have been erased, or have opted out, since the membership was made.
            now_erased = ErasedContacts(session, self.keyring).among(membership.members, erased)
            store = MemberStore(session)
            change = store.replace(segment, membership.members, suppressed, departures_confirmed=departures_confirmed)
            left_out = store.remove_suppressed(segment.id, now_erased)
        excluded = Counter(membership.excluded) + Counter({Exclusion.OPTED_OUT: left_out})
        return MembershipCounts(
            matching=membership.matching,
            members=len(membership.members) - left_out,
            excluded=excluded,
            before=change.before,
            added=change.added,
            changed=change.changed,
            removed=change.removed,
        )

    def count_suppressed(self, segment: Segment, erased: ErasedAmong) -> int:
        """Count the segment's members who may not be e-mailed."""
        with self.database.organisation(segment.organisation_id) as session:
            return MemberStore(session).count_suppressed(segment.id, erased)

    def audiences_to_unsubscribe(self, organisation_id: str) -> Sequence[str]:
        """Return the audiences with members who may not be e-mailed."""
        with self.database.organisation(organisation_id) as session:
            return audiences_to_unsubscribe(session)

    def mark_propagated(self, organisation_id: str, at: datetime) -> None:
        """Record that every opt-out up to this moment reached every audience of the account."""
        with self.database.organisation(organisation_id) as session:
            mark_propagated(session, at=at)

    def ledger(self, organisation_id: str, list_id: str) -> DatabaseLedger:
        """Return the ledger of an audience."""
        return DatabaseLedger(self.database, self.keyring, organisation_id, list_id, self.clock)

    @contextmanager
    def hold_audience(self, organisation_id: str, list_id: str) -> Generator[Hold]:
        """Wait for the audience and keep others from syncing it meanwhile."""
        with hold_audience(self.database, organisation_id, list_id, wait_seconds=_AUDIENCE_WAIT_SECONDS) as held:
            yield held

    def mark_syncing(self, segment: Segment) -> None:
        """Record that a run syncs the segment."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_syncing(segment.id, at=self.clock())

    def mark_synced(self, result: SegmentResult) -> None:
        """Record that the sync ended well, and its figures."""
        with self.database.organisation(result.segment.organisation_id) as session:
            SegmentProgress(session).mark_synced(
                result.segment.id, member_count=result.member_count, report=result.figures(), at=self.clock()
            )

    def mark_failed(self, segment: Segment, error: str, report: Mapping[str, object] | None = None) -> None:
        """Record why the sync did not end well, and its figures where it came that far."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_error(segment.id, error, report=report, at=self.clock())

    def segments(self, keys: Sequence[str]) -> list[Segment]:
        """Return the live segments with these partition keys; those that are gone are passed over."""
        found: list[Segment] = []
        for key in keys:
            organisation_id, _, segment_id = key.rpartition("/")
            with self.database.organisation(organisation_id) as session:
                segment = SegmentStore(session).get(segment_id)
            found += [segment] if segment else []
        return found

    def due_segments(self) -> Sequence[Segment]:
        """Return the live segments of connected organisations, those of one organisation next to each other."""
        with self.database.everyone() as session:
            return due_segments(session)

    def not_synced_since(self, moment: datetime) -> Sequence[Segment]:
        """Return those of the due segments, made before the moment, whose last sync did not end well after it."""
        with self.database.everyone() as session:
            return not_synced_since(session, moment)

    def waiting_requests(self) -> list[SyncRequest]:
        """Return the requests of live segments that no run has taken up, the oldest first."""
        with self.database.everyone() as session:
            return [SyncRequest(request.id, request.partition_key) for request in waiting_requests(session)]

    def running_requests(self) -> list[SyncRequest]:
        """Return the requests of live segments that a run has taken up and not ended, the oldest first."""
        with self.database.everyone() as session:
            return [
                SyncRequest(request.id, request.partition_key, request.run_id, request.started_at)
                for request in running_requests(session)
            ]

    def start_request(self, keys: Sequence[str], request_id: str, run_id: str) -> frozenset[str]:
        """Record that the run takes up the request; return the segment in which it confirms departures, if it does."""
        confirmed: set[str] = set()
        for organisation_id in _organisations(keys):
            with self.database.organisation(organisation_id) as session:
                store = SyncRequestStore(session)
                # The run of a request that is done may be executed again: what was confirmed then was of then.
                if store.start(request_id, run_id=run_id, at=self.clock()):
                    request = store.get(request_id)
                    confirmed |= {request.segment_id} if request and request.departures_confirmed else set()
        return frozenset(confirmed)

    def end_request(self, result: SegmentResult, request_id: str) -> None:
        """Record how the run that took up the request ended."""
        with self.database.organisation(result.segment.organisation_id) as session:
            if result.error:
                SyncRequestStore(session).fail(request_id, result.error, at=self.clock())
            else:
                SyncRequestStore(session).finish(request_id, at=self.clock())

    def fail_abandoned(self) -> int:
        """Put segments that are `syncing` though nothing is at them into `error`; return how many there were."""
        return fail_abandoned(self.database, at=self.clock())

    def fail_stopped(self, run: StoppedRun, reason: str) -> None:
        """Put the segments whose status did not change since the run began into `error`, and fail its request."""
        for key in run.keys:
            organisation_id, _, segment_id = key.rpartition("/")
            with self.database.organisation(organisation_id) as session:
                SegmentProgress(session).mark_untouched(segment_id, reason, since=run.begun, at=self.clock())
                requests = SyncRequestStore(session)
                request = requests.get(run.request_id) if run.request_id else None
                if request and request.run_id in {None, run.id}:
                    requests.fail(request.id, reason, at=self.clock())


def _organisations(keys: Iterable[str]) -> list[str]:
    return sorted({key.rpartition("/")[0] for key in keys})
