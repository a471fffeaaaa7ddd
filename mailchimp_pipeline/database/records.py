"""The database as runs need it: the port `runs.run.Records`, and the work that waits for runs.

Each call is a transaction of its own. What does not belong here: statements, which stand in the stores.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
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
from mailchimp_pipeline.database.requests import SyncRequestStore, open_requests
from mailchimp_pipeline.database.segments import (
    SegmentProgress,
    checked_segments,
    due_partition_keys,
    due_segments,
    fail_abandoned,
    not_synced_since,
)
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.unsubscribed import unsubscribed_addresses
from mailchimp_pipeline.database.violations import remove_opted_out, violations
from mailchimp_pipeline.runs.pipeline import CheckedSegments, SegmentName, StoppedRun, SyncRequest
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult, StopReason
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

    def mark_failed(self, segment: Segment, error: str, stopped_by: StopReason | None = None) -> None:
        """Note why the sync did not end well, and which rule stopped it, if one did."""
        with self.database.organisation(segment.organisation_id) as session:
            SegmentProgress(session).mark_error(segment.id, error, at=self.clock(), stopped_by=stopped_by)

    def segments(self, keys: Sequence[str]) -> Sequence[Segment]:
        """Return the due segments with these partition keys; others are passed over."""
        with self.database.everyone() as session:
            return due_segments(session, keys)

    def due_segments(self) -> Sequence[Segment]:
        """Return the live segments of connected organisations, those of one organisation next to each other."""
        with self.database.everyone() as session:
            return due_segments(session)

    def due_partition_keys(self) -> Sequence[str]:
        """Return the partition keys of the due segments, those of one organisation next to each other."""
        with self.database.everyone() as session:
            return due_partition_keys(session)

    def not_synced_since(self, moment: datetime) -> Sequence[SegmentName]:
        """Return those of the due segments, created before the moment, whose last sync did not end well after it."""
        with self.database.everyone() as session:
            return not_synced_since(session, moment)

    def checked_segments(self, *, most_refused: float) -> CheckedSegments:
        """Return what the last sync of each due segment means for the asset checks."""
        with self.database.everyone() as session:
            return checked_segments(session, most_refused=most_refused)

    def open_requests(self) -> Sequence[SyncRequest]:
        """Return the requests for live segments that have not ended, the oldest first."""
        with self.database.everyone() as session:
            return open_requests(session)

    def start_requests(
        self, request_ids: Sequence[str], segments: Sequence[Segment], run_id: str
    ) -> Sequence[SyncRequest]:
        """Note that the run serves those of the requests that are for these segments and not done; return them."""
        started: list[SyncRequest] = []
        for organisation_id in sorted({segment.organisation_id for segment in segments}) if request_ids else []:
            segment_ids = [segment.id for segment in segments if segment.organisation_id == organisation_id]
            with self.database.organisation(organisation_id) as session:
                store = SyncRequestStore(session)
                started += store.start(request_ids, segment_ids=segment_ids, run_id=run_id, at=self.clock())
        return started

    def end_request(self, result: SegmentResult, request_id: str) -> None:
        """Note how the run that served the request ended."""
        with self.database.organisation(result.segment.organisation_id) as session:
            if result.error:
                SyncRequestStore(session).fail(request_id, result.error, at=self.clock())
            else:
                SyncRequestStore(session).finish(request_id, at=self.clock())

    def fail_abandoned(self) -> int:
        """Put segments that are `syncing` though nothing is at them into `error`; return how many there were."""
        return fail_abandoned(self.database, at=self.clock())

    def fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        """Put the segments whose status has not changed since the run began into `error`, and fail its requests."""
        failed: list[str] = []
        for organisation_id, segment_ids in _by_organisation(run.keys).items():
            with self.database.organisation(organisation_id) as session:
                untouched = SegmentProgress(session).mark_untouched(
                    segment_ids, reason, since=run.begun, at=self.clock()
                )
                SyncRequestStore(session).fail_stopped(run.request_ids, reason, run_id=run.id, at=self.clock())
            failed += [f"{organisation_id}/{segment_id}" for segment_id in untouched]
        return failed


def _by_organisation(keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the segment ids of partition keys by organisation."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        organisation_id, _, segment_id = key.rpartition("/")
        ids[organisation_id].append(segment_id)
    return ids
