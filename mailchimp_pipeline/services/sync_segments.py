"""Sync segments: organisations in parallel, each organisation's segments one after the other.

For each organisation, all audiences are pulled first, then opt-outs are pushed, then segments are synced.
"""

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

import pandas as pd
from structlog.contextvars import bound_contextvars

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, read_contacts
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.locks import Hold
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import DatabaseRetry
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.mailchimp.transport import counted_retries
from mailchimp_pipeline.segments import MassDeparture, Membership, Population, Segment, Suppressions
from mailchimp_pipeline.services.propagate_opt_outs import push_to_audiences
from mailchimp_pipeline.services.pull_audiences import PulledAudience, pull_audiences
from mailchimp_pipeline.sync import Audience, Audiences, SyncReport, push_segment
from mailchimp_pipeline.sync.rejections import MOST_REJECTED, TooManyRejected
from mailchimp_pipeline.sync.segment_results import MembershipCounts, SegmentResult, StopReason, SyncRun

_T = TypeVar("_T")

ORGANISATIONS_AT_ONCE = 8


class SourceIsEmpty(PermanentError):
    """The source has no contacts for a segment that had members."""

    def __init__(self, segment: Segment) -> None:
        relations = " and ".join(f"{kind.value}s" for kind in segment.segment_type.entity_types)
        super().__init__(
            f"The source holds no {relations} of organisation {segment.organisation_id}, though segment "
            f"{segment.name!r} had {segment.member_count} members. Nothing was changed. Check the source; if they are "
            "really all gone, sync the segment with their departures confirmed, or delete it."
        )


class ConsentViolated(PermanentError):
    """A segment has members who may not be e-mailed."""

    def __init__(self, segment: Segment, violations: int) -> None:
        super().__init__(
            f"{violations} members of segment {segment.name!r} opted out, were erased or did not consent. Nothing was "
            "sent. This is a defect, or happened this very moment: sync again, and report it if it stays."
        )


def membership_of(segment: Segment, population: Population, *, departures_confirmed: bool) -> Membership:
    """Return the segment's membership.

    Raises `SourceIsEmpty` if the source has no contact for a segment that had members, unless `departures_confirmed`.
    """
    # A source without any contact is far more often broken than right.
    if segment.member_count and not departures_confirmed and not population.holds(segment.segment_type.entity_types):
        raise SourceIsEmpty(segment)
    return population.membership(segment.segment_type, segment.filter_criteria)


def replace_members(  # noqa: PLR0913 - what decides who is a member
    records: DatabaseRecords,
    segment: Segment,
    membership: Membership,
    suppressions: Suppressions,
    erased: ErasedAmong,
    *,
    departures_confirmed: bool,
) -> MembershipCounts:
    """Store the segment's new members.

    Raises `MassDeparture` if too many would leave, unless `departures_confirmed`, and `ConsentViolated` if a member may
    not be e-mailed.
    """
    counts = records.replace_members(
        segment, membership, suppressions, erased, departures_confirmed=departures_confirmed
    )
    if violations := records.count_suppressed(segment, erased):
        raise ConsentViolated(segment, violations)
    return counts


