"""The database as runs need it: the port `runs.run.Records`, and the work that waits for runs.

Each call is a transaction of its own. What does not belong here: statements, which stand in the stores.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.linking import link_words
from mailchimp_pipeline.database.locks import Hold, hold_audience
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.preferences import PreferenceStore
from mailchimp_pipeline.database.requests import SyncRequestStore, running_requests, waiting_requests
from mailchimp_pipeline.database.segments import (
    SegmentProgress,
    SegmentStore,
    due_segments,
    fail_abandoned,
    not_synced_since,
)
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.unsubscribed import unsubscribed_addresses
from mailchimp_pipeline.database.violations import remove_opted_out, violations
from mailchimp_pipeline.runs.pipeline import StoppedRun, SyncRequest
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult
from mailchimp_pipeline.segments import Exclusion, Membership, Segment, Suppressions

_AUDIENCE_WAIT_SECONDS = 900
"""How long a sync waits for another that is at the same audience."""


@dataclass(frozen=True, slots=True)
class DatabaseRecords:
    """`runs.run.Records` over PostgreSQL."""

    database: Database
    keyring: Keyring
    clock: Clock

    def kinds_barred(self, organisation_id: str) -> frozenset[EntityType]:
        """Return of which relations somebody opted out or was erased."""
        with self.database.organisation(organisation_id) as session:
            opted_out = PreferenceStore(session, self.keyring).kinds_opted_out()
            return opted_out | ErasedContacts(session, self.keyring).kinds()

    def link_words(self, organisation_id: str, contacts: pd.DataFrame) -> None:
        """Let what was said at an address be the word of the contacts who have it by now."""
        with self.database.organisation(organisation_id) as session:
            link_words(session, contacts, at=self.clock())

    def suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> tuple[Suppressions, pd.DataFrame | None]:
        """Return who of the contacts must not be pushed, and who consented where the organisation is opt-in only."""
        with self.database.organisation(organisation_id) as session:
            store = PreferenceStore(session, self.keyring)
            told_us = store.suppressions(contacts)
            addresses = pd.concat([told_us.addresses, unsubscribed_addresses(session)], ignore_index=True)
            return Suppressions(told_us.entities, addresses), store.consented()

    def replace_members(
        self, segment: Segment, membership: Membership, *, departures_confirmed: bool = False
    ) -> MembershipCounts:
        """Make these the segment's members, writing only what differs. Raises `segments.MassDeparture`."""
        with self.database.organisation(segment.organisation_id) as session:
            # Somebody may have been erased, or opted out, since the membership was made.
            members = ErasedContacts(session, self.keyring).spared(membership.members)
            change = MemberStore(session).replace(segment, members, departures_confirmed=departures_confirmed)
            opted_out = remove_opted_out(session, segment.id)
        excluded = Counter(membership.excluded) + Counter({Exclusion.OPTED_OUT: opted_out})
        return MembershipCounts(
            matching=membership.matching,
            members=len(members) - opted_out,
            excluded=excluded,
            before=change.before,
            added=change.added,
            changed=change.changed,
            removed=change.removed,
        )

    def violations(self, segment: Segment) -> int:
        """Count the segment's members who opted out or were erased."""
        with self.database.organisation(segment.organisation_id) as session:
            return violations(session, self.keyring, segment.id)

    def ledger(self, segment: Segment) -> DatabaseLedger:
        """Return the ledger of the segment's audience."""
        organisation_id, list_id = segment.organisation_id, segment.mailchimp_list_id
        return DatabaseLedger(self.database, organisation_id, list_id, self.clock, keyring=self.keyring)

    @contextmanager
    def hold_audience(self, segment: Segment) -> Generator[Hold]:
        """Wait for the audience and keep others from syncing it meanwhile."""
        organisation_id, list_id = segment.organisation_id, segment.mailchimp_list_id
        with hold_audience(self.database, organisation_id, list_id, wait_seconds=_AUDIENCE_WAIT_SECONDS) as held:
            yield held

    def mark_syncing(self, segment: Segment) -> None:
        """Note that a run is at it."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_syncing(segment.id, at=self.clock())

    def mark_synced(self, result: SegmentResult) -> None:
        """Note that the sync ended well, and its figures."""
        with self.database.organisation(result.segment.organisation_id) as session:
            SegmentProgress(session).mark_synced(
                result.segment.id, member_count=result.member_count, report=result.figures(), at=self.clock()
            )

    def mark_failed(self, segment: Segment, error: str) -> None:
        """Note why the sync did not end well."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_error(segment.id, error, at=self.clock())

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
        """Note that the run takes up the request; return the segment in which it confirms departures, if it does."""
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
        """Note how the run that took up the request ended."""
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


def _organisations(keys: Sequence[str]) -> list[str]:
    return sorted({key.rpartition("/")[0] for key in keys})