@dataclass(frozen=True, slots=True)
class _Failed:
    error: str
    defect: str | None = None
    stopped_by: StopReason | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The data that the syncs of an organisation's segments share: contacts, suppressions, and pulled audiences by id.

    `unread` has the errors of source tables that could not be read. `unsubscribed` has the number of members that were
    unsubscribed before the syncs, by audience id.
    """

    population: Population
    suppressions: Suppressions
    erased: ErasedAmong
    unread: Mapping[EntityType, _Failed]
    audiences: Mapping[str, PulledAudience]
    unsubscribed: Mapping[str, int]
    problems: Mapping[str, PipelineError]
    """The errors of pushing opt-outs, by audience id. Segments of these audiences are not synced."""

    def of(self, segment: Segment, *, departures_confirmed: bool) -> "Membership | _Failed":
        """Return the segment's membership, or the error of a source table that could not be read.

        Raises `SourceIsEmpty` if the source has no contact for a segment that had members, unless
        `departures_confirmed`.
        """
        kinds = segment.segment_type.entity_types
        for kind in kinds:
            if failed := self.unread.get(kind):
                return failed
        return membership_of(segment, self.population, departures_confirmed=departures_confirmed)


@dataclass(frozen=True, slots=True)
class SegmentSync:
    """Syncs segments. `audiences` returns the Mailchimp account of the organisation with the given id.

    `departures_confirmed` has the ids of segments that any number of members may leave at once. If `push` is false,
    memberships are stored and nothing is sent. `run` is recorded with each sync.
    """

    source: Source
    records: DatabaseRecords
    audiences: Callable[[str], Audiences]
    clock: Clock
    run: SyncRun | None = None
    push: bool = True
    departures_confirmed: frozenset[str] = frozenset()
    stopping: Event = field(default_factory=Event)
    database_retry: DatabaseRetry = field(default_factory=DatabaseRetry)

    def results(self, segments: Iterable[Segment]) -> Iterator[SegmentResult]:
        """Sync the segments. Yield each result once it is complete.

        Closing the iterator stops the work: running batches are finished and recorded, no others are sent, and segments
        that have not begun stay as they are.
        """
        ordered = sorted(segments, key=lambda segment: (segment.organisation_id, segment.mailchimp_list_id, segment.id))
        finished: SimpleQueue[SegmentResult] = SimpleQueue()
        with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="organisation") as pool:
            try:
                for _, group in groupby(ordered, key=lambda segment: segment.organisation_id):
                    pool.submit(copy_context().run, self._organisation, list(group), finished.put)
                for _ in ordered:
                    yield finished.get()
            finally:
                self.stopping.set()
                self.database_retry.over.set()

    def _organisation(self, segments: Sequence[Segment], finish: Callable[[SegmentResult], None]) -> None:
        undone = deque(segments)
        try:
            with bound_contextvars(organisation_id=segments[0].organisation_id):
                prepared = self._persistently(lambda: self._prepare(segments))
                while undone and not self.stopping.is_set():
                    with bound_contextvars(segment_id=undone[0].id):
                        finish(self._result(undone[0], prepared))
                    undone.popleft()
        except BaseException as error:  # the reader of the results would wait forever
            for segment in undone:
                finish(SegmentResult(segment, error=f"The run ended with {type(error).__name__}."))
            raise

    def _prepare(self, segments: Sequence[Segment]) -> "_Prepared | _Failed":
        """Pull every audience, read the contacts, and push opt-outs. Return the error if no segment can be synced."""
        organisation_id, begun = segments[0].organisation_id, self.clock()
        kinds = sorted({kind for segment in segments for kind in segment.segment_type.entity_types})
        # Only the source has the present address of a contact who opted out.
        suppressed = self.records.suppressed_relations(organisation_id)
        with ThreadPoolExecutor(1, thread_name_prefix="pull") as pool:
            pulling = pool.submit(copy_context().run, self._pull, segments) if self.push else None
            read = {
                kind: _guarded(partial(read_contacts, self.source, organisation_id, [kind]))
                for kind in sorted(suppressed.union(kinds))
            }
            audiences = pulling.result() if pulling else dict[str, PulledAudience]()
        # The pull may have recorded opt-outs of contacts in other relations.
        more = self.records.suppressed_relations(organisation_id) - read.keys()
        read |= {kind: _guarded(partial(read_contacts, self.source, organisation_id, [kind])) for kind in sorted(more)}
        suppressed |= more
        unread = {kind: failed for kind, failed in read.items() if isinstance(failed, _Failed)}
        # Without such a relation, some suppressed addresses are unknown, so no segment is synced.
        for kind in sorted(suppressed & unread.keys()):
            return unread[kind]
        if unread.keys() >= set(kinds):
            return unread[kinds[0]]
        contacts = pd.concat([frame for frame in read.values() if not isinstance(frame, _Failed)], ignore_index=True)
        suppressions, erased = self.records.suppressions(organisation_id, contacts)
        unsubscribed, problems = self._push_opt_outs(organisation_id, audiences, erased)
        if self.push and not problems:
            self.records.mark_propagated(organisation_id, begun)
        population = Population.prepare(contacts, suppressions)
        return _Prepared(population, suppressions, erased, unread, audiences, unsubscribed, problems)

    def _pull(self, segments: Sequence[Segment]) -> Mapping[str, PulledAudience]:
        organisation_id = segments[0].organisation_id
        return pull_audiences(
            organisation_id,
            self.audiences(organisation_id),
            records=self.records,
            clock=self.clock,
            with_segments={segment.mailchimp_list_id for segment in segments},
            database_retry=self.database_retry,
        )

    def _push_opt_outs(
        self, organisation_id: str, audiences: Mapping[str, PulledAudience], erased: ErasedAmong
    ) -> tuple[Mapping[str, int], Mapping[str, PipelineError]]:
        if not self.push:
            return {}, {}
        to_unsubscribe = self.records.audiences_to_unsubscribe(organisation_id, erased)
        outstanding = [list_id for list_id in to_unsubscribe if list_id in audiences]
        mailchimp = self.audiences(organisation_id)
        return push_to_audiences(organisation_id, outstanding, mailchimp, records=self.records, erased=erased)

    def _result(self, segment: Segment, prepared: "_Prepared | _Failed") -> SegmentResult:
        begun = self.clock()
        outcome = (
            prepared if isinstance(prepared, _Failed) else self._persistently(lambda: self._sync(segment, prepared))
        )
        if isinstance(outcome, SegmentResult):
            return outcome
        result = SegmentResult(
            segment,
            stopped_by=outcome.stopped_by,
            seconds=(self.clock() - begun).total_seconds(),
            error=outcome.error,
            defect=outcome.defect,
        )
        if unwritten := self._persistently(lambda: self.records.mark_ended(result, self.run)):
            return replace(result, error=f"{result.error} (Nor could that be written down: {unwritten.error})")
        return result

    def _sync(self, segment: Segment, prepared: _Prepared) -> SegmentResult | _Failed:
        begun = self.clock()
        membership = prepared.of(segment, departures_confirmed=segment.id in self.departures_confirmed)
        if isinstance(membership, _Failed):
            return membership
        if not self.push:
            counts = self._replace_members(segment, membership, prepared)
            return SegmentResult(segment, counts, seconds=(self.clock() - begun).total_seconds())
        organisation_id, list_id = segment.organisation_id, segment.mailchimp_list_id
        pulled = prepared.audiences.get(list_id) or self._audience_not_pulled(segment)
        if problem := prepared.problems.get(list_id):
            raise problem
        with self.records.hold_audience(organisation_id, list_id) as hold, counted_retries() as retried:
            self.records.mark_syncing(segment)
            counts = self._replace_members(segment, membership, prepared)
            del membership  # the membership is stored, so its memory can be freed
            report = self._push_segment(segment, pulled.audience, hold, prepared.erased)
            is_rejected = report.rejected_share > MOST_REJECTED
            result = SegmentResult(
                segment,
                counts,
                pulled.audience,
                report,
                read=pulled.read,
                unsubscribed=prepared.unsubscribed.get(list_id, 0),
                retries=len(retried),
                seconds=(self.clock() - begun).total_seconds(),
                error=str(TooManyRejected(segment.name, report)) if is_rejected else None,
                stopped_by=StopReason.REJECTIONS if is_rejected else None,
            )
            self.records.mark_ended(result, self.run)
        return result

    def _audience_not_pulled(self, segment: Segment) -> PulledAudience:
        """Read an audience that the pull did not have. Raises Mailchimp's error if it does not exist now either."""
        return PulledAudience(self.audiences(segment.organisation_id).audience(segment.mailchimp_list_id), 0)

    def _replace_members(self, segment: Segment, membership: Membership, prepared: _Prepared) -> MembershipCounts:
        confirmed = segment.id in self.departures_confirmed
        return replace_members(
            self.records, segment, membership, prepared.suppressions, prepared.erased, departures_confirmed=confirmed
        )

    def _push_segment(self, segment: Segment, audience: Audience, hold: Hold, erased: ErasedAmong) -> SyncReport:
        def stopping() -> bool:
            hold.require()
            return self.stopping.is_set()

        ledger = self.records.ledger(segment.organisation_id, segment.mailchimp_list_id, erased)
        return push_segment(
            segment.id,
            audience,
            audiences=self.audiences(segment.organisation_id),
            ledger=ledger,
            stopping=stopping,
        )

    def _persistently(self, step: Callable[[], _T]) -> _T | _Failed:
        """Run a step, with retries while PostgreSQL is unavailable. Return its result or its error as a value."""
        return _guarded(partial(self.database_retry.do, step))


def _guarded(step: Callable[[], _T]) -> _T | _Failed:
    """Run a step. Return its result or its error as a value, so that one segment's error does not stop the others."""
    try:
        return step()
    except ConsentViolated as error:
        return _Failed(str(error), stopped_by=StopReason.CONSENT)
    except (MassDeparture, SourceIsEmpty) as error:
        return _Failed(str(error), stopped_by=StopReason.DEPARTURES)
    except PipelineError as error:
        return _Failed(str(error))
    except Exception as error:  # noqa: BLE001 - reported as this segment's failure, never passed over
        where = "".join(traceback.format_tb(error.__traceback__))
        return _Failed(f"Unexpected {type(error).__name__}; the run's log says where. Please report it.", where)
